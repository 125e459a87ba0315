"""Training the head first, and the backbone with it afterwards.

A head that starts from nothing sends a pretrained backbone the gradients of its ignorance. So it may learn alone at first, for
``head_steps`` steps, from states that are computed once; that also takes seconds where the whole takes minutes. Each stage has
a learning-rate schedule of its own.
"""

from dataclasses import replace
from typing import Any

from icdcli.training.section import TrainConfig
from icdcli.training.state import Training


def begin_stage(training: Training) -> None:
    """Freeze the backbone, or let it learn, as the step that the run is at says."""
    learns = training.state.step >= training.config.head_steps
    for weight in training.backbone_weights:
        weight.requires_grad_(learns)
    if learns and training.backbone_weights:
        training.train, training.validation = (
            replace(each, hidden_states=None) for each in (training.train, training.validation)
        )
    training.model.network.train()


def steps_left(step: int, config: TrainConfig) -> int:
    """Steps to the end of the stage."""
    return (config.head_steps if step < config.head_steps else config.steps) - step


def learning_rate_factor(group: dict[str, Any], step: int, config: TrainConfig) -> float:
    """How many times the schedule's learning rate a group of weights takes at a step, counted from 0."""
    together = 0 < config.head_steps <= step
    factor: float = group.get("joint_factor", group["factor"]) if together else group["factor"]
    return factor
