"""The risk-coverage curve: wrong codes among those accepted, by how much is accepted."""

from typing import TYPE_CHECKING

from icdcli.report.plots.figures import COLORS, DASHES, MARKERS, add_legend, label_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from icdcli.evaluation.acceptance.measuring import Acceptance


def risk_coverage_figure(acceptance: "Acceptance") -> "Figure":
    """Draw the risk and the share of complete notes against the share of codes accepted.

    Args:
        acceptance: What the scores decide; its curve has points.
    """
    points = acceptance.curve.points
    codes = [point.codes for point in points]
    figure = new_figure(8, 5.5)
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    look = {"color": COLORS[0]}
    above.fill_between(
        codes,
        [1 - point.high for point in points],
        [1 - point.low for point in points],
        alpha=0.2,
        linewidth=0,
        label="95 % interval",
        **look,
    )
    label = f"this model\n(mean risk {acceptance.curve.area:.3f})"
    above.plot(codes, [1 - point.precision for point in points], label=label, **look)
    reached = [row for row in acceptance.shown if row.score is not None]
    for position, row in enumerate(reached, start=1):
        color, dash = COLORS[position], DASHES[position % len(DASHES)]
        above.axhline(1 - row.precision, color=color, linestyle=dash, linewidth=1)
        if row.observed is not None:
            label = f"precision {row.precision:.2f}:\nscore from {row.score:.4f}"
            above.plot(
                *(row.codes, 1 - row.observed),
                color=color,
                marker=MARKERS[position],
                linestyle=dash,
                label=label,
            )
    above.set_ylim(bottom=0)
    label_axes(
        above, "Codes accepted without review: risk and coverage", "", "accepted, but not gold"
    )
    add_legend(above)
    below.plot(codes, [point.notes for point in points], **look)
    below.set_xlim(0, 1)
    below.set_ylim(0, 1)
    label_axes(below, "", "share of predicted codes that are accepted", "complete notes")
    return figure
