"""What the training loop tells the world: saving, logging and showing all consume these, none is called by it.

The module imports nothing heavy, so that whoever only shows events needs no torch.
"""

from dataclasses import dataclass, field

from icdcli.evaluation.sample import SamplePrediction


@dataclass(frozen=True, slots=True)
class Started:
    """Training is about to take its first step.

    Attributes:
        step: Optimiser steps done before (0, or the checkpoint's step on resume).
        total_steps: Optimiser steps when nothing stops the run early.
        steps_per_epoch: Optimiser steps in one pass over the training split.
    """

    step: int
    total_steps: int
    steps_per_epoch: int


@dataclass(frozen=True, slots=True)
class StepDone:
    """One optimiser step is done.

    Attributes:
        step: Steps done so far, counted from 1.
        epoch: The epoch under way, counted from 1.
        lr: The learning rate that this step used.
        train_loss: Mean loss of the documents since the last logged step; None between logged steps, so that nothing
            waits for the device.
        tokens_per_second: Real tokens (no padding) trained on a second since the last logged step; None likewise.
        note: What a person should be told of this step, such as smaller micro-batches.
    """

    step: int
    epoch: int
    lr: float
    train_loss: float | None = None
    tokens_per_second: float | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Evaluating:
    """A validation is under way.

    Attributes:
        done: Documents scored so far.
        total: Documents to score.
    """

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A validation is done.

    Attributes:
        epoch: The epoch that ended, counted from 1.
        step: Optimiser steps done so far.
        seconds: Wall time of the run so far, earlier sessions of it included.
        train_loss: Mean loss of the epoch's documents.
        validation_loss: Mean loss of the validation documents.
        lr: The learning rate of the last step.
        metrics: Metric name to value, in the configuration's order.
        monitored: The value that ``weights/metric`` and early stopping go by.
        best_metric: Whether the monitored value is the best so far.
        best_loss: Whether the validation loss is the lowest so far.
        patience_left: Validations without improvement that may still follow before the run stops.
        samples: A few documents' predictions.
        threshold: The threshold that was tuned on this validation, in words; None where it is fixed.
        alarm: What looks wrong, and what to do about it; None where nothing does.
    """

    epoch: int
    step: int
    seconds: float
    train_loss: float
    validation_loss: float
    lr: float
    metrics: dict[str, float]
    monitored: float
    best_metric: bool
    best_loss: bool
    patience_left: int
    samples: tuple[SamplePrediction, ...] = field(default_factory=tuple)
    threshold: str | None = None
    alarm: str | None = None


@dataclass(frozen=True, slots=True)
class CheckpointDue:
    """A checkpoint besides those of validations is to be written now.

    Attributes:
        step: Optimiser steps done so far.
    """

    step: int


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint is on disk.

    Attributes:
        name: ``metric``, ``loss`` or ``last``.
        step: Its optimiser step.
    """

    name: str
    step: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """Training is over.

    Attributes:
        reason: Why, in words for a person.
        step: Optimiser steps done.
        finished: Whether the run is finished, as against interrupted and to be resumed.
    """

    reason: str
    step: int
    finished: bool


Event = Started | StepDone | Evaluating | Evaluated | CheckpointDue | Saved | Stopped
