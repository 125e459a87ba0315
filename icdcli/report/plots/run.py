"""PNG files of a run: its learning-rate schedule and its learning curves."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from icdcli.config.metric_names import monitored
from icdcli.io.files import writing
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
from icdcli.report.plots.terminal import lr_landmarks
from icdcli.run_dir import RunDir, read_rows
from icdcli.training.events import Evaluated, Event, Prepared
from icdcli.training.schedule import schedule_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class RunPlots:
    """A handler that writes the learning-rate schedule and, at each validation, the curves."""

    def __init__(self) -> None:
        self._prepared: Prepared | None = None

    def handle(self, event: Event) -> None:
        """Write the plots that an event changes."""
        if isinstance(event, Prepared) and event.summary.steps is not None:
            self._prepared = event
            if event.summary.resumed is None or event.summary.resumed.changes:
                path = RunDir(event.run).lr_schedule
                with writing(path):
                    about = " · ".join(event.run.parts[-2:])
                    lr_schedule_png(*schedule_points(event.config.train), path, about)
        elif isinstance(event, Evaluated) and self._prepared is not None:
            log, run = self._prepared.config.log, RunDir(self._prepared.run)
            rows = [
                {name: float(value or "nan") for name, value in row.items()}
                for row in read_rows(run.results)
            ]
            with writing(run.learning_curves):
                columns = [*log.common, *log.metrics]
                monitored_by, higher = monitored(self._prepared.config.train.monitor, log.metrics)
                best = best_epoch(rows, monitored_by, higher)
                about = " · ".join(self._prepared.run.parts[-2:])
                learning_curves_png(rows, columns, run.learning_curves, best, about)

    def close(self) -> None:
        """Do nothing: each plot is complete when it is written."""


def lr_schedule_png(
    steps: Sequence[int], learning_rates: Sequence[float], path: Path, about: str = ""
) -> None:
    """Draw a learning-rate schedule, with labels at its peak and its last value.

    Args:
        steps: Optimizer steps, ascending.
        learning_rates: The learning rate at each step.
        path: The PNG file; its folders are created, and an existing file is replaced atomically.
        about: The run or the configuration, for a small line below.

    Raises:
        ValueError: If there are no steps, or not one learning rate per step.
    """
    save_figure(lr_schedule_figure(steps, learning_rates, about), path)


def lr_schedule_figure(
    steps: Sequence[int], learning_rates: Sequence[float], about: str = ""
) -> "Figure":
    """Return a learning-rate schedule as a figure; see `lr_schedule_png`."""
    from matplotlib.ticker import MaxNLocator

    landmarks = lr_landmarks(steps, learning_rates)
    figure = new_figure(8, 4.5)
    axes = figure.subplots()
    axes.plot(steps, learning_rates, color=COLORS[0], linewidth=2)
    middle = (steps[0] + steps[-1]) / 2
    # A label takes about a third of the width. The space above the curve there is free.
    highest = max(learning_rates) or 1.0
    late = steps[-1] - 0.4 * (steps[-1] - steps[0])
    above = max(learning_rates[max(0, bisect_left(steps, late) - 1) :])
    for step, rate, label in landmarks:
        left = step < middle
        axes.plot([step], [rate], marker="o", color=COLORS[1], clip_on=False, zorder=3)
        axes.annotate(
            label,
            (step, rate),
            xytext=(10, 8) if left else (step, above + 0.05 * highest),
            textcoords="offset points" if left else "data",
            ha="left" if left else "right",
            va="baseline" if left else "bottom",
            # A short line straight down from the end of the label.
            arrowprops=None
            if left
            else {"arrowstyle": "-", "color": "gray", "linestyle": ":", "relpos": (1, 0)},
        )
    axes.set_ylim(0, highest * 1.2)
    label_axes(axes, "Learning-rate schedule", "optimizer step", "learning rate")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
    if about:
        note_origin(figure, about)
    return figure


def best_epoch(
    rows: Sequence[Mapping[str, float]], names: Sequence[str], higher_is_better: bool
) -> float | None:
    """Return the epoch with the best mean of some values; None if they aren't known.

    Args:
        rows: A mapping per validation, with ``epoch`` and the values.
        names: The values.
        higher_is_better: Whether the best is the highest.
    """
    means = [
        (sum(row[name] for name in names) / len(names), row["epoch"])
        for row in rows
        if all(name in row and not math.isnan(row[name]) for name in names)
    ]
    if not means:
        return None
    return max(means, key=lambda found: found[0] if higher_is_better else -found[0])[1]


def learning_curves_png(
    rows: Sequence[Mapping[str, float]],
    columns: Sequence[str],
    path: Path,
    best: float | None = None,
    about: str = "",
) -> None:
    """Draw the validations of a run: a panel each for losses, metrics and the learning rate.

    Args:
        rows: A mapping per validation, with ``epoch`` and the columns; missing values and NaN are
            left out.
        columns: The values to draw: ``train_loss``, ``validation_loss``, ``lr`` and metrics.
        path: The PNG file; its folders are created, and an existing file is replaced atomically.
        best: The epoch of the best checkpoint, which is marked; None: unknown.
        about: The run, for a small line below.

    Raises:
        ValueError: If there is nothing to draw.
    """
    save_figure(learning_curves_figure(rows, columns, best, about), path)


def learning_curves_figure(
    rows: Sequence[Mapping[str, float]],
    columns: Sequence[str],
    best: float | None = None,
    about: str = "",
) -> "Figure":
    """Return the validations of a run as a figure; see `learning_curves_png`."""
    losses = [name for name in columns if name.endswith("loss")]
    metrics = [name for name in columns if name not in (*losses, "lr")]
    rate = [name for name in columns if name == "lr"]
    panels = [
        (title, label, names)
        for title, label, names in (
            ("Loss", "mean loss per document", losses),
            ("Validation metrics", "value", metrics),
            ("Learning rate", "learning rate", rate),
        )
        if names
    ]
    if not panels or not rows:
        raise ValueError("learning curves need at least one validation and one column")
    # A legend line is about 0.19 inches high.
    heights = [
        1.6 if names == rate else max(3.2, 0.19 * len(names) + 0.6) for _, _, names in panels
    ]
    figure = new_figure(9, 0.4 + sum(heights))
    grid = figure.subplots(len(panels), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (title, label, names) in zip(grid, panels, strict=True):
        _curves(axes, rows, names, best)
        label_axes(axes, title, "", label)
    epochs = sorted({row["epoch"] for row in rows})
    axes.set_xlabel("epoch")
    axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    if len(epochs) <= 15:
        axes.set_xticks(epochs, [f"{epoch:g}" for epoch in epochs])
    if rate:
        axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
    if about:
        note_origin(figure, about)
    return figure


def _curves(
    axes: "Axes", rows: Sequence[Mapping[str, float]], names: Sequence[str], best: float | None
) -> None:
    epochs = [row["epoch"] for row in rows]
    for position, name in enumerate(names):
        axes.plot(
            epochs,
            [row.get(name, math.nan) for row in rows],
            label=name,
            color=COLORS[position % len(COLORS)],
            marker=MARKERS[position % len(MARKERS)],
            linestyle=DASHES[position // len(COLORS) % len(DASHES)],
            markersize=4 if len(rows) <= 40 else 0,
        )
    if list(names) == ["lr"]:
        return  # The title of the panel says it.
    if best is not None:
        axes.axvline(best, color="gray", linestyle=":", linewidth=1.2, label="best checkpoint")
    add_legend(axes)
