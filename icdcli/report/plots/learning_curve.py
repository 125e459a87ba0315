"""The figure of a simulated reviewer: MAP and micro-F1 by the number of reviewed notes."""

from pathlib import Path
from typing import TYPE_CHECKING

from icdcli.report.plots.figures import COLORS, DASHES, MARKERS, label_axes, new_figure, save_figure
from icdcli.review.simulation.curves import MEASURES, mean_curves

if TYPE_CHECKING:
    from icdcli.review.simulation.run import LearningCurve

_DRAWN = ("map", "f1_micro")


def learning_curve_png(curve: "LearningCurve", path: Path) -> None:
    """Draw a learning curve, a line per order and evidence, with the range of the seeds.

    Args:
        curve: The learning curve.
        path: The PNG file; its folders are created, and an existing file is replaced atomically.

    Raises:
        ValueError: If no round is done.
    """
    split = curve.measured[0]
    curves = {name: points for name, points in mean_curves(curve, split).items() if points}
    if not curves:
        raise ValueError("a learning curve needs at least one round")
    figure = new_figure(9, 4.2)
    grid = figure.subplots(1, len(_DRAWN))
    for axes, measure in zip(grid, _DRAWN, strict=True):
        for position, (name, points) in enumerate(curves.items()):
            color = COLORS[position % len(COLORS)]
            notes = [point.notes for point in points]
            axes.plot(
                notes,
                [point.means[measure] for point in points],
                label=name,
                color=color,
                marker=MARKERS[position % len(MARKERS)],
                linestyle=DASHES[position % len(DASHES)],
                markersize=4,
            )
            axes.fill_between(
                notes,
                [point.lowest[measure] for point in points],
                [point.highest[measure] for point in points],
                color=color,
                alpha=0.15,
                linewidth=0,
            )
        label_axes(axes, f"{MEASURES[measure]} on {split}", "reviewed notes", MEASURES[measure])
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
    grid[-1].legend(fontsize="small", frameon=False, loc="lower right")
    save_figure(figure, path)
