"""Plots for the terminal, as strings without colour codes, so that a pipe or a log takes them as well."""

import shutil
from collections.abc import Sequence


def lr_landmarks(
    steps: Sequence[int], learning_rates: Sequence[float]
) -> list[tuple[int, float, str]]:
    """The points of a schedule worth a label, in words: where warm-up ends at the peak, and the last value.

    Args:
        steps: Steps, ascending.
        learning_rates: The learning rate at each.

    Returns:
        (step, learning rate, label); one point only where the schedule ends at its peak.
    """
    if not steps or len(steps) != len(learning_rates):
        raise ValueError(
            f"a schedule needs as many learning rates as steps; got {len(learning_rates)} and {len(steps)}"
        )
    peak = max(range(len(steps)), key=lambda position: learning_rates[position])
    # Without a rise before it the peak is where training begins, not where warm-up ends.
    name = "warm-up ends, peak" if learning_rates[0] < learning_rates[peak] else "peak"
    points = [
        (
            steps[peak],
            learning_rates[peak],
            f"{name}: step {steps[peak]:,}, {learning_rates[peak]:.2e}",
        )
    ]
    if peak != len(steps) - 1:
        points.append(
            (steps[-1], learning_rates[-1], f"last: step {steps[-1]:,}, {learning_rates[-1]:.2e}")
        )
    return points


def lr_schedule_plot(
    steps: Sequence[int],
    learning_rates: Sequence[float],
    width: int | None = None,
    height: int | None = None,
) -> str:
    """Draw a learning-rate schedule.

    Args:
        steps: Optimiser steps, ascending.
        learning_rates: The learning rate at each.
        width: Columns; None: the terminal's, at most 120.
        height: Lines; None: as the terminal allows, at most 20.

    Returns:
        The plot, its lines joined by newlines, no colour codes.

    Raises:
        ValueError: Where there are no steps, or not as many learning rates.
    """
    from plotext import figure

    landmarks = lr_landmarks(steps, learning_rates)
    terminal = shutil.get_terminal_size()
    width = min(terminal.columns, 120) if width is None else width
    height = max(10, min(terminal.lines - 4, 20)) if height is None else height
    # More points than twice the columns can't be told apart; the landmarks are always among them.
    stride = max(1, len(steps) // (2 * width))
    shown = sorted(
        {
            *range(0, len(steps), stride),
            len(steps) - 1,
            *(steps.index(step) for step, _, _ in landmarks),
        }
    )
    top = max(learning_rates) or 1.0
    span = max(steps[-1] - steps[0], 1)

    figure.clear()
    figure.plot_size(width, height)
    figure.draw(
        figure.signal(
            [steps[at] for at in shown], [learning_rates[at] for at in shown], marker="braille"
        ).lines()
    )
    for step, rate, label in landmarks:
        on_left = step - steps[0] < span / 2
        figure.draw(
            figure.text(step, rate + top * 0.06, label, alignment="left" if on_left else "right")
        )
    positions = sorted({steps[0] + round(span * part / 4) for part in range(5)})
    figure.ruler("x").ticks(positions, [f"{position:,}" for position in positions])
    figure.ruler("y").lim(0, top * 1.15)
    rates = [top * part / 4 for part in range(5)]
    figure.ruler("y").ticks(rates, [f"{rate:.2e}" for rate in rates])
    figure.title("Learning rate")
    figure.label("optimiser step")
    drawing: str = figure.build().string(colorless=True)
    figure.clear()
    return "\n".join(line.rstrip() for line in drawing.rstrip("\n").split("\n"))
