"""Label spaces: which codes are candidates, and the gold codes that aren't.

    seen        codes of any document of the data set, also of those that are held back
    train       codes of the documents that are trained on
    categories  these, and all other diagnoses of their categories that can be assigned
    assignable  these, and all other diagnoses that can be assigned
    described   all codes with a title that can be assigned

The first and the last are those of the prepared corpus. The others are made of it whenever it is
opened, since they depend on what is trained on. Gold codes outside of a label space count as misses
in every evaluation.

On CodiEsp's dev split, 17.8 % of the gold codes aren't in the training split, and 11.6 % are among
the 17,547 other codes of its categories. Its codes leave out seventh characters. Then the others
must do so, too: with seventh characters, 29,000 more candidates would reach a third of a percent
less.

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

WITH_UNSEEN = ("categories", "assignable")
"""The label spaces that have codes at their end that training never sees; see `add_unseen`."""

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


def add_unseen(labels: Labels, whole: Labels, system: CodeSystem, space: str) -> Labels:
    """Return a label space with other diagnoses that can be assigned at the end, the unseen codes.

    Args:
        labels: The codes that training documents have.
        whole: All codes of the data set: their titles and counts.
        system: Their coding system.
        space: ``categories``: only diagnoses of the categories that training documents have; a
            category is what is before the dot. ``assignable``: all diagnoses, if training documents
            have any.
    """
    diagnoses = {
        code for code, kind in zip(labels.codes, labels.kinds, strict=True) if kind == "diagnosis"
    }
    found = {code for code, *_ in system.described_codes(["diagnosis"])} if diagnoses else set()
    if space == "categories":
        categories = {_category(code) for code in diagnoses}
        found = {code for code in found if _category(code) in categories}
    if system.shape == "icd10" and _without_seventh(diagnoses, found):
        found = {code[:-1] if _has_seventh(code) else code for code in found}
    unseen = sorted(found - labels.index.keys())
    known, titles = whole.index, whole.titles
    return replace(
        labels,
        codes=(*labels.codes, *unseen),
        kinds=(*labels.kinds, *("diagnosis" for _ in unseen)),
        titles=(
            *labels.titles,
            *(
                titles[known[code]] if code in known else system.title(code, "diagnosis")
                for code in unseen
            ),
        ),
        counts=(
            *labels.counts,
            *(whole.counts[known[code]] if code in known else 0 for code in unseen),
        ),
        train_counts=(*labels.train_counts, *(0 for _ in unseen)),
    )


def unseen_labels(corpus: Corpus) -> int:
    """Return how many labels, the last ones, are candidates that training never sees."""
    return int(corpus.card["labels"].get("unseen", 0))


def _category(code: str) -> str:
    category, dot, _ = code.partition(".")
    return category if dot or len(code) <= 4 else code[:3]


def _has_seventh(code: str) -> bool:
    return len(code.replace(".", "")) == 7


def _without_seventh(codes: Iterable[str], assignable: Iterable[str]) -> bool:
    """Return whether a data set's codes leave out the seventh characters that they should have."""
    incomplete = {code[:-1] for code in assignable if _has_seventh(code)}
    codes = set(codes)
    return len(codes & incomplete) > sum(map(_has_seventh, codes))


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
