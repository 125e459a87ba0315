"""Learning-rate schedules as plain functions of the step, so that nothing about them needs saving."""

import math

from icdcli.training.section import TrainConfig


def learning_rate(step: int, config: TrainConfig) -> float:
    """The learning rate of an optimiser step.

    It rises in a straight line from 0 to ``lr0`` over ``warmup_steps``, then falls, in a straight line or along half a cosine
    (Loshchilov & Hutter 2017, without restarts), to ``lr0 * lrf`` at the last step, and stays there. Where the head learns
    alone at first, it does so once for the head and once more for all.

    Args:
        step: Optimiser steps counted from 1; 0 is the state before the first.
        config: ``lr0``, ``lrf``, ``warmup_steps``, ``head_steps``, ``steps``, ``scheduler_type``.
    """
    steps = config.head_steps or config.steps
    if config.head_steps and step > config.head_steps:
        step, steps = step - config.head_steps, config.steps - config.head_steps
    if step < config.warmup_steps:
        return config.lr0 * step / config.warmup_steps
    done = min(1.0, (step - config.warmup_steps) / (steps - config.warmup_steps))
    fall = (
        1.0 - done if config.scheduler_type == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
    )
    last = config.lr0 * config.lrf
    return last + (config.lr0 - last) * fall


def schedule_points(config: TrainConfig, points: int = 1000) -> tuple[list[int], list[float]]:
    """Return steps from 0 to the last, the end of the warm-up among them, and their learning rates."""
    steps = sorted({config.warmup_steps, *(config.steps * i // points for i in range(points + 1))})
    return steps, [learning_rate(step, config) for step in steps]
