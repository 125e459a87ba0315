"""The learning curve of a simulated reviewer, on the terminal. It fits 80 columns."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from icdcli.report.formatting import counted, plain
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
    parts += [plain(line) for line in _sentences(curve, curves, split)]
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


def _sentences(
    curve: "LearningCurve", curves: "dict[str, list[CurvePoint]]", split: str
) -> Iterator[str]:
    yield ""
    for name, points in curves.items():
        for measure in ("map", "f1_micro"):
            notes = notes_for(points, measure, _SHARE)
            if notes is not None and len(points) > 1:
                yield (
                    f"{name}: {_SHARE:.0%} of its last {MEASURES[measure]} after "
                    f"{counted(notes, 'note')}"
                )
    for one in curve_differences(curve, split):
        yield f"{one.curve}, compared with {one.other}: {_in_words(one)}"


def _in_words(one: CurveDifference) -> str:
    changes = ", ".join(
        f"{MEASURES[measure]} {change:+.3f} (higher in {one.better[measure]} of {one.rounds})"
        for measure, change in one.means.items()
        if measure in ("map", "f1_micro", "evidence_f1")
    )
    decided = one.means.get("decided")
    return changes + ("" if decided is None else f", codes decided per note {decided:+.1f}")


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
