"""The batch plan, and the documents of one forward pass as arrays.

An epoch is split into steps, a step's documents over the ranks, a rank's into micro-batches: one forward pass each. All of it
is a pure function of its arguments: nothing about the plan needs saving.

A document longer than the model's window is read in chunks that overlap. Nothing after the backbone knows of them: of each
chunk, some states are kept, and end to end these make up the document.

Shapes: B documents, C chunks, T tokens, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Padding = Literal["free", "batch"]
"""How documents lie in a forward pass: end to end, or padded to the longest of them."""


@dataclass(frozen=True, slots=True)
class Chunks:
    """How a document longer than the model's window is read.

    Attributes:
        length: Tokens of a chunk, special tokens included.
        stride: Tokens from the start of a chunk to that of the next.
    """

    length: int
    stride: int


@dataclass(frozen=True, slots=True)
class TokenizedDocument:
    """A document as the backbone reads it.

    Attributes:
        chunks: The token ids of each chunk, special tokens included; one chunk where the document fits the window.
        kept: Of each chunk, from and up to which position its states are part of the document's.
    """

    chunks: tuple[Ids, ...]
    kept: tuple[tuple[int, int], ...]

    @classmethod
    def whole(cls, ids: Ids) -> "TokenizedDocument":
        """A document of one chunk."""
        return cls((ids,), ((0, len(ids)),))

    def __len__(self) -> int:
        """The document's states."""
        return sum(end - start for start, end in self.kept)


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """What stands around a document's own tokens.

    Attributes:
        prefix: Token ids before them.
        suffix: Token ids after them.
        pad: The id that fills a batch up; masked, so any will do.
    """

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    pad: int

    def __len__(self) -> int:
        return len(self.prefix) + len(self.suffix)

    def windows(
        self, tokens: int, max_len: int, first_window_only: bool = False
    ) -> list[tuple[int, int]]:
        """Return the windows in which a document is read: the first token, and that after the last.

        This is the one meaning of ``max_len``: the length of a window, special tokens included.
        Prediction reads all windows of a note, each of which overlaps the one before by a quarter;
        the last ends with the note. Training and evaluation read only the first window of a
        document.

        Args:
            tokens: The length of the document, without special tokens.
            max_len: The length of a window, special tokens included.
            first_window_only: Return only the first window.
        """
        room = max_len - len(self)
        if tokens <= room or first_window_only:
            return [(0, min(tokens, room))]
        starts = [*range(0, tokens - room, max(room * 3 // 4, 1)), tokens - room]
        return [(start, start + room) for start in starts]

    def read(
        self, ids: Sequence[int] | NDArray[np.integer], max_len: int, chunks: Chunks | None = None
    ) -> TokenizedDocument:
        """Return the first window of a document, with special tokens; see `windows`.

        Args:
            ids: The document's own tokens.
            max_len: The length of a window, special tokens included once.
            chunks: How a window longer than a chunk is read; None: at once. If chunks overlap, each
                token's hidden state is that of the chunk whose border is farther away. The last
                chunk ends with the window and is as long as the others.
        """
        ((start, end),) = self.windows(len(ids), max_len, first_window_only=True)
        cut = np.asarray(ids[start:end], dtype=np.int64)
        room = len(cut) if chunks is None else chunks.length - len(self)
        if len(cut) <= room:
            return TokenizedDocument.whole(self._around(cut))
        assert chunks is not None
        last = len(cut) - room
        starts = np.array([*range(0, last, chunks.stride), last])
        # Where one chunk's part of the document ends and the next one's begins: in the middle of what both read.
        borders = (starts[1:] + starts[:-1] + room) // 2 + len(self.prefix)
        kept = zip(
            [0, *(borders - starts[1:])], [*(borders - starts[:-1]), room + len(self)], strict=True
        )
        return TokenizedDocument(
            tuple(self._around(cut[start : start + room]) for start in starts.tolist()),
            tuple((int(start), int(end)) for start, end in kept),
        )

    def tokens(
        self, own: NDArray[np.int64], max_len: int, chunks: Chunks | None = None
    ) -> NDArray[np.int64]:
        """How many tokens the backbone reads of documents with so many of their own; those in two chunks count twice."""
        lengths: NDArray[np.int64] = np.minimum(own + len(self), max_len)
        if chunks is None:
            return lengths
        room = chunks.length - len(self)
        more = -(-np.maximum(lengths - chunks.length, 0) // chunks.stride)
        return np.where(more > 0, (more + 1) * (room + len(self)), lengths)

    def _around(self, ids: Ids) -> Ids:
        return np.concatenate(
            [np.array(self.prefix, np.int64), ids, np.array(self.suffix, np.int64)]
        )


@dataclass(frozen=True, slots=True)
class Padded:
    """Documents of one forward pass, their chunks side by side.

    Attributes:
        ids_CT: Token ids, padded on the right to the longest chunk.
        mask_CT: True where a token is real.
        kept: Which of the C · T states make up the documents, one document after the other.
        documents: States of each document.
    """

    ids_CT: Ids
    mask_CT: NDArray[np.bool_]
    kept: Ids
    documents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Packed:
    """Documents of one forward pass, end to end.

    Attributes:
        ids_T: Token ids of one chunk after the other; all are real.
        chunks: Tokens of each chunk.
        kept: Which of the T states make up the documents, one document after the other; None where all do.
        documents: States of each document.
    """

    ids_T: Ids
    chunks: tuple[int, ...]
    kept: Ids | None
    documents: tuple[int, ...]


def collate(
    documents: Sequence[TokenizedDocument], pad: int, padding: Padding = "batch"
) -> Padded | Packed:
    """Lay documents end to end (``free``), or side by side, padded to the longest of them and no further (``batch``)."""
    chunks = [ids for document in documents for ids in document.chunks]
    kept = [part for document in documents for part in document.kept]
    lengths = np.array([len(ids) for ids in chunks])
    sizes = tuple(len(document) for document in documents)
    longest = lengths.max()
    # Where each chunk's states begin.
    starts = (
        np.cumsum([0, *lengths[:-1]]) if padding == "free" else longest * np.arange(len(chunks))
    )
    if padding == "free":
        together = np.concatenate(chunks)
        all_kept = len(together) == sum(sizes)
        return Packed(
            together, tuple(lengths.tolist()), None if all_kept else _places(starts, kept), sizes
        )
    mask_CT = np.arange(longest)[None, :] < lengths[:, None]
    ids_CT = np.full(mask_CT.shape, pad, dtype=np.int64)
    ids_CT[mask_CT] = np.concatenate(chunks)
    return Padded(ids_CT, mask_CT, _places(starts, kept), sizes)


def _places(starts: Ids, kept: Sequence[tuple[int, int]]) -> Ids:
    return np.concatenate(
        [start + np.arange(*part) for start, part in zip(starts.tolist(), kept, strict=True)]
    )


def multi_hot(
    targets: Sequence[NDArray[np.int32]], labels: int, dtype: type[np.generic] = np.float32
) -> NDArray[Any]:
    """Label indices as targets_BL of zeros and ones."""
    targets_BL = np.zeros((len(targets), labels), dtype)
    for row, indices in enumerate(targets):
        targets_BL[row, indices] = 1
    return targets_BL


def steps_per_epoch(documents: int, batch_size: int) -> int:
    """Optimiser steps in one pass; the last one may hold fewer documents."""
    return -(-documents // batch_size)


def epoch_plan(
    lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """Which documents make which step of an epoch.

    Documents are shuffled, sorted by length within blocks of 64 batches, cut into batches, and the batches shuffled again: a
    batch holds documents of like length, and neighbouring batches don't.

    Args:
        lengths: Tokens of each document.
        batch_size: Documents a step.
        seed: The run's seed.
        epoch: Counted from 0; every epoch has its own order.

    Returns:
        For each step, the positions of its documents; each document stands in exactly one.
    """
    generator = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = generator.permutation(len(lengths))
    block = 64 * batch_size
    batches = []
    for start in range(0, len(order), block):
        part = order[start : start + block]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    # A short batch, where there is one, comes last, so that the number of steps doesn't depend on the blocks.
    shuffled = [batches[i] for i in generator.permutation(len(batches))]
    return sorted(shuffled, key=lambda batch: len(batch) < batch_size)


def rank_shares(rows: Ids, lengths: NDArray[np.int64], ranks: int) -> list[Ids]:
    """Split a step's documents over ranks, so that each has about as many tokens.

    The longest document goes to the rank with the fewest tokens so far, then the next (Graham 1969, longest processing time
    first); of ranks with as many, to the first.

    Args:
        rows: The documents' positions.
        lengths: Tokens of each document of the split.
        ranks: How many ranks.

    Returns:
        For each rank, the positions of its documents, longest first; none where there are fewer documents than ranks.
    """
    shares: list[list[int]] = [[] for _ in range(ranks)]
    tokens = np.zeros(ranks, dtype=np.int64)
    for row in _longest_first(rows, lengths).tolist():
        rank = int(tokens.argmin())
        shares[rank].append(row)
        tokens[rank] += lengths[row]
    return [np.array(share, dtype=np.int64) for share in shares]


def micro_batches(
    rows: Ids, lengths: NDArray[np.int64], budget: int, padding: Padding
) -> list[Ids]:
    """Split documents into forward passes, the longest first, so that what doesn't fit the memory shows at once.

    Args:
        rows: The documents' positions.
        lengths: Tokens of each document of the split.
        budget: Tokens of one forward pass: real ones where documents lie end to end, padded ones where they lie side by side.
            A longer document has a pass to itself.
        padding: How documents lie in a forward pass.

    Returns:
        For each forward pass, the positions of its documents; each document stands in exactly one.
    """
    batches: list[list[int]] = []
    tokens = longest = 0
    for row in _longest_first(rows, lengths).tolist():
        length = int(lengths[row])
        together = tokens + (length if padding == "free" else longest)
        if not batches or together > budget:
            batches.append([])
            together = longest = length
        batches[-1].append(row)
        tokens = together
    return [np.array(batch, dtype=np.int64) for batch in batches]


def _longest_first(rows: Ids, lengths: NDArray[np.int64]) -> Ids:
    return rows[np.argsort(-lengths[rows], kind="stable")]
