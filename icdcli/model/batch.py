"""The documents of one forward pass as tensors, padded or packed.

Shapes: B documents, C chunks, T tokens, D width, L labels, A assertion classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icdcli.data.batching import (
    Ids,
    Packed,
    Padded,
    Padding,
    TokenizedDocument,
    collate,
    multi_hot,
)
from icdcli.data.encoded_documents import EncodedDocuments
from icdcli.lexical.assertion.classes import Assertion

_ONE_CLASS = np.eye(len(Assertion), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Segments:
    """The borders of packed documents, or of their chunks.

    Attributes:
        lengths: The tokens of each. They stay on the host, so that nothing waits for the device.
        starts: The start of each, and the end of the last one: one number more (int32), on the
            device.
    """

    lengths: tuple[int, ...]
    starts: Tensor

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "Segments":
        """Return the borders of documents of these lengths, one after another."""
        starts = torch.tensor([0, *lengths]).cumsum(0)
        return cls(tuple(lengths), starts.to(torch.int32))

    @property
    def runs(self) -> list[tuple[int, int]]:
        """Return runs of neighboring documents of the same length, as (length, documents)."""
        return [(length, len(list(run))) for length, run in groupby(self.lengths)]

    def documents_T(self) -> Tensor:
        """Return the number of the document that each token belongs to."""
        numbers = torch.arange(len(self.lengths), device=self.starts.device)
        return numbers.repeat_interleave(self.starts.diff(), output_size=sum(self.lengths))

    def positions_T(self) -> Tensor:
        """Return the position of each token in its document, from 0."""
        return (
            torch.arange(sum(self.lengths), device=self.starts.device)
            - self.starts[self.documents_T()]
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """The input of a network.

    Attributes:
        documents: The borders of the documents in the hidden states.
        ids: Token ids: ids_CT, or ids_T if chunks are packed; None if hidden states are given.
        layout: Separates the chunks: mask_CT (True for a real token) or segments.
        kept_T: The hidden states that belong to the documents, counted over all; None: all do.
        hidden_TD: The hidden states of a frozen backbone, if they are precomputed.
        similarity_BL: The similarity of the labels' descriptions to each document, if it is
            precomputed.
        shares_TA: The share of each assertion class in each hidden state of the documents, if it is
            known.
        principal_B: The label of each document's principal diagnosis, below 0 if it is unknown;
            None: it isn't learned.
    """

    documents: Segments
    ids: Tensor | None = None
    layout: Tensor | Segments | None = None
    kept_T: Tensor | None = None
    hidden_TD: Tensor | None = None
    similarity_BL: Tensor | None = None
    shares_TA: Tensor | None = None
    principal_B: Tensor | None = None

    @classmethod
    def of(cls, arrays: Padded | Packed) -> "Batch":
        """Return collated documents as tensors on the CPU."""
        documents = Segments.of(arrays.documents)
        kept_T = None if arrays.kept is None else torch.from_numpy(arrays.kept)
        if isinstance(arrays, Packed):
            ids_T, chunks = torch.from_numpy(arrays.ids_T), Segments.of(arrays.chunks)
            return cls(documents, ids_T, chunks, kept_T)
        ids_CT, mask_CT = torch.from_numpy(arrays.ids_CT), torch.from_numpy(arrays.mask_CT)
        return cls(documents, ids_CT, mask_CT, kept_T)

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device; from pinned memory, nothing waits for the copy."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> "Batch":
        """Return the batch in pinned memory, from which a GPU copies by itself."""
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


def class_shares(documents: Sequence[TokenizedDocument], state_pooling: int = 1) -> Tensor | None:
    """Return the share of each assertion class in the hidden states of documents: shares_TA.

    Args:
        documents: The documents, one after another.
        state_pooling: The number of neighboring hidden states that are averaged into one.

    Returns:
        The shares, float32; None if the classes aren't known.
    """
    parts = []
    for document in documents:
        if document.classes is None:
            return None
        shares_TA: NDArray[np.float32] = _ONE_CLASS[document.classes]
        if state_pooling > 1:
            starts = np.arange(0, len(shares_TA), state_pooling)
            sizes = np.diff(starts, append=len(shares_TA))
            shares_TA = (np.add.reduceat(shares_TA, starts) / sizes[:, None]).astype(np.float32)
        parts.append(shares_TA)
    return torch.from_numpy(np.concatenate(parts))


def read_batch(
    documents: EncodedDocuments, rows: Ids, labels: int, padding: Padding, device: torch.device
) -> tuple[Batch, Tensor]:
    """Read documents for one forward pass.

    Args:
        documents: The documents of a split; precomputed hidden states and similarities are used.
        rows: The positions of their windows.
        labels: The number of labels.
        padding: How the documents are padded.
        device: The device that they will be copied to; for a GPU, they are in pinned memory.

    Returns:
        The batch and targets_BL, on the CPU.
    """
    places = documents.places(rows)
    similarity_BL = (
        None if documents.similarities is None else torch.from_numpy(documents.similarities[places])
    )
    if (states := documents.hidden_states) is not None:
        parts = [states[place] for place in places.tolist()]
        hidden_TD = torch.from_numpy(np.concatenate(parts))
        batch = Batch(Segments.of([len(part) for part in parts]), hidden_TD=hidden_TD)
        if documents.tokens.classes is not None:
            shares_TA = class_shares([documents[row] for row in rows], states.state_pooling)
            batch = replace(batch, shares_TA=shares_TA)
    else:
        read = [documents[row] for row in rows]
        batch = Batch.of(collate(read, documents.special_tokens.pad, padding))
        batch = replace(batch, shares_TA=class_shares(read))
    principal_B = documents.principals_at(rows)
    batch = replace(
        batch,
        similarity_BL=similarity_BL,
        principal_B=None if principal_B is None else torch.from_numpy(principal_B),
    )
    targets_BL = torch.from_numpy(multi_hot(documents.targets_at(rows), labels))
    if device.type != "cuda":
        return batch, targets_BL
    with torch.cuda.device(device):  # each thread has its own current GPU
        return batch.pinned(), targets_BL.pin_memory()
