"""PNG files of a run: its learning-rate schedule and its learning curves; and how every figure looks.

Figures are made without pyplot, so no display, no global state; matplotlib is imported only when something is drawn.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from icdcli.io.files import replacing
from icdcli.report.plots.terminal import lr_landmarks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with any colour vision; markers and dashes tell them apart in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"
DASHES = ("-", "--", ":", "-.")


def lr_schedule_png(steps: Sequence[int], learning_rates: Sequence[float], path: Path) -> None:
    """Draw a learning-rate schedule, with the end of warm-up, the peak and the last value labelled.

    Args:
        steps: Optimiser steps, ascending.
        learning_rates: The learning rate at each.
        path: The PNG; folders above it are made, and it is replaced whole.

    Raises:
        ValueError: Where there are no steps, or not as many learning rates.
    """
    landmarks = lr_landmarks(steps, learning_rates)
    figure = new_figure(8, 4.5)
    axes = figure.subplots()
    axes.plot(steps, learning_rates, color=COLOURS[0], linewidth=2)
    middle = (steps[0] + steps[-1]) / 2
    for step, rate, label in landmarks:
        left = step < middle
        axes.plot([step], [rate], marker="o", color=COLOURS[1], clip_on=False, zorder=3)
        axes.annotate(
            label,
            (step, rate),
            # Above the curve that falls to the last point, and legible where it still crosses it.
            xytext=(10, 8) if left else (-4, 26),
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
            textcoords="offset points",
            ha="left" if left else "right",
        )
    axes.set_ylim(0, (max(learning_rates) or 1.0) * 1.12)
    label_axes(axes, "Learning-rate schedule", "optimiser step", "learning rate")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
    save_figure(figure, path)


def learning_curves_png(
    rows: Sequence[Mapping[str, float]], columns: Sequence[str], path: Path
) -> None:
    """Draw a run's validations: a panel of losses, one of metrics, one of the learning rate, as far as asked for.

    Args:
        rows: A mapping a validation, with ``epoch`` and the columns; what a row lacks, or NaN, is left out.
        columns: What to draw: ``train_loss``, ``validation_loss``, ``lr`` and metrics.
        path: The PNG; folders above it are made, and it is replaced whole.

    Raises:
        ValueError: Where there is nothing to draw.
    """
    losses = [name for name in columns if name.endswith("loss")]
    metrics = [name for name in columns if name not in (*losses, "lr")]
    rate = [name for name in columns if name == "lr"]
    panels = [
        (title, label, names)
        for title, label, names in (
            ("Loss", "mean loss of a document", losses),
            ("Validation metrics", "value", metrics),
            ("Learning rate", "learning rate", rate),
        )
        if names
    ]
    if not panels or not rows:
        raise ValueError("learning curves need at least one validation and one column")
    # A legend line is about 0.19 inches high.
    heights = [max(3.2, 0.19 * len(names) + 0.6) for _, _, names in panels]
    figure = new_figure(9, 0.4 + sum(heights))
    grid = figure.subplots(len(panels), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (title, label, names) in zip(grid, panels, strict=True):
        _curves(axes, rows, names)
        label_axes(axes, title, "", label)
    epochs = sorted({row["epoch"] for row in rows})
    axes.set_xlabel("epoch")
    axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    if len(epochs) <= 15:
        axes.set_xticks(epochs, [f"{epoch:g}" for epoch in epochs])
    if rate:
        axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
    save_figure(figure, path)


def _curves(axes: "Axes", rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> None:
    epochs = [row["epoch"] for row in rows]
    for position, name in enumerate(names):
        axes.plot(
            epochs,
            [row.get(name, math.nan) for row in rows],
            label=name,
            color=COLOURS[position % len(COLOURS)],
            marker=MARKERS[position % len(MARKERS)],
            linestyle=DASHES[position // len(COLOURS) % len(DASHES)],
            markersize=4 if len(rows) <= 40 else 0,
        )
    if list(names) == ["lr"]:
        return  # Its panel's title says it.
    # Beside the curves, where no number of names hides one.
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0,
        fontsize="small",
        frameon=False,
    )


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def label_axes(axes: "Axes", title: str, x_label: str, y_label: str) -> None:
    """Give a panel its title, labels, grid and open frame."""
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG, whole or not at all; folders above it are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, private=False) as temporary:
        # No version in the file: the same values give the same bytes.
        figure.savefig(temporary, format="png", metadata={"Software": None})
