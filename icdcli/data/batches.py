"""The batch plan, and the documents of one forward pass as arrays.

An epoch is split into steps, a step's documents over the ranks, a rank's into micro-batches: one forward pass each. All of it
is a pure function of its arguments: nothing about the plan needs saving.

Shapes: B documents, T tokens, L labels.
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
class Frame:
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

    def around(self, ids: Sequence[int] | NDArray[np.integer], max_len: int) -> Ids:
        """A document's tokens, cut so that it is at most ``max_len`` long with what stands around it."""
        kept = np.asarray(ids[: max_len - len(self)], dtype=np.int64)
        return np.concatenate([np.array(self.prefix, np.int64), kept, np.array(self.suffix, np.int64)])


@dataclass(frozen=True, slots=True)
class Padded:
    """Documents of one forward pass, side by side.

    Attributes:
        ids_BT: Token ids, padded on the right to the longest document.
        mask_BT: True where a token is real.
    """

    ids_BT: Ids
    mask_BT: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Packed:
    """Documents of one forward pass, end to end.

    Attributes:
        ids_T: Token ids of one document after the other; all are real.
        lengths: Tokens of each document.
    """

    ids_T: Ids
    lengths: tuple[int, ...]


def collate(documents: Sequence[Ids], pad: int, padding: Padding = "batch") -> Padded | Packed:
    """Lay documents end to end (``free``), or side by side, padded to the longest of them and no further (``batch``)."""
    lengths = np.array([len(ids) for ids in documents])
    if padding == "free":
        return Packed(np.concatenate(documents), tuple(lengths.tolist()))
    mask_BT = np.arange(lengths.max())[None, :] < lengths[:, None]
    ids_BT = np.full(mask_BT.shape, pad, dtype=np.int64)
    ids_BT[mask_BT] = np.concatenate(documents)
    return Padded(ids_BT, mask_BT)


def multi_hot(targets: Sequence[NDArray[np.int32]], labels: int, dtype: type[np.generic] = np.float32) -> NDArray[Any]:
    """Label indices as targets_BL of zeros and ones."""
    targets_BL = np.zeros((len(targets), labels), dtype)
    for row, indices in enumerate(targets):
        targets_BL[row, indices] = 1
    return targets_BL


def steps_per_epoch(documents: int, batch_size: int) -> int:
    """Optimiser steps in one pass; the last one may hold fewer documents."""
    return -(-documents // batch_size)


def epoch_plan(lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
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


def micro_batches(rows: Ids, lengths: NDArray[np.int64], budget: int, padding: Padding) -> list[Ids]:
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
