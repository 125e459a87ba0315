"""Figures of an evaluation: precision and recall, calibration, and F1 by training frequency.

Each is drawn once, then written as PNG or embedded in the HTML page as SVG.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from icdcli.report.plots.figures import COLORS, DASHES, MARKERS, label_axes, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from icdcli.evaluation.curves import Calibration, Curve
    from icdcli.evaluation.evaluate import Evaluation

_NEVER = 0.5  # x of codes that training never saw, on the logarithmic axis


def evaluation_figures(evaluation: "Evaluation") -> "dict[str, Figure]":
    """Draw the figures of an evaluation.

    Args:
        evaluation: The evaluation.

    Returns:
        ``precision_recall``, ``calibration`` and ``f1_by_frequency``; without those that would be
        empty.
    """
    from icdcli.evaluation.curves import calibration, f1_by_frequency, precision_recall_curves

    curves, (codes, means) = precision_recall_curves(evaluation), f1_by_frequency(evaluation)
    figures = {"calibration": _calibration_figure(calibration(evaluation), evaluation)}
    if curves:
        figures["precision_recall"] = _precision_recall_figure(curves, evaluation)
    if codes.x:
        figures["f1_by_frequency"] = _f1_figure(codes, means)
    return {
        name: figures[name]
        for name in ("precision_recall", "calibration", "f1_by_frequency")
        if name in figures
    }


def write_pngs(figures: "Mapping[str, Figure]", folder: Path) -> list[Path]:
    """Write each figure as ``<name>.png``, atomically, and return the paths."""
    paths = [folder / f"{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        save_figure(figure, path)
    return paths


def as_svg(figure: "Figure", name: str) -> str:
    """Return a figure as an SVG element for an HTML page; the same figure gives the same text."""
    import matplotlib

    file = io.StringIO()
    # The salt makes the identifiers inside differ from those of the page's other figures.
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(
            file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    text = file.getvalue()
    return text[text.index("<svg") :]


def _precision_recall_figure(curves: "Mapping[str, Curve]", evaluation: "Evaluation") -> "Figure":
    figure = new_figure(8, 5)
    axes = figure.subplots()
    for f1 in (0.2, 0.4, 0.6, 0.8):
        recalls = [f1 / 2 + (1 - f1 / 2) * step / 100 for step in range(1, 101)]
        axes.plot(
            recalls,
            [f1 * recall / (2 * recall - f1) for recall in recalls],
            color="lightgrey",
            linewidth=1,
            zorder=1,
        )
        end = (1.0, f1 / (2 - f1))
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
        axes.annotate(
            f"F1 {f1}",
            end,
            color="gray",
            fontsize="x-small",
            ha="right",
            va="center",
            bbox=box,
            zorder=3,
        )
    for position, (name, curve) in enumerate(curves.items()):
        color, dash = COLORS[position % len(COLORS)], DASHES[position % len(DASHES)]
        axes.plot(
            curve.x,
            curve.y,
            label=name,
            color=color,
            linestyle=dash,
            linewidth=2.2 if position == 0 else 1.2,
        )
    metrics = evaluation.metrics
    recall, precision = [metrics["recall_micro"]], [metrics["precision_micro"]]
    label = f"at the threshold: F1 {metrics['f1_micro']:.3f}"
    axes.plot(recall, precision, marker="o", color="black", linestyle="none", zorder=4, label=label)
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0, 1.02)
    axes.legend(
        fontsize="small",
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0,
    )
    label_axes(
        axes, "Precision and recall of all pairs of a document and a code", "recall", "precision"
    )
    return figure


def _calibration_figure(bins: "Calibration", evaluation: "Evaluation") -> "Figure":
    figure = new_figure(8, 5.5)
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    error = evaluation.metrics["calibration_error"]
    above.plot(
        [0, 1],
        [0, 1],
        color="gray",
        linestyle="--",
        linewidth=1,
        label="perfect calibration",
    )
    above.plot(
        bins.scores,
        bins.gold,
        color=COLORS[0],
        marker=MARKERS[0],
        label=f"this model (ECE {error:.4f})",
    )
    above.legend(fontsize="small", frameon=False, loc="upper left")
    above.set_ylim(0, 1.02)
    label_axes(above, "Calibration", "", "share of gold codes")
    below.bar(bins.scores, bins.counts, width=0.04, color=COLORS[0], alpha=0.6)
    below.set_yscale("log")
    below.set_xlim(0, 1)
    label_axes(below, "", "score", "pairs")
    return figure


def _f1_figure(codes: "Curve", means: Mapping[str, float]) -> "Figure":
    from icdcli.evaluation.groups import FREQUENCIES

    figure = new_figure(8, 4.5)
    axes = figure.subplots()
    counts = [count or _NEVER for count in codes.x]
    most = max(counts)
    axes.plot(
        counts,
        codes.y,
        "o",
        color=COLORS[0],
        alpha=0.35,
        markersize=4,
        markeredgewidth=0,
        label="one code",
    )
    for position, (name, mean) in enumerate(means.items()):
        first, last = FREQUENCIES[name]
        left, right = (
            (_NEVER * 0.8, _NEVER * 1.25) if not first else (first, max(last or most, first * 1.1))
        )
        label = (
            "_" if position else "mean per frequency band"
        )  # labels that begin with "_" are left out of the legend
        axes.hlines(mean, left, right, color=COLORS[1], linewidth=3, label=label)
        middle = (left * right) ** 0.5
        axes.annotate(
            f"{mean:.2f}",
            (middle, mean),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            color=COLORS[1],
        )
    _logarithmic(axes, most)
    axes.set_ylim(-0.03, 1.06)
    axes.legend(
        fontsize="small",
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0,
    )
    label_axes(
        axes,
        "F1 of each code by its frequency in training",
        "training documents with the code",
        "F1",
    )
    return figure


def _logarithmic(axes: "Axes", most: float) -> None:
    axes.set_xscale("log")
    powers = [10**power for power in range(7) if 10**power <= most * 2]
    axes.set_xticks([_NEVER, *powers], ["never", *(f"{power:,}" for power in powers)])
    axes.minorticks_off()
    axes.set_xlim(_NEVER * 0.7, most * 1.3)
