"""Figures of an evaluation: precision and recall, calibration, and F1 by training frequency.

Each is drawn once, then written as PNG or embedded in the HTML page as SVG.
"""

import io
from collections import Counter
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icdcli.report.plots.acceptance import risk_coverage_figure
from icdcli.report.plots.figures import (
    COLORS,
    DASHES,
    MARKERS,
    add_legend,
    label_axes,
    new_figure,
    note_origin,
    save_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from icdcli.evaluation.curves import Calibration, Curve
    from icdcli.evaluation.evaluate import Evaluation

_LARGEST_DOT = 500.0  # area in square points
_MARGIN = 1.3  # how far the axis reaches beyond the most frequent code
_NEVER = 0.5  # x of codes that training never saw, on the logarithmic axis


def evaluation_figures(evaluation: "Evaluation") -> "dict[str, Figure]":
    """Draw the figures of an evaluation.

    Args:
        evaluation: The evaluation.

    Returns:
        ``precision_recall``, ``calibration``, ``risk_coverage`` and ``f1_by_frequency``; without
        those that would be empty.
    """
    from icdcli.evaluation.curves import calibration, f1_by_frequency, precision_recall_curves

    curves, (codes, means) = precision_recall_curves(evaluation), f1_by_frequency(evaluation)
    figures = {"calibration": _calibration_figure(calibration(evaluation), evaluation)}
    if curves:
        figures["precision_recall"] = _precision_recall_figure(curves, evaluation)
    if evaluation.acceptance is not None and evaluation.acceptance.curve.points:
        figures["risk_coverage"] = risk_coverage_figure(evaluation.acceptance)
    if codes.x:
        figures["f1_by_frequency"] = _f1_figure(codes, means)
    run = Path(str(evaluation.about.get("run", ""))).name
    about = (evaluation.about.get("dataset"), evaluation.split, run)
    for figure in figures.values():
        note_origin(figure, " · ".join(str(words) for words in about if words))
    return {
        name: figures[name]
        for name in ("precision_recall", "calibration", "risk_coverage", "f1_by_frequency")
        if name in figures
    }


def write_pngs(figures: "Mapping[str, Figure]", folder: Path) -> list[Path]:
    """Write each figure as ``<name>.png``, atomically, and return the paths."""
    paths = [folder / f"{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        save_figure(figure, path)
    return paths


def as_svg(figure: "Figure", name: str, label: str) -> str:
    """Return a figure as an SVG element for an HTML page; the same figure gives the same text.

    Its texts stay texts, which can be searched and copied.

    Args:
        figure: The figure.
        name: Its name, different from those of the page's other figures.
        label: What it shows, in a sentence for those who can't see it.
    """
    import matplotlib

    file = io.StringIO()
    # The salt makes the identifiers inside differ from those of the page's other figures.
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(
            file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    text = file.getvalue()
    described = f'<svg role="img" aria-label="{escape(label)}"'
    return described + text[text.index("<svg") + 4 :]


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
        # Above the panel, where no curve is.
        axes.annotate(
            f"F1 {f1}",
            (f1 / (2 - f1), 1.02),
            xytext=(0, 1),
            textcoords="offset points",
            color="gray",
            fontsize="x-small",
            ha="center",
            va="bottom",
        )
    for position, (name, curve) in enumerate(curves.items()):
        color, dash = COLORS[position % len(COLORS)], DASHES[position % len(DASHES)]
        band = evaluation.by_training_frequency.get(name.removesuffix(" in training"))
        labels = evaluation.counts["labels"] if band is None else int(band["labels"])
        area = (evaluation.metrics if band is None else band)["aucprc_micro"]
        axes.plot(
            curve.x,
            curve.y,
            label=f"{name}\n({labels:,} codes, AP {area:.3f})",
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
    add_legend(axes)
    title = "Precision and recall of all pairs of a document and a code"
    label_axes(axes, title, "recall", "precision")
    axes.set_title(title, loc="left", fontweight="bold", pad=18)  # above the labels of the lines
    return figure


def _calibration_figure(bins: "Calibration", evaluation: "Evaluation") -> "Figure":
    figure = new_figure(8, 5.5)
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    error = evaluation.metrics["calibration_error"]
    of_higher = f", {bins.error_above:.3f} above {bins.above:.2f}" if bins.above else ""
    above.plot(
        [0, 1],
        [0, 1],
        color="gray",
        linestyle="--",
        linewidth=1,
        label="perfect calibration",
    )
    lows, highs = zip(*bins.intervals, strict=True)
    below_above = [
        [max(gold - low, 0.0) for gold, low in zip(bins.gold, lows, strict=True)],
        [max(high - gold, 0.0) for gold, high in zip(bins.gold, highs, strict=True)],
    ]
    above.errorbar(
        bins.scores,
        bins.gold,
        yerr=below_above,
        color=COLORS[0],
        marker=MARKERS[0],
        capsize=3,
        label=f"this model, 95 % intervals (error {error:.4f}{of_higher})",
    )
    above.legend(fontsize="small", frameon=False, loc="upper left")
    above.set_ylim(0, 1.02)
    label_axes(above, "Calibration", "", "share of gold codes")
    below.bar(bins.scores, bins.counts, width=0.04, color=COLORS[0], alpha=0.6)
    below.set_yscale("log")
    below.yaxis.set_minor_formatter("")
    below.set_xlim(0, 1)
    label_axes(below, "", "score", "pairs")
    return figure


def _f1_figure(codes: "Curve", means: Mapping[str, float]) -> "Figure":
    from icdcli.evaluation.groups import FREQUENCIES

    figure = new_figure(8, 4.5)
    axes = figure.subplots()
    counts = [count or _NEVER for count in codes.x]
    most = max(counts)
    # Many codes have the same frequency and F1: the area of a dot is their number.
    together = Counter(zip(counts, codes.y, strict=True))
    area = min(12.0, _LARGEST_DOT / max(together.values()))
    look: dict[str, Any] = {"color": COLORS[0], "alpha": 0.35, "linewidths": 0}
    axes.scatter(
        [x for x, _ in together],
        [y for _, y in together],
        s=[max(4.0, area * number) for number in together.values()],
        **look,
    )
    axes.scatter([], [], s=30, label="codes (area: how many)", **look)
    for position, (name, mean) in enumerate(means.items()):
        first, last = FREQUENCIES[name]
        left, right = (
            (_NEVER * 0.8, _NEVER * 1.25) if not first else (first, max(last or most, first * 1.1))
        )
        label = (
            "_" if position else "mean per frequency band"
        )  # labels that begin with "_" are left out of the legend
        axes.hlines(mean, left, right, color=COLORS[1], linewidth=3, label=label)
        middle = (left * min(right, most * _MARGIN)) ** 0.5
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
    add_legend(axes)
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
    axes.set_xlim(_NEVER * 0.7, most * _MARGIN)
