"""The steps of a training on another number of documents: the same epochs, the same schedule."""

from typing import Any

from icdcli.data.batching import steps_per_epoch
from icdcli.training.section import TrainConfig


def scaled_steps(
    train: TrainConfig, documents: int, before: int, last_step: int | None = None
) -> dict[str, Any]:
    """Return the keys of a training that takes as many epochs on another number of documents.

    Args:
        train: The section of the configuration.
        documents: The documents of the new training.
        before: The documents that the configuration was made for.
        last_step: The step at which the earlier training ended; None: at ``last_step``.
    """
    new, old = (steps_per_epoch(number, train.batch_size) for number in (documents, before))
    end = train.last_step if last_step is None else last_step

    def scaled(steps: int) -> int:
        return max(1, round(steps * new / old)) if steps else 0

    steps, stop = scaled(train.steps), scaled(min(end, train.steps))
    shortest = min(scaled(train.head_steps) or steps, steps - scaled(train.head_steps))
    return {
        "steps": steps,
        "stop_step": None if stop == steps else stop,
        "warmup_steps": min(scaled(train.warmup_steps), max(shortest - 1, 0)),
        "head_steps": scaled(train.head_steps),
        "patience": 0,
    }


def steps_of_epochs(train: TrainConfig, documents: int, epochs: int) -> dict[str, Any]:
    """Return the key with which a training ends after some epochs of its schedule."""
    stop = epochs * steps_per_epoch(documents, train.batch_size)
    return {"stop_step": None if stop >= train.steps else stop}
