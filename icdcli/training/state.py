"""A run that is ready to train, and its progress."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from icdcli.data.batching import Ids, epoch_plan, steps_per_epoch
from icdcli.data.encoded_documents import EncodedDocuments
from icdcli.distributed.gradient_sums import GradientSums
from icdcli.distributed.process_group import ProcessGroup
from icdcli.model.neural_model import NeuralModel
from icdcli.training.early_stopping import Best, Kept
from icdcli.training.memory.plan import MeasuredPass
from icdcli.training.memory.recomputation import NOTHING, Recomputation
from icdcli.training.section import LogConfig, TrainConfig
from icdcli.training.setting_up.final_fit import FinalFit

OnScores = Callable[[int, Mapping[str, NDArray[np.float32]]], None]

if TYPE_CHECKING:
    from icdcli.distributed.fsdp import Shards


@dataclass
class RunState:
    """The progress of a run: with the weights and the optimizer's state, all that resuming needs.

    A checkpoint holds these fields by name.

    Attributes:
        best_metric: The best monitored value.
        best_loss: The best validation loss.
        step: Optimizer steps done.
        seconds: Wall time spent, earlier sessions included.
        epoch_loss: Sum of the documents' losses in the epoch under way.
        epoch_documents: The number of these documents.
        window_loss: Sum of the documents' losses since the last logged step.
        window_documents: The number of these documents.
        validated: The step of the last validation.
        micro_batch_tokens: The micro-batch size of each process, as far as memory allowed.
        micro_batches_of: The settings that these sizes were found with; with other settings, such
            as another device, a resumed run starts from its own.
        recomputed_layers: The number of layers that are recomputed; None: not recorded.
        keeps_attention: Whether these keep what their attention computes.
    """

    best_metric: Best
    best_loss: Best = field(default_factory=lambda: Best(higher_is_better=False))
    step: int = 0
    seconds: float = 0.0
    epoch_loss: float = 0.0
    epoch_documents: int = 0
    window_loss: float = 0.0
    window_documents: int = 0
    validated: int = 0
    micro_batch_tokens: list[int] = field(default_factory=list)
    micro_batches_of: str = ""
    recomputed_layers: int | None = None
    keeps_attention: bool = False


@dataclass
class Training:
    """A run that is ready to train.

    Attributes:
        model: The model to train.
        optimizer: An optimizer of the trainable weights only.
        train: The training split, one window of each document; see `train_in`.
        validation: The validation split.
        validation_ids: The ids of its documents.
        config: How to train.
        log: What to log.
        seed: The seed of every random draw.
        process_group: The process group.
        state: The progress of the run.
        missed_NU: Gold codes of the validation split outside of the label space, a column each.
        stop_requested: Returns the number of a signal that asks the run to stop, 0 if there is
            none.
        train_ids: The ids of the training documents, for messages about a step; numbers if empty.
        micro_batch_tokens: Tokens of a micro-batch; lowered if the device runs out of memory.
        recomputation: The layers that are recomputed in the backward pass.
        measured_pass: The largest pass that was measured to choose these; None: none was.
        lexical_scores: The lexical model's scores of the validation split, by part (N, L); empty
            without a lexical model.
        backbone_weights: The trained weights of the backbone, which learn from ``head_steps`` on.
        shards: The sharded weights; None if each process has all weights.
        gradient_sums: Sums the gradients over the processes during the backward pass; None: they
            are summed after it, in one transfer.
        learned_labels: The labels that the loss includes, on the device; None: all.
        scaler: Scales the losses of a network that computes in float16; None: they aren't scaled.
        final_fit: What a run without a validation split starts from; None: it has one.
        on_scores: Receives the step and the scores of each part (N, L) at each validation, in the
            main process.
        kept: When a run is resumed, the checkpoints ``metric`` and ``loss`` that it has already.
    """

    model: NeuralModel
    optimizer: torch.optim.Optimizer
    train: EncodedDocuments
    validation: EncodedDocuments
    validation_ids: list[str]
    config: TrainConfig
    log: LogConfig
    seed: int
    process_group: ProcessGroup
    state: RunState
    missed_NU: NDArray[np.bool_] | None = None
    stop_requested: Callable[[], int] = lambda: 0
    train_ids: Sequence[str] = ()
    micro_batch_tokens: int = 16_384
    recomputation: Recomputation = NOTHING
    measured_pass: MeasuredPass | None = None
    lexical_scores: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    backbone_weights: Sequence[torch.nn.Parameter] = ()
    shards: "Shards | None" = None
    gradient_sums: GradientSums | None = None
    learned_labels: torch.Tensor | None = None
    scaler: torch.amp.GradScaler | None = None
    final_fit: FinalFit | None = None
    on_scores: OnScores | None = None
    kept: Mapping[str, Kept] = field(default_factory=dict)

    @property
    def steps_per_epoch(self) -> int:
        """Return the number of optimizer steps per epoch."""
        return steps_per_epoch(len(self.train), self.config.batch_size)

    def may_replace(self, name: str, value: float, higher_is_better: bool) -> bool:
        """Return whether this step may become ``metric`` or ``loss``: nothing better is removed."""
        kept = self.kept.get(name)
        return kept is None or kept.is_replaced_by(value, self.state.step, higher_is_better)

    def plan(self, epoch: int) -> list[Ids]:
        """Return the positions of the documents of each step of an epoch, counted from 0."""
        return epoch_plan(self.train.lengths, self.config.batch_size, self.seed, epoch)

    def train_in(self, epoch: int) -> EncodedDocuments:
        """Return the training split as an epoch, counted from 0, reads it.

        With ``long_notes: windows``, each epoch reads another window of long documents, drawn by
        chance. The number of a document's tokens is the same in every epoch.
        """
        return self.train.drawn(self.seed, epoch)

    def together(self) -> AbstractContextManager[None]:
        """Return a context in which the main process can save; all processes must enter it."""
        return nullcontext() if self.shards is None else self.shards.together()

    def documents_of(self, step: int) -> list[str]:
        """Return the ids of a step's documents, the steps counted from 1."""
        epoch, place = divmod(step - 1, self.steps_per_epoch)
        rows = self.plan(epoch)[place].tolist()
        return [self.train_ids[row] if self.train_ids else f"number {row}" for row in rows]
