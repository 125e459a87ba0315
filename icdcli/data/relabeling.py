"""From one label space to another: which label each new one takes over from.

When an edition divides a code, its labels are replaced by those of the codes below it, which share
what the model knows about it. A code that the edition adds has no such label, and starts from its
descriptions. All other labels keep everything, so that their scores don't change.

Shapes: P labels before, L labels after, K other values of a label.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True)
class Relabeling:
    """What becomes of the labels of a model.

    Attributes:
        before: P.
        sources_L: The label before that each label takes over from; -1: none.
        shares_L: Among how many labels this one's source is shared; 1 for a label without one.
        kept_L: Whether the label is that of the same code as before.
        descriptions: The descriptions of each label. Those of kept labels don't count: they keep
            what the model has.
    """

    before: int
    sources_L: NDArray[np.int64]
    shares_L: NDArray[np.int64]
    kept_L: NDArray[np.bool_]
    descriptions: Sequence[Sequence[str]]

    def __len__(self) -> int:
        """Return L."""
        return len(self.sources_L)

    @property
    def sourced_L(self) -> NDArray[np.bool_]:
        """Return which labels take over from another one."""
        return self.sources_L >= 0

    @property
    def changed(self) -> list[int]:
        """Return the labels that aren't kept."""
        return np.flatnonzero(~self.kept_L).tolist()

    def rows(
        self, values_PK: NDArray[_Number], without_source: Any = 0, axis: int = 0
    ) -> NDArray[_Number]:
        """Return the values of each label's source.

        Args:
            values_PK: Values with a row for each label before.
            without_source: The value for labels without a source.
            axis: The dimension of the labels.
        """
        found_LK = np.take(values_PK, np.maximum(self.sources_L, 0), axis)
        np.moveaxis(found_LK, axis, 0)[~self.sourced_L] = without_source
        return found_LK

    def texts_of(self, known: Sequence[Sequence[str]]) -> list[Sequence[str]]:
        """Return the descriptions of each label: known ones if it is kept, else its own.

        Args:
            known: The descriptions of each label before.
        """
        return [
            known[source] if kept else own
            for source, kept, own in zip(
                self.sources_L.tolist(), self.kept_L.tolist(), self.descriptions, strict=True
            )
        ]

    def followers(self) -> list[list[int]]:
        """Return the labels that take over from each label before."""
        found: list[list[int]] = [[] for _ in range(self.before)]
        for label, source in enumerate(self.sources_L.tolist()):
            if source >= 0:
                found[source].append(label)
        return found

    def among(self, before: Sequence[int], after: Sequence[int]) -> "Relabeling":
        """Return the same for some of the labels, by their positions among these.

        Args:
            before: Some of the labels before.
            after: Some of the labels after.
        """
        place = {label: position for position, label in enumerate(before)}
        sources = [place.get(int(source), -1) for source in self.sources_L[list(after)]]
        return Relabeling(
            len(before),
            np.array(sources, np.int64),
            self.shares_L[list(after)],
            self.kept_L[list(after)] & (np.array(sources, np.int64) >= 0),
            [self.descriptions[label] for label in after],
        )


def share_counts(counts: NDArray[np.int32], shares: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return what each of several labels has of documents that they share; at least 1 of any."""
    shared = np.maximum(np.rint(counts / shares), np.minimum(counts, 1))
    return shared.astype(np.int32)
