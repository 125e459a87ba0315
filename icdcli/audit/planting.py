"""Plants errors in gold labels, to learn what errors look like.

Two in five of the planted errors are omissions: a code is removed, with its annotations. Two in
five are swaps: a code is replaced by another of its category that the document doesn't have, or by
any other code, drawn by frequency, if there is none; its annotations then belong to that code.
One in five is an addition: a code, drawn by frequency, that the document doesn't have.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from icdcli.audit.documents import AuditDocument
from icdcli.data.corpus.annotations import AnnotatedFragment


@dataclass(frozen=True)
class PlantedErrors:
    """Labels with planted errors.

    Attributes:
        labels: The labels of each document.
        annotations: The fragments of each document.
        removed: The document and label of each omission.
        swapped: The document and the wrong label of each swap, and the right label.
        added: The document and label of each addition.
    """

    labels: Sequence[frozenset[int]]
    annotations: Sequence[tuple[AnnotatedFragment, ...]]
    removed: frozenset[tuple[int, int]]
    swapped: Mapping[tuple[int, int], int]
    added: frozenset[tuple[int, int]]

    @property
    def wrong(self) -> frozenset[tuple[int, int]]:
        """Return the document and label of all codes that are wrong."""
        return self.added | self.swapped.keys()

    @property
    def missing(self) -> frozenset[tuple[int, int]]:
        """Return the document and label of all codes that are missing."""
        return self.removed | {(row, right) for (row, _), right in self.swapped.items()}


def plant_errors(
    documents: Sequence[AuditDocument], categories: Sequence[str], share: float, seed: int
) -> PlantedErrors:
    """Plant errors.

    Args:
        documents: The documents.
        categories: The category of each label.
        share: The share of the gold codes that become errors.
        seed: The seed of the random numbers.
    """
    random = np.random.default_rng(seed)
    pairs = [
        (row, label) for row, document in enumerate(documents) for label in sorted(document.labels)
    ]
    members: dict[str, list[int]] = {}
    for label, category in enumerate(categories):
        members.setdefault(category, []).append(label)
    counts = Counter(label for _, label in pairs)
    drawn_from = np.array([label for _, label in pairs])  # each as often as it is gold
    labels = [set(document.labels) for document in documents]
    changes: list[dict[int, int | None]] = [{} for _ in documents]
    removed, swapped, added = set(), {}, set()
    for place, chosen in enumerate(random.permutation(len(pairs))[: round(share * len(pairs))]):
        row, label = pairs[chosen]
        taken = labels[row] | documents[row].labels
        drawn = [one for one in random.choice(drawn_from, 20).tolist() if one not in taken]
        siblings = [one for one in members[categories[label]] if one not in taken and counts[one]]
        turn = place % 5 if drawn else 0
        if turn in (0, 2):
            labels[row].discard(label)
            removed.add((row, label))
            changes[row][label] = None
        elif turn in (1, 3):
            wrong = int(random.choice(siblings or drawn))
            labels[row] = (labels[row] - {label}) | {wrong}
            swapped[row, wrong] = label
            changes[row][label] = wrong
        else:
            labels[row].add(drawn[0])
            added.add((row, drawn[0]))
    annotations = [
        _changed(document.annotations, change)
        for document, change in zip(documents, changes, strict=True)
    ]
    return PlantedErrors(
        list(map(frozenset, labels)), annotations, frozenset(removed), swapped, frozenset(added)
    )


def _changed(
    fragments: Sequence[AnnotatedFragment], change: Mapping[int, int | None]
) -> tuple[AnnotatedFragment, ...]:
    changed = ((one, change.get(one.label, one.label)) for one in fragments)
    return tuple(one._replace(label=label) for one, label in changed if label is not None)
