"""Runs side by side on the terminal: their metrics, and how sure their differences are. It fits 80 columns."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from icdcli.metrics.bootstrap import FEWEST
from icdcli.report.formatting import number, one_line, plain
from icdcli.report.views.evaluation import HEADLINE

if TYPE_CHECKING:
    from icdcli.evaluation.compare import Comparison


def comparison_view(comparison: "Comparison", split: str) -> RenderableType:
    """Render a comparison: a table for each run but the first, beside the first.

    Args:
        comparison: What to show.
        split: The split that all were evaluated on.

    Returns:
        A rich renderable.
    """
    first = comparison.contenders[0]
    parts: list[RenderableType] = [
        plain(f"{split}: {len(first.ids):,} documents, {len(first.codes):,} codes", "bold"),
        *(
            plain(f"{letter}  {contender.name}, threshold {contender.threshold}")
            for letter, contender in zip(letters(), comparison.contenders, strict=False)
        ),
        plain(""),
    ]
    names = list(letters())[1 : len(comparison.contenders)]
    for letter, contender, differences in zip(
        names, comparison.contenders[1:], comparison.differences, strict=True
    ):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
        for column in ("metric", "A", letter, f"{letter} - A", "95 % interval", ""):
            table.add_column(column, justify="left" if column in ("metric", "") else "right")
        for metric in (name for name in HEADLINE if name in differences):
            difference = differences[metric]
            values = (
                number(metric, each.statistics.metrics[metric]) for each in (first, contender)
            )
            bounds = f"{_signed(difference.low)} to {_signed(difference.high)}"
            table.add_row(
                *(
                    one_line(metric),
                    *values,
                    _signed(difference.value),
                    bounds,
                    "sure" if difference.sure else "",
                ),
                style="bold" if difference.sure else "",
            )
        parts += [table, plain("")]
    parts.append(
        plain(
            'Paired: documents drawn 1,000 times, the same for both. "sure": the interval leaves zero out, as that of one in '
            f"twenty metrics does by chance, and {FEWEST} or more documents make the difference."
        )
    )
    return Group(*parts)


def letters() -> Iterator[str]:
    """What runs are called in tables: A, B, C …."""
    return iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def comparison_dict(comparison: "Comparison") -> dict[str, Any]:
    """The same as plain values for JSON.

    Returns:
        ``documents``, ``codes``, and ``runs``: a list of ``name``, ``threshold``, ``metrics`` and, but for the first run,
        ``differences``, metric to ``value``, ``low``, ``high`` and ``sure``.
    """
    runs: list[dict[str, Any]] = []
    for contender, differences in zip(
        comparison.contenders, ({}, *comparison.differences), strict=True
    ):
        run = {
            "name": contender.name,
            "threshold": contender.threshold,
            "metrics": dict(contender.statistics.metrics),
        }
        runs.append(
            run
            | (
                {"differences": {k: v._asdict() for k, v in differences.items()}}
                if differences
                else {}
            )
        )
    return {
        "documents": len(comparison.contenders[0].ids),
        "codes": len(comparison.contenders[0].codes),
        "runs": runs,
    }


def _signed(value: float) -> str:
    return f"{value:+.4f}"
