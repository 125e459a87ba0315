"""Documents of one forward pass as tensors, padded or laid end to end.

Shapes: B documents, C chunks, T tokens, D width, L labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor

from icdcli.data.batching import Ids, Packed, Padded, Padding, collate, multi_hot
from icdcli.data.token_cache import EncodedDocuments


@dataclass(frozen=True, slots=True)
class Segments:
    """Where documents, or chunks of them, lie that are laid end to end.

    Attributes:
        lengths: Tokens of each. They stay on the host, so that nothing ever waits for the device.
        starts: Where each starts, and where the last one ends; one number more (int32), on the device.
    """

    lengths: tuple[int, ...]
    starts: Tensor

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "Segments":
        """Documents of these lengths, one after the other."""
        starts = torch.tensor([0, *lengths]).cumsum(0)
        return cls(tuple(lengths), starts.to(torch.int32))

    @property
    def runs(self) -> list[tuple[int, int]]:
        """Neighbouring documents of one length, as (length, how many)."""
        return [(length, len(list(run))) for length, run in groupby(self.lengths)]

    def documents_T(self) -> Tensor:
        """The number of the document that each token belongs to."""
        numbers = torch.arange(len(self.lengths), device=self.starts.device)
        return numbers.repeat_interleave(self.starts.diff(), output_size=sum(self.lengths))

    def positions_T(self) -> Tensor:
        """The place of each token in its document, from 0."""
        return (
            torch.arange(sum(self.lengths), device=self.starts.device)
            - self.starts[self.documents_T()]
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """What a network takes.

    Attributes:
        documents: Where the documents' states lie once the backbone is done.
        ids: Token ids, ids_CT or, where chunks lie end to end, ids_T; None where states are given.
        layout: What tells chunks apart: mask_CT (True where a token is real) or segments.
        kept_T: Which states make up the documents, counted over all of them; None where all do.
        hidden_TD: A frozen backbone's states, where they were computed before.
        similarity_BL: How near the labels' descriptions come to each document, where that was computed before.
    """

    documents: Segments
    ids: Tensor | None = None
    layout: Tensor | Segments | None = None
    kept_T: Tensor | None = None
    hidden_TD: Tensor | None = None
    similarity_BL: Tensor | None = None

    @classmethod
    def of(cls, batch: Padded | Packed) -> "Batch":
        """A collated batch as tensors on the CPU."""
        documents = Segments.of(batch.documents)
        kept_T = None if batch.kept is None else torch.from_numpy(batch.kept)
        if isinstance(batch, Packed):
            return cls(documents, torch.from_numpy(batch.ids_T), Segments.of(batch.chunks), kept_T)
        return cls(
            documents, torch.from_numpy(batch.ids_CT), torch.from_numpy(batch.mask_CT), kept_T
        )

    def to(self, device: torch.device) -> "Batch":
        """The same on a device; from pinned memory nothing waits for the copy."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> "Batch":
        """The same in memory that a GPU copies from by itself."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        changed: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Segments):
                changed[field.name] = Segments(value.lengths, change(value.starts))
            else:
                changed[field.name] = None if value is None else change(value)
        return Batch(**changed)


def read_batch(
    documents: EncodedDocuments, rows: Ids, labels: int, padding: Padding, device: torch.device
) -> tuple[Batch, Tensor]:
    """Read documents for one forward pass.

    Args:
        documents: A split; where it has states or nearness, these are read.
        rows: The documents' positions in it.
        labels: How many labels there are.
        padding: How the documents shall lie.
        device: Where they will go to; for a GPU they are read into pinned memory.

    Returns:
        What the network takes and targets_BL, on the CPU.
    """
    similarity_BL = (
        None if documents.similarities is None else torch.from_numpy(documents.similarities[rows])
    )
    if documents.hidden_states is not None:
        parts = [documents.hidden_states[row] for row in rows.tolist()]
        hidden_TD = torch.from_numpy(np.concatenate(parts))
        inputs = Batch(
            Segments.of([len(part) for part in parts]),
            hidden_TD=hidden_TD,
            similarity_BL=similarity_BL,
        )
    else:
        plain = Batch.of(
            collate([documents[row] for row in rows], documents.special_tokens.pad, padding)
        )
        inputs = Batch(
            plain.documents, plain.ids, plain.layout, plain.kept_T, similarity_BL=similarity_BL
        )
    targets_BL = torch.from_numpy(multi_hot([documents.targets[row] for row in rows], labels))
    if device.type != "cuda":
        return inputs, targets_BL
    with torch.cuda.device(device):  # each thread has a current GPU of its own
        return inputs.pinned(), targets_BL.pin_memory()
