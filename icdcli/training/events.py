"""The events of a training run, the handlers that receive them, and its result.

Saving, logging and showing consume the events; the training loop calls none of these. The module
imports nothing heavy, so that code that only shows events needs no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from icdcli.evaluation.reference.scores import ScoreReference
from icdcli.evaluation.sample import SamplePrediction
from icdcli.metrics.acceptance import AcceptanceTable
from icdcli.metrics.confidence import Confidence
from icdcli.run_dir import RunDir

if TYPE_CHECKING:
    from icdcli.config.schema import Config


@dataclass(frozen=True, slots=True)
class ResumedFrom:
    """The checkpoint that a run is resumed from, and what resuming changes.

    Attributes:
        checkpoint: The checkpoint's folder.
        step: Its optimizer step.
        changes: Each changed configuration key with its old and its new value.
        rows_set_aside: Rows of results.csv and steps.csv that belong to later steps and are moved
            to other files.
    """

    checkpoint: Path
    step: int
    changes: Mapping[str, tuple[Any, Any]]
    rows_set_aside: int = 0


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """The size of a run: its data, its model and its steps.

    Attributes:
        corpus: The name of the prepared corpus.
        train_documents: Documents of the training split.
        validation_documents: Documents of the validation split.
        codes: Size of the label space.
        codes_in_training: Codes that at least one training document has.
        device: The device that computes, as torch writes it.
        tokens_per_document: Mean tokens of a training document, as the backbone reads it; None for
            TF-IDF, like all attributes below.
        max_len: The maximum number of tokens read per document.
        trained_weights: Number of weights that are trained.
        weights: Number of all weights.
        steps: Optimizer steps of the complete run.
        steps_per_epoch: Optimizer steps per epoch.
        resumed: The checkpoint that the run is resumed from; None for a new run.
        loss_scaling: Whether the device computes in float16, with scaled losses.
        fused: The kinds of layers that are computed in fused kernels.
        cut_documents: Training documents longer than ``max_len``, which are cut.
        windows_per_document: Mean windows of a training document, if all are read in turn.
        passes: Which layers are recomputed, and the size of micro-batches, in words.
    """

    corpus: str
    train_documents: int
    validation_documents: int
    codes: int
    codes_in_training: int
    device: str
    tokens_per_document: float | None = None
    max_len: int | None = None
    trained_weights: int | None = None
    weights: int | None = None
    steps: int | None = None
    steps_per_epoch: int | None = None
    resumed: ResumedFrom | None = None
    loss_scaling: bool = False
    fused: tuple[str, ...] = ()
    cut_documents: int = 0
    windows_per_document: float | None = None
    passes: str | None = None

    def to_json(self) -> dict[str, str]:
        """Return one short text for each part of the summary, by its name."""
        resumed = self.resumed
        lines = {}
        if resumed is not None:
            lines["from"] = f"{resumed.checkpoint}, step {resumed.step:,}"
        lines["corpus"] = self.corpus
        lines["documents"] = (
            f"{self.train_documents:,} train, {self.validation_documents:,} validation; "
            f"{self.codes:,} codes"
        )
        if self.steps is None:
            lines["model"] = (
                "TF-IDF of words, and a linear classifier for each of "
                f"{self.codes_in_training:,} codes in training; on the CPU"
            )
        else:
            lines["tokens"] = (
                f"{self.tokens_per_document:,.0f} per document, at most {self.max_len:,}"
            )
            if self.cut_documents:
                lines["tokens"] += f"; {self.cut_documents:,} longer ones are cut (long_notes)"
            if self.windows_per_document is not None:
                lines["tokens"] += (
                    f"; one of {self.windows_per_document:.1f} windows per document and epoch"
                )
            lines["weights"] = (
                f"{self.trained_weights:,} trained of {self.weights:,}, on {self.device}"
            )
            if self.loss_scaling:
                lines["weights"] += ", in float16 with loss scaling"
            if self.fused:
                lines["weights"] += f"; fused: {', '.join(self.fused)}"
            if self.passes is not None:
                lines["passes"] = self.passes
            lines["steps"] = f"{self.steps:,}, {self.steps_per_epoch:,} per epoch"
        if resumed is not None:
            changes = (f"{key}: {old} -> {new}" for key, (old, new) in resumed.changes.items())
            lines["changed"] = ", ".join(changes) or "nothing"
            if rows := resumed.rows_set_aside:
                lines["set aside"] = f"{rows} {'row' if rows == 1 else 'rows'} of later steps"
        return lines


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything is set up, and the run folder exists; training starts next.

    Attributes:
        summary: The size of the run.
        run: The run folder.
        config: The configuration of the run.
        titles: Code to official title, for the codes that have one.
        set_aside: Files that now hold the rows of later steps, if the run went back to an earlier
            checkpoint.
    """

    summary: TrainingSummary
    run: Path
    config: "Config"
    titles: Mapping[str, str]
    set_aside: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Started:
    """Training takes its first step next.

    Attributes:
        step: Optimizer steps done before: 0, or the checkpoint's step if the run is resumed.
        total_steps: Optimizer steps if nothing stops the run early.
        steps_per_epoch: Optimizer steps per epoch.
    """

    step: int
    total_steps: int
    steps_per_epoch: int


@dataclass(frozen=True, slots=True)
class StepDone:
    """One optimizer step is done.

    Attributes:
        step: Steps done so far, counted from 1.
        epoch: The epoch under way, counted from 1.
        lr: The learning rate that this step used.
        train_loss: Mean loss of the documents since the last logged step; None between logged
            steps, so that nothing waits for the device.
        tokens_per_second: Tokens (without padding) per second since the last logged step; None
            between logged steps.
        note: A message for the user, such as that micro-batches were halved.
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
        step: Optimizer steps done so far.
        seconds: Wall time of the run so far, including earlier sessions.
        train_loss: Mean loss of the epoch's documents.
        validation_loss: Mean loss of the validation documents.
        lr: The learning rate of the last step.
        metrics: Metric name to value, in the configuration's order.
        monitored: The value that selects ``weights/metric`` and decides on early stopping.
        best_metric: Whether the monitored value is the best so far.
        best_loss: Whether the validation loss is the lowest so far.
        patience_left: Validations without improvement that may still follow before the run stops.
        samples: A few documents' predictions.
        threshold: The threshold that was tuned on this validation, in words; None if it is fixed.
        alarm: A warning with a remedy, if the validation looks wrong; else None.
        monitored_by: The names whose mean the monitored value is.
        note: A message if some of the names to monitor are undefined on the split; else None. It is
            the same after each validation.
        confidence: How likely scores are right, which checkpoints keep for reviewers; None: there
            are too few gold codes.
        acceptance: The scores from which codes can be accepted without review; None: too few codes
            are predicted.
        scores: A summary of the scores, with which those of incoming notes can be compared.
        at_threshold: Precision and recall of the codes that reach the threshold, whatever the
            configured metrics are.
        measured_by: How the metrics were found, if not on the validation split.
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
    monitored_by: tuple[str, ...] = ()
    note: str | None = None
    confidence: Confidence | None = None
    acceptance: AcceptanceTable | None = None
    scores: ScoreReference | None = None
    at_threshold: dict[str, float] = field(default_factory=dict)
    measured_by: str | None = None


@dataclass(frozen=True, slots=True)
class CheckpointDue:
    """A checkpoint is due between two validations.

    Attributes:
        step: Optimizer steps done so far.
    """

    step: int


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint is on disk.

    Attributes:
        name: ``metric``, ``loss`` or ``last``.
        step: Its optimizer step.
    """

    name: str
    step: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """Training is over.

    Attributes:
        reason: Why, as a message for the user.
        step: Optimizer steps done.
        finished: Whether the run is complete; if not, it was interrupted and can be resumed.
    """

    reason: str
    step: int
    finished: bool


Event = Prepared | Started | StepDone | Evaluating | Evaluated | CheckpointDue | Saved | Stopped


class Handler(Protocol):
    """A consumer of a run's events, such as a live view.

    Each process of a run calls its own handlers: `Prepared` first, `Stopped` last, each event
    after its files are on disk. An exception in a handler ends the run.
    """

    def handle(self, event: Event) -> None:
        """Receive one event."""

    def close(self) -> None:
        """Release what the handler holds. Called once, also if the run fails or never starts."""


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of a training.

    Attributes:
        run: The run folder.
        step: Optimizer steps done.
        stopped: Why the training ended, in words.
        finished: Whether the run is complete; if not, it was interrupted and can be resumed.
        epoch: The epoch of the last validation; None if there was no validation in this session,
            like the next two.
        validation_loss: The loss of the last validation.
        metrics: The metrics of the last validation.
        signal: The signal that asked any process of the run to stop; None if there was none.
        monitored_by: The names whose mean selected the best checkpoint: those of the configuration
            that are defined on the validation split. Empty if there was no validation.
    """

    run: RunDir
    step: int
    stopped: str
    finished: bool
    epoch: int | None = None
    validation_loss: float | None = None
    metrics: dict[str, float] | None = None
    signal: int | None = None
    monitored_by: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the result as ``--json`` prints it."""
        validation = {
            "epoch": self.epoch,
            "validation_loss": self.validation_loss,
            "metrics": self.metrics,
            "monitored_by": self.monitored_by or None,
        }
        return {
            "run": self.run.root,
            **{name: value for name, value in validation.items() if value is not None},
            "step": self.step,
            "stopped": self.stopped,
            "finished": self.finished,
        }
