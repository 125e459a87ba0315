"""Documents of one forward pass as tensors, padded or laid end to end.

Shapes: B documents, T tokens, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from icdcli.data.batches import Ids, Packed, Padded, Padding, collate, multi_hot
from icdcli.data.tokens import EncodedDocuments


@dataclass(frozen=True, slots=True)
class Segments:
    """Where the documents of a forward pass lie that are laid end to end.

    Attributes:
        lengths: Tokens of each document. They stay on the host, so that nothing ever waits for the device.
        starts: Where each document starts, and where the last one ends; B + 1 numbers (int32), on the device.
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
        return torch.arange(sum(self.lengths), device=self.starts.device) - self.starts[self.documents_T()]


class Inputs(NamedTuple):
    """What a network takes: ``network(*inputs)``.

    Attributes:
        ids: Token ids, ids_BT or, where documents lie end to end, ids_T.
        layout: What tells documents apart: mask_BT (True where a token is real) or the segments.
    """

    ids: Tensor
    layout: Tensor | Segments

    @classmethod
    def of(cls, batch: Padded | Packed) -> "Inputs":
        """A collated batch as tensors on the CPU."""
        if isinstance(batch, Packed):
            return cls(torch.from_numpy(batch.ids_T), Segments.of(batch.lengths))
        return cls(torch.from_numpy(batch.ids_BT), torch.from_numpy(batch.mask_BT))

    def to(self, device: torch.device) -> "Inputs":
        """The same on a device; from pinned memory nothing waits for the copy."""
        ids = self.ids.to(device, non_blocking=True)
        if isinstance(self.layout, Segments):
            return Inputs(ids, Segments(self.layout.lengths, self.layout.starts.to(device, non_blocking=True)))
        return Inputs(ids, self.layout.to(device, non_blocking=True))

    def pinned(self) -> "Inputs":
        """The same in memory that a GPU copies from by itself."""
        if isinstance(self.layout, Segments):
            return Inputs(self.ids.pin_memory(), Segments(self.layout.lengths, self.layout.starts.pin_memory()))
        return Inputs(self.ids.pin_memory(), self.layout.pin_memory())


def read_batch(
    documents: EncodedDocuments, rows: Ids, labels: int, padding: Padding, device: torch.device
) -> tuple[Inputs, Tensor]:
    """Read documents for one forward pass.

    Args:
        documents: A split.
        rows: The documents' positions in it.
        labels: How many labels there are.
        padding: How the documents shall lie.
        device: Where they will go to; for a GPU they are read into pinned memory.

    Returns:
        What the network takes and targets_BL, on the CPU.
    """
    inputs = Inputs.of(collate([documents[row] for row in rows], documents.frame.pad, padding))
    targets_BL = torch.from_numpy(multi_hot([documents.targets[row] for row in rows], labels))
    if device.type != "cuda":
        return inputs, targets_BL
    with torch.cuda.device(device):  # each thread has a current GPU of its own
        return inputs.pinned(), targets_BL.pin_memory()
