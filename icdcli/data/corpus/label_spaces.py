"""Label spaces: which codes are candidates, and the gold codes that aren't.

    seen        codes of any document of the data set, also of those that are held back
    train       codes of the documents that are trained on
    described   all codes with a title that can be assigned

The first and the last are those of the prepared corpus, the other one is made of it whenever it is
opened, since it depends on what is trained on. Gold codes outside of a label space count as misses
in every evaluation.

Shapes: N documents, L labels, U gold codes outside of the label space.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from icdcli.data.corpus.reader import Corpus, Documents, Labels
from icdcli.icd.code_system import CodeSystem
from icdcli.icd.codes import kind_of
from icdcli.metrics.arrays import Booleans

_Value = TypeVar("_Value")


def space_of(corpus: Corpus) -> str:
    """Return the name of a corpus's label space, one of `LABEL_SPACES`."""
    return str(corpus.card["labels"].get("space", "seen"))


def restrict_labels(labels: Labels, space: str) -> Labels:
    """Return those of a data set's codes that are in a label space.

    Args:
        labels: All codes of the data set, with their counts in what is trained on.
        space: ``train``: the codes that training documents have; ``described``: these, and those
            with a title.
    """
    seen_L = np.array(labels.train_counts) > 0
    if space == "described":
        seen_L |= np.array([title is not None for title in labels.titles])
    return take_labels(labels, seen_L)


def take_labels(labels: Labels, kept_L: Booleans) -> Labels:
    """Return some of the labels, in the same order."""
    kept = np.flatnonzero(kept_L).tolist()

    def some(values: Sequence[_Value]) -> tuple[_Value, ...]:
        return tuple(values[label] for label in kept)

    return replace(
        labels,
        codes=some(labels.codes),
        kinds=some(labels.kinds),
        titles=some(labels.titles),
        counts=some(labels.counts),
        train_counts=some(labels.train_counts),
    )


def outside_codes(documents: Documents) -> list[str]:
    """Return the gold codes of any document that aren't in the label space, sorted."""
    return sorted({code for codes in documents.outside for code in codes})


def missed_columns(documents: Documents) -> Booleans:
    """Return a column for each of `outside_codes` (N, U): whether the documents have it."""
    column = {code: place for place, code in enumerate(outside_codes(documents))}
    missed_NU = np.zeros((len(documents), len(column)), dtype=bool)
    for row, codes in enumerate(documents.outside):
        missed_NU[row, [column[code] for code in codes]] = True
    return missed_NU


def add_outside(labels: Labels, documents: Documents, system: CodeSystem | None) -> Labels:
    """Return a label space with the gold codes that it lacks at its end, for an evaluation.

    Args:
        labels: The label space.
        documents: Documents whose codes are gold.
        system: The coding system, for kinds and titles; None: unknown.
    """
    codes = outside_codes(documents)
    counts = Counter(code for its in documents.outside for code in its)
    kinds = [_kind(code, labels.kinds, system) for code in codes]
    titles = [
        None if system is None else system.title(code, kind)
        for code, kind in zip(codes, kinds, strict=True)
    ]
    return replace(
        labels,
        codes=(*labels.codes, *codes),
        kinds=(*labels.kinds, *kinds),
        titles=(*labels.titles, *titles),
        counts=(*labels.counts, *(counts[code] for code in codes)),
        train_counts=(*labels.train_counts, *(0 for _ in codes)),
    )


def _kind(code: str, kinds: Iterable[str], system: CodeSystem | None) -> str:
    """Return the kind of a code: that of all labels if they have one, else by its shape."""
    known = set(kinds)
    if len(known) == 1 or system is None or system.shape is None:
        return min(known, default="diagnosis")
    return kind_of(code, system.shape)
