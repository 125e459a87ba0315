"""What is said about codes, in one place for all who compare a document with it."""

from collections.abc import Sequence

from icdcli.data.corpus.reader import Labels
from icdcli.icd.codes import System
from icdcli.icd.terms import inclusion_terms
from icdcli.icd.titles import description

Descriptions = Sequence[Sequence[str]]
"""For each label, what its code means: its title or what comes nearest to one, then other words for it. Empty where nothing is
known."""


def descriptions_of(labels: Labels, system: System | None) -> list[tuple[str, ...]]:
    """What each label's code means.

    Args:
        labels: The label space, with the data set's own titles.
        system: The codes' system; None: unknown, and only their own titles tell what they mean.

    Returns:
        For each label its title, or what comes nearest to one in the hierarchy, then its inclusion terms.
    """
    if system is None:
        return [(title,) if title else () for title in labels.titles]
    found = []
    for code, kind in zip(labels.codes, labels.kinds, strict=True):
        first = description(code, kind, system, labels.known_titles)
        others = inclusion_terms(code) if (system, kind) == ("icd10", "diagnosis") else ()
        found.append((first, *others) if first else others)
    return found
