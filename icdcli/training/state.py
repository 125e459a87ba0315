"""A run, set up, and where it stands."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from icdcli.data.batching import Ids, epoch_plan, steps_per_epoch
from icdcli.data.token_cache import EncodedDocuments
from icdcli.distributed.process_group import ProcessGroup
from icdcli.model.neural_model import NeuralModel
from icdcli.training.early_stopping import Best
from icdcli.training.section import LogConfig, TrainConfig

if TYPE_CHECKING:
    from icdcli.distributed.fsdp import Shards


@dataclass
class RunState:
    """What a run has come to; with the weights and the optimiser, all that going on needs.

    Attributes:
        step: Optimiser steps done.
        seconds: Wall time spent, earlier sessions included.
        epoch_loss: Sum of the documents' losses in the epoch under way.
        epoch_documents: How many documents that is.
        window_loss: The same since the last logged step.
        window_documents: The same since the last logged step.
        validated: The step of the last validation.
        micro_batch_tokens: Those of each process, as memory turned out.
        micro_batches_of: What they were found for; a run on another device, say, begins with its own.
        best_metric: The monitored value.
        best_loss: The validation loss.
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


@dataclass
class Training:
    """A run, set up.

    Attributes:
        model: What is trained.
        optimizer: Over the trainable weights only.
        train: The training split.
        validation: The validation split.
        validation_ids: The ids of its documents, for sample predictions.
        config: How to train.
        log: What to log.
        seed: What every random draw follows from.
        process_group: This process among its fellows.
        state: Where the run stands.
        stop_requested: Asked between steps; a signal's name ends the run there.
        train_ids: The ids of the training documents, to name those of a step that went wrong; none, and they are numbered.
        micro_batch_tokens: Tokens of a forward pass; lowered where the device runs out of memory.
        validation_words: What the words alone say of the validation documents, by part (N, L); nothing where nobody asked.
        learned: The labels that training goes by, on the device; None: all.
        backbone_weights: The weights of the backbone that are trained, from step ``head_steps`` on.
        shards: The weights shared out over the processes; None where each has all.
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
    stop_requested: Callable[[], str | None] = lambda: None
    train_ids: Sequence[str] = ()
    micro_batch_tokens: int = 16_384
    validation_words: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    backbone_weights: Sequence[torch.nn.Parameter] = ()
    shards: "Shards | None" = None
    learned: torch.Tensor | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one pass over the training split."""
        return steps_per_epoch(len(self.train), self.config.batch_size)

    def plan(self, epoch: int) -> list[Ids]:
        """The positions of the documents of each step of an epoch, counted from 0."""
        return epoch_plan(self.train.lengths, self.config.batch_size, self.seed, epoch)

    def together(self) -> AbstractContextManager[None]:
        """To be entered by all processes around what is saved; the first process saves."""
        return nullcontext() if self.shards is None else self.shards.together()

    def documents_of(self, step: int) -> list[str]:
        """The ids of a step's documents, the steps counted from 1."""
        epoch, place = divmod(step - 1, self.steps_per_epoch)
        rows = self.plan(epoch)[place].tolist()
        return [self.train_ids[row] if self.train_ids else f"number {row}" for row in rows]
