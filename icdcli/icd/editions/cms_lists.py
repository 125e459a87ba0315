"""Reads the plain lists of codes that CMS and CDC publish, one code per line.

    A000    Cholera due to Vibrio cholerae 01, biovar cholerae                    (codes)
    00001 A00     0 Cholera                          Cholera                      (order)

A file in order also has the categories above the codes, and whether a code can be assigned
("valid for submission of a UB04").
"""

import re
from collections.abc import Iterator, Sequence

from icdcli.errors import DataError
from icdcli.icd.codes import Kind, System, dotted
from icdcli.icd.editions.edition import Entry
from icdcli.icd.editions.nesting import nested
from icdcli.icd.hierarchy import block_of, chapter_of

_ORDER = re.compile(r"(?P<number>\d{5}) (?P<code>[A-Z0-9]{3,7}) +(?P<valid>[01]) (?P<rest>.+)")
_LONG = 77 - 16  # columns from the short title to the long one
_CODE = re.compile(r"(?P<code>[A-Z0-9]{2,7})\s+(?P<title>\S.*)")


def is_order_line(line: str) -> bool:
    """Return whether a line is from a file in order."""
    return _ORDER.fullmatch(line.rstrip()) is not None


def is_code_line(line: str) -> bool:
    """Return whether a line is from a list of codes."""
    return _CODE.fullmatch(line.rstrip()) is not None


def read_codes(lines: Sequence[str], name: str, kind: Kind, system: System) -> Iterator[Entry]:
    """Yield the entries of a list of codes with their long titles.

    Raises:
        DataError: A line is no code and title, or a code occurs twice.
    """
    titles: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = _CODE.fullmatch(line.rstrip())
        if found is None:
            raise DataError(f"{name}, line {number}: expected a code and its title.")
        code = dotted(found["code"], kind, system)
        if code in titles:
            raise DataError(f"{name}, line {number}: {code} occurs twice. Keep one.")
        titles[code] = found["title"]
    yield from nested(titles, kind, system)


def read_order(lines: Sequence[str], name: str, kind: Kind, system: System) -> Iterator[Entry]:
    """Yield the entries of a file in order.

    Raises:
        DataError: A line isn't as CMS writes it.
    """
    chapter = block = None
    opened: list[tuple[str, str]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = _ORDER.fullmatch(line.rstrip())
        if found is None:
            raise DataError(
                f"{name}, line {number}: expected an order number, a code, 0 or 1, and titles."
            )
        bare = found["code"]
        code = dotted(bare, kind, system)
        of, section = chapter_of(code, kind, system), block_of(code, kind, system)
        if of is not None and of != chapter:
            yield Entry(f"Chapter {of.id}", of.title, "chapter", None, False)
        chapter = of
        parent = f"Chapter {of.id}" if of is not None else None
        if section is not None and section != of and "-" in section.id:
            if section != block:
                yield Entry(section.id, section.title, "block", parent, False)
            parent = section.id
        block = section
        while opened and not bare.startswith(opened[-1][0]):
            opened.pop()
        title = found["rest"][_LONG:].strip() or found["rest"].strip()
        yield Entry(
            code,
            title,
            "category" if not opened else "code",
            opened[-1][1] if opened else parent,
            found["valid"] == "1",
        )
        opened.append((bare, code))
