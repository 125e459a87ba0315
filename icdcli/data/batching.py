"""The plan of batches, and the documents of one forward pass as arrays.

An epoch is split into steps, the documents of a step over the ranks, and those of a rank into
micro-batches: one forward pass each. The plan is a pure function of its arguments, so that it
needn't be saved.

A document longer than the backbone's window is read in overlapping chunks. Only the backbone sees
chunks: some hidden states of each chunk are kept; concatenated, they represent the document.

Shapes: B documents, C chunks, T tokens, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Classes = NDArray[np.uint8]
"""The assertion class of each token, a number; 0 is affirmed."""
Padding = Literal["free", "batch"]
"""The documents of a forward pass are packed (``free``) or padded to the longest (``batch``)."""

LongNotes = Literal["first", "windows"]
"""How documents of more than ``max_len`` tokens are read; see `SpecialTokens.windows`."""


@dataclass(frozen=True, slots=True)
class Chunks:
    """How a document longer than the backbone's window is read.

    Attributes:
        length: The tokens of a chunk, special tokens included.
        stride: The tokens from the start of a chunk to the start of the next.
    """

    length: int
    stride: int


@dataclass(frozen=True, slots=True)
class TokenizedDocument:
    """A document as the backbone reads it.

    Attributes:
        chunks: The token ids of each chunk, special tokens included; one chunk if the document fits
            into the window.
        kept: The first position of each chunk whose hidden state belongs to the document, and the
            position after the last.
        classes: The assertion class of each of the document's hidden states; None: not known.
    """

    chunks: tuple[Ids, ...]
    kept: tuple[tuple[int, int], ...]
    classes: Classes | None = None

    @classmethod
    def whole(cls, ids: Ids, classes: Classes | None = None) -> "TokenizedDocument":
        """Return a document of one chunk."""
        return cls((ids,), ((0, len(ids)),), classes)

    def __len__(self) -> int:
        """Return the number of the document's hidden states."""
        return sum(end - start for start, end in self.kept)


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The special tokens around a document's own tokens.

    Attributes:
        prefix: The token ids before them.
        suffix: The token ids after them.
        pad: The id that pads a batch. It is masked, so that any id will do.
    """

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    pad: int

    def __len__(self) -> int:
        return len(self.prefix) + len(self.suffix)

    def windows(
        self, tokens: int, max_len: int, long_notes: LongNotes = "first"
    ) -> list[tuple[int, int]]:
        """Return the windows in which a document is read, as (first token, token after the last).

        This is the one meaning of ``max_len``: the length of a window, special tokens included. All
        commands read a document in the windows that this function returns.

        Args:
            tokens: The length of the document, without special tokens.
            max_len: The length of a window, special tokens included.
            long_notes: Return only the first window (``first``), or as many as the document has
                (``windows``): each overlaps the one before by a quarter, and the last ends with the
                document. All windows of a document are equally long.
        """
        room = max_len - len(self)
        if tokens <= room or long_notes == "first":
            return [(0, min(tokens, room))]
        starts = [*range(0, tokens - room, max(room * 3 // 4, 1)), tokens - room]
        return [(start, start + room) for start in starts]

    def read(
        self,
        ids: Sequence[int] | NDArray[np.integer],
        max_len: int,
        chunks: Chunks | None = None,
        classes: Classes | None = None,
    ) -> TokenizedDocument:
        """Return the first window of a document, with special tokens; see `windows`.

        Args:
            ids: The document's own tokens.
            max_len: The length of a window, special tokens included once.
            chunks: How a window longer than a chunk is read; None: at once. If chunks overlap, each
                token's hidden state is that of the chunk whose border is farther away. The last
                chunk ends with the window and is as long as the others.
            classes: The assertion class of each of the document's own tokens; None: not known.
        """
        ((start, end),) = self.windows(len(ids), max_len)
        cut = np.asarray(ids[start:end], dtype=np.int64)
        around = (
            None  # special tokens are affirmed
            if classes is None
            else np.pad(classes[start:end], (len(self.prefix), len(self.suffix)))
        )
        room = len(cut) if chunks is None else chunks.length - len(self)
        if len(cut) <= room:
            return TokenizedDocument.whole(self._around(cut), around)
        assert chunks is not None
        last = len(cut) - room
        starts = np.array([*range(0, last, chunks.stride), last])
        # The borders between the chunks' parts of the document: in the middle of each overlap.
        borders = (starts[1:] + starts[:-1] + room) // 2 + len(self.prefix)
        kept = zip(
            [0, *(borders - starts[1:])], [*(borders - starts[:-1]), room + len(self)], strict=True
        )
        return TokenizedDocument(
            tuple(self._around(cut[start : start + room]) for start in starts.tolist()),
            tuple((int(start), int(end)) for start, end in kept),
            around,
        )

    def tokens(
        self, own: NDArray[np.int64], max_len: int, chunks: Chunks | None = None
    ) -> NDArray[np.int64]:
        """Return the numbers of tokens that the backbone reads; those in two chunks count twice.

        Args:
            own: The numbers of the documents' own tokens.
            max_len: The length of a window; only the first window of a document is read.
            chunks: How a window longer than a chunk is read; None: at once.
        """
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
    """The documents of one forward pass, with padded chunks.

    Attributes:
        ids_CT: The token ids, padded on the right to the longest chunk.
        mask_CT: True for a real token.
        kept: The hidden states (of C · T) that belong to the documents, one document after another.
        documents: The number of hidden states of each document.
    """

    ids_CT: Ids
    mask_CT: NDArray[np.bool_]
    kept: Ids
    documents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Packed:
    """The documents of one forward pass, packed.

    Attributes:
        ids_T: The token ids of one chunk after another, without padding.
        chunks: The number of tokens of each chunk.
        kept: The hidden states (of T) that belong to the documents, one document after another;
            None: all do.
        documents: The number of hidden states of each document.
    """

    ids_T: Ids
    chunks: tuple[int, ...]
    kept: Ids | None
    documents: tuple[int, ...]


def collate(
    documents: Sequence[TokenizedDocument], pad: int, padding: Padding = "batch"
) -> Padded | Packed:
    """Pack documents (``free``), or pad them to the longest chunk and no further (``batch``)."""
    chunks = [ids for document in documents for ids in document.chunks]
    kept = [part for document in documents for part in document.kept]
    lengths = np.array([len(ids) for ids in chunks])
    sizes = tuple(len(document) for document in documents)
    longest = lengths.max()
    # The beginning of each chunk's hidden states.
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
    """Return label indices as targets_BL of zeros and ones."""
    targets_BL = np.zeros((len(targets), labels), dtype)
    for row, indices in enumerate(targets):
        targets_BL[row, indices] = 1
    return targets_BL


def steps_per_epoch(documents: int, batch_size: int) -> int:
    """Return the number of optimizer steps per epoch; the last may have fewer documents."""
    return -(-documents // batch_size)


def epoch_plan(
    lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """Return the documents of each step of an epoch.

    Documents are shuffled, sorted by length within blocks of 64 batches and split into batches, and
    the batches are shuffled again. So the documents of a batch have similar lengths, and those of
    neighboring batches don't.

    Args:
        lengths: The tokens of each document.
        batch_size: The number of documents per step.
        seed: The run's seed.
        epoch: The epoch, counted from 0; every epoch has its own order.

    Returns:
        For each step, the positions of its documents; each document is in exactly one step.
    """
    generator = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = generator.permutation(len(lengths))
    block = 64 * batch_size
    batches = []
    for start in range(0, len(order), block):
        part = order[start : start + block]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    # A smaller batch is the last one, so that the steps don't depend on the blocks.
    shuffled = [batches[i] for i in generator.permutation(len(batches))]
    return sorted(shuffled, key=lambda batch: len(batch) < batch_size)


def rank_shares(rows: Ids, lengths: NDArray[np.int64], ranks: int) -> list[Ids]:
    """Shard a step's documents over the ranks, with about the same tokens for each.

    The longest document goes to the rank with the fewest tokens so far, then the next longest
    (Graham 1969, longest processing time first); among ranks with equal numbers, to the first.

    Args:
        rows: The documents' positions.
        lengths: The tokens of each document of the split.
        ranks: The number of ranks.

    Returns:
        For each rank, the positions of its documents, longest first. A rank may have none.
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
    """Split documents into forward passes, longest first, so that a lack of memory shows at once.

    Args:
        rows: The documents' positions.
        lengths: The tokens of each document of the split.
        budget: The most tokens per forward pass, without padding if documents are packed, with
            padding otherwise. A longer document has its own pass.
        padding: Whether documents are packed or padded.

    Returns:
        For each forward pass, the positions of its documents; each document is in exactly one pass.
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
