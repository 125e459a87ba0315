"""The terminal view of a comparison of runs: metrics and their differences. It fits 80 columns."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from icdcli.metrics.bootstrap import MIN_DIFFERENT
from icdcli.report.formatting import number, one_line, plain
from icdcli.report.views.evaluation import HEADLINE

if TYPE_CHECKING:
    from icdcli.evaluation.compare import Comparison


def comparison_view(comparison: "Comparison", split: str) -> RenderableType:
    """Render a comparison: for each run but the first, a table that compares it with the first.

    Args:
        comparison: The comparison.
        split: The split that all runs were evaluated on.

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
            bounds = f"{signed(difference.low)} to {signed(difference.high)}"
            table.add_row(
                *(
                    one_line(metric),
                    *values,
                    signed(difference.value),
                    bounds,
                    "sure" if difference.sure else "",
                ),
                style="bold" if difference.sure else "",
            )
        parts += [table, plain("")]
    parts.append(
        plain(
            "Intervals: 1,000 resamples of the documents, the same for both runs (paired). "
            f'"sure": the 95 % interval excludes zero and at least {MIN_DIFFERENT} documents '
            "differ. About 1 metric in 20 does so by chance."
        )
    )
    return Group(*parts)


def letters() -> Iterator[str]:
    """Return the letters that name the runs in tables: A, B, C and so on."""
    return iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def signed(value: float, digits: int = 4) -> str:
    """Format a difference with its sign."""
    return f"{value:+.{digits}f}"
