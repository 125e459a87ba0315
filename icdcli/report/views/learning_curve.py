"""The learning curve of a simulated reviewer, on the terminal. It fits 80 columns."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from icdcli.errors import counted
from icdcli.report.formatting import plain
from icdcli.review.simulation.curves import (
    MEASURES,
    CurveDifference,
    CurvePoint,
    curve_differences,
    mean_curves,
    notes_for,
)

if TYPE_CHECKING:
    from icdcli.review.simulation.rounds import SimulatedRound
    from icdcli.review.simulation.run import LearningCurve
    from icdcli.review.simulation.settings import SimulatedArm

_SHARE = 0.9
_OF_CORPUS = ("map", "f1_micro", "evidence_f1", "known")
_REACHED = ("map", "f1_micro")
_COMPARED = (*_REACHED, "evidence_f1", "decided")
_SHORT = {"evidence_f1": "F1 of words", "decided": "codes per note"}


def learning_curve_view(curve: "LearningCurve") -> RenderableType:
    """Render a learning curve: a table per measure, with a column per curve, then comparisons."""
    split = curve.measured[0]
    curves = mean_curves(curve, split)
    seeds = len({arm.seed for arm in curve.rounds})
    of = f", mean of {counted(seeds, 'seed')}" if seeds > 1 else ""
    parts: list[RenderableType] = [
        plain(f"{curve.corpus}: {counted(curve.notes, 'note')} to review{of}", "bold")
    ]
    for measure, words in MEASURES.items():
        if any(measure in point.means for points in curves.values() for point in points):
            where = f" on {split}" if measure in _OF_CORPUS else ""
            parts += [plain(f"\n{words[:1].upper()}{words[1:]}{where}"), _table(curves, measure)]
    if any(len(points) > 1 for points in curves.values()):
        parts += [plain(f"\nNotes until a curve stays above {_SHARE:.0%} of its last value")]
        parts.append(_reached(curves))
    if found := curve_differences(curve, split):
        parts += [plain("\nMean difference, and in how many rounds it is above zero")]
        parts += [_compared(found), *(plain(line) for line in _equal_work(found))]
    return Group(*parts)


def round_line(arm: "SimulatedArm", one: "SimulatedRound") -> str:
    """Return a line about a round that is done."""
    split, values = next(iter(one.splits.items()))
    return (
        f"{arm.curve}, seed {arm.seed}: {counted(one.notes, 'note')} reviewed, {split} MAP "
        f"{_cell(values['map'])}, micro-F1 {_cell(values['f1_micro'])}"
    )


def _table(curves: "dict[str, list[CurvePoint]]", measure: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("notes", justify="right")
    for name in curves:
        table.add_column(name.replace(", ", "\n"), justify="right")
    lengths = [points for points in curves.values() if points]
    longest = max(lengths, key=len, default=[])
    for place, point in enumerate(longest):
        cells = (
            _cell(points[place].means.get(measure)) if place < len(points) else ""
            for points in curves.values()
        )
        table.add_row(f"{point.notes:,}", *cells)
    return table


def _reached(curves: "dict[str, list[CurvePoint]]") -> Table:
    """Return after how many notes each curve is near its last value."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("curve")
    for measure in _REACHED:
        table.add_column(MEASURES[measure], justify="right")
    for name, points in curves.items():
        notes = (notes_for(points, measure, _SHARE) for measure in _REACHED)
        table.add_row(name, *("" if one is None else f"{one:,}" for one in notes))
    return table


def _compared(found: Sequence[CurveDifference]) -> Table:
    """Return the mean differences of curves, and in how many rounds they are above zero."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("curves")
    for measure in _COMPARED:
        table.add_column(_SHORT.get(measure, MEASURES[measure]), justify="right")
    for one in found:
        cells = (
            f"{one.means[measure]:+.3f}\n{one.better[measure]} of {one.rounds}"
            if measure in one.means
            else ""
            for measure in _COMPARED
        )
        table.add_row(f"{one.curve}\n- {one.other}", *cells)
    return table


def _equal_work(found: Sequence[CurveDifference]) -> Iterator[str]:
    for one in found:
        changes = ", ".join(
            f"{MEASURES[measure]} {change:+.3f}"
            for measure, change in one.at_equal_work.items()
            if measure in _REACHED
        )
        if changes and one.curve.startswith("uncertainty") and one.other.startswith("random"):
            yield f"{one.curve} - {one.other}, with as many codes decided: {changes}"


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
