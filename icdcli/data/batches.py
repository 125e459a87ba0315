"""The batch plan, and documents as padded arrays.

Shapes: B documents, T tokens, L labels. The plan is a pure function of its arguments: nothing about it needs saving.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


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
class Batch:
    """Documents of one forward pass.

    Attributes:
        ids_BT: Token ids, padded on the right to the longest document.
        mask_BT: True where a token is real.
    """

    ids_BT: Ids
    mask_BT: NDArray[np.bool_]


def collate(documents: Sequence[Ids], pad: int) -> Batch:
    """Lay documents side by side, padded to the longest of them and no further."""
    lengths = np.array([len(ids) for ids in documents])
    mask_BT = np.arange(lengths.max())[None, :] < lengths[:, None]
    ids_BT = np.full(mask_BT.shape, pad, dtype=np.int64)
    ids_BT[mask_BT] = np.concatenate(documents)
    return Batch(ids_BT, mask_BT)


def multi_hot(targets: Sequence[NDArray[np.int32]], labels: int) -> NDArray[np.float32]:
    """Label indices as targets_BL of zeros and ones."""
    targets_BL = np.zeros((len(targets), labels), dtype=np.float32)
    for row, indices in enumerate(targets):
        targets_BL[row, indices] = 1.0
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
