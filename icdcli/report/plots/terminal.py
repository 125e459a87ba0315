"""Plots for the terminal, as strings without color codes, which suit pipes and logs too."""

import shutil
from collections.abc import Sequence


def lr_landmarks(
    steps: Sequence[int], learning_rates: Sequence[float]
) -> list[tuple[int, float, str]]:
    """Return the points of a schedule that get a label: the peak and the last value.

    Args:
        steps: Steps, ascending.
        learning_rates: The learning rate at each step.

    Returns:
        (step, learning rate, label); only one point if the schedule ends at its peak.
    """
    if not steps or len(steps) != len(learning_rates):
        raise ValueError(
            "a schedule needs one learning rate per step; "
            f"got {len(learning_rates)} for {len(steps)} steps"
        )
    peak = max(range(len(steps)), key=lambda position: learning_rates[position])
    # If nothing rises before the peak, it is the start of training, not the end of warm-up.
    name = "warm-up ends, peak" if learning_rates[0] < learning_rates[peak] else "peak"
    points = [
        (
            steps[peak],
            learning_rates[peak],
            f"{name}: step {steps[peak]:,}, {learning_rates[peak]:.2e}",
        )
    ]
    if peak != len(steps) - 1:
        last = f"{learning_rates[-1]:.2e}" if learning_rates[-1] else "0"
        points.append((steps[-1], learning_rates[-1], f"last: step {steps[-1]:,}, {last}"))
    return points


def lr_schedule_plot(
    steps: Sequence[int],
    learning_rates: Sequence[float],
    width: int | None = None,
    height: int | None = None,
) -> str:
    """Draw a learning-rate schedule.

    Args:
        steps: Optimizer steps, ascending.
        learning_rates: The learning rate at each step.
        width: Columns; None: those of the terminal, at most 120.
        height: Lines; None: those of the terminal less 4, between 10 and 20.

    Returns:
        The plot, its lines joined by newlines, without color codes.

    Raises:
        ValueError: If there are no steps, or not one learning rate per step.
    """
    from plotext import figure

    landmarks = lr_landmarks(steps, learning_rates)
    terminal = shutil.get_terminal_size()
    width = min(terminal.columns, 120) if width is None else width
    height = max(10, min(terminal.lines - 4, 20)) if height is None else height
    # More points than twice the columns can't be distinguished. The landmarks are always drawn.
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
    figure.label("optimizer step")
    drawing: str = figure.build().string(colorless=True)
    figure.clear()
    return "\n".join(line.rstrip() for line in drawing.rstrip("\n").split("\n"))
