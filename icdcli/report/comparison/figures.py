"""Figures of a comparison: differences with their intervals, and F1 by training frequency."""

import math
from typing import TYPE_CHECKING

from icdcli.report.plots.figures import (
    COLORS,
    MARKERS,
    add_legend,
    label_axes,
    new_figure,
    note_origin,
)
from icdcli.report.views.comparison import letters

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from icdcli.evaluation.compare import Comparison
    from icdcli.report.comparison.findings import Findings

MOST_RUNS = 7
"""The most runs that a figure shows; more would be hard to distinguish."""
_METRICS = {
    "f1_micro": "micro-F1",
    "precision_micro": "micro precision",
    "recall_micro": "micro recall",
    "f1_macro": "macro-F1",
    "map": "MAP",
    "precision_at_8": "precision at 8",
    "recall_at_15": "recall at 15",
    "aucprc_micro": "micro AUPRC",
}


def comparison_figures(
    comparison: "Comparison", findings: "Findings", origin: str
) -> "dict[str, Figure]":
    """Draw the figures of a comparison.

    Args:
        comparison: The comparison.
        findings: What its runs find.
        origin: The data set and split, in words for the foot of each figure.

    Returns:
        ``differences`` and ``frequencies``; without those that would be empty.
    """
    figures = {}
    if any(comparison.differences):
        figures["differences"] = _differences_figure(comparison)
    if len(findings.frequencies) > 1:
        figures["frequencies"] = _frequencies_figure(findings)
    for figure in figures.values():
        note_origin(figure, origin)
    return figures


def _differences_figure(comparison: "Comparison") -> "Figure":
    others = comparison.differences[: MOST_RUNS - 1]
    names = [name for name in _METRICS if all(name in found for found in others)]
    figure = new_figure(8, 1.6 + len(names) * (0.3 + 0.16 * len(others)))
    axes = figure.subplots()
    axes.axvline(0, color="gray", linestyle="--", linewidth=1)
    runs = [*letters()]
    for place, found in enumerate(others):
        shift = (place - (len(others) - 1) / 2) * 0.7 / len(others)
        values = [found[name].value for name in names]
        axes.errorbar(
            values,
            [row + shift for row in range(len(names))],
            xerr=[
                [max(0.0, found[name].value - found[name].low) for name in names],
                [max(0.0, found[name].high - found[name].value) for name in names],
            ],
            color=COLORS[place % len(COLORS)],
            marker=MARKERS[place % len(MARKERS)],
            linestyle="none",
            capsize=3,
            label=f"{runs[place + 1]} - A",
        )
    axes.set_yticks(range(len(names)), [_METRICS[name] for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    add_legend(axes)
    label_axes(axes, "Differences from A, with 95 % intervals", "difference", "")
    return figure


def _frequencies_figure(findings: "Findings") -> "Figure":
    bands = findings.frequencies
    runs = [*letters()][: min(len(findings.found), MOST_RUNS)]
    figure = new_figure(8, 4)
    axes = figure.subplots()
    width = 0.8 / len(runs)
    for place, run in enumerate(runs):
        axes.bar(
            [row + (place - (len(runs) - 1) / 2) * width for row in range(len(bands))],
            [f1[place] for _, f1 in bands.values()],
            width=width * 0.92,
            color=COLORS[place % len(COLORS)],
            label=run,
        )
    axes.set_xticks(
        range(len(bands)), [f"{name}\n{gold:,} gold" for name, (gold, _) in bands.items()]
    )
    most = max((f1 for _, values in bands.values() for f1 in values), default=1.0)
    axes.set_ylim(0, min(1.0, math.ceil(most * 10 + 0.5) / 10))
    add_legend(axes)
    title = "Micro-F1 by frequency in training"
    label_axes(axes, title, "training documents with the code", "micro-F1")
    return figure
