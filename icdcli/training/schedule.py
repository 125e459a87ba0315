"""Learning rates and stages of a training as plain functions of the step: nothing needs saving.

A new head sends random gradients into a pretrained backbone. So for the first ``head_steps`` steps
the head may be trained alone, on hidden states that are computed once, which also takes seconds
instead of minutes. After that, backbone and head are trained together. Each stage has a
learning-rate schedule of its own.
"""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from icdcli.training.section import TrainConfig

if TYPE_CHECKING:  # `plot-lr` needs no torch
    from icdcli.training.state import Training


def learning_rate(step: int, config: TrainConfig) -> float:
    """Return the learning rate of an optimizer step.

    It rises linearly from 0 to ``lr0`` over ``warmup_steps``, then falls, linearly or along half a
    cosine (Loshchilov & Hutter 2017, without restarts), to ``lr0 * lrf`` at the last step, and
    stays there. With ``head_steps`` it does so once for the head and once more for all weights.

    Args:
        step: Optimizer steps counted from 1; 0 is the state before the first.
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


def learning_rate_factor(group: dict[str, Any], step: int, config: TrainConfig) -> float:
    """Return the factor of a weight group's learning rate at a step, counted from 0.

    Args:
        group: A parameter group of the optimizer, as `make_optimizer` makes it.
        step: Optimizer steps done.
        config: ``head_steps``.
    """
    together = 0 < config.head_steps <= step
    factor: float = group.get("joint_factor", group["factor"]) if together else group["factor"]
    return factor


def schedule_points(config: TrainConfig, points: int = 1000) -> tuple[list[int], list[float]]:
    """Return steps from 0 to the last, with the end of the warm-up, and their learning rates."""
    steps = sorted({config.warmup_steps, *(config.steps * i // points for i in range(points + 1))})
    return steps, [learning_rate(step, config) for step in steps]


def begin_stage(training: "Training") -> None:
    """Freeze the backbone or let it learn, as the run's step requires."""
    learns = training.state.step >= training.config.head_steps
    for weight in training.backbone_weights:
        weight.requires_grad_(learns)
    if learns and training.backbone_weights:
        # Hidden states that were computed once change from now on.
        training.train, training.validation = (
            replace(each, hidden_states=None) for each in (training.train, training.validation)
        )
    training.model.network.train()


def steps_left(step: int, config: TrainConfig) -> int:
    """Return the number of steps to the end of the stage."""
    last = config.last_step
    return (min(config.head_steps, last) if step < config.head_steps else last) - step
