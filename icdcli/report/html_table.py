"""A table as HTML, as all of icdcode's pages have them."""

from collections.abc import Iterable, Sequence
from html import escape


def html_table(
    columns: Iterable[str],
    rows: Iterable[Sequence[object]],
    text: Sequence[int] = (0,),
    own: int | None = None,
) -> str:
    """Return a table as HTML; everything in it is escaped.

    Args:
        columns: The heading of each column.
        rows: The values of each row.
        text: The columns of text, which are left-aligned; the others are numbers.
        own: The row to emphasize; None: none.
    """

    def cells(name: str, values: Iterable[object]) -> str:
        scope = " scope=col" if name == "th" else ""
        return "".join(
            f"<{name}{scope}{' class=text' if place in text else ''}>{escape(str(value))}</{name}>"
            for place, value in enumerate(values)
        )

    body = "".join(
        f"<tr{' class=own' if place == own else ''}>{cells('td', row)}</tr>"
        for place, row in enumerate(rows)
    )
    head = f"<thead><tr>{cells('th', columns)}</tr></thead>"
    # A wide table scrolls by itself; the page doesn't.
    return f"<div class=scroll><table>{head}<tbody>{body}</tbody></table></div>"
