"""The descriptions of codes, which several parts of a model compare documents with."""

from collections.abc import Sequence

from icdcli.data.corpus.reader import Labels
from icdcli.icd.code_system import CodeSystem
from icdcli.icd.lexicon.synonyms import expansions_of, synonyms_of

Descriptions = Sequence[Sequence[str]]
"""For each label the title of its code, or the closest substitute, then other terms for it. Empty
if nothing is known about the code."""


def descriptions_of(
    labels: Labels, system: CodeSystem | None, synonyms_in: str | None = None
) -> list[tuple[str, ...]]:
    """Return the descriptions of each label's code.

    Args:
        labels: The label space, with the data set's own titles.
        system: The coding system; None: unknown, so that only the data set's titles are used.
        synonyms_in: Add the synonyms of this language, and what its abbreviations stand for; None:
            add neither.

    Returns:
        For each label its title, or that of the closest code in the hierarchy, then its inclusion
        terms, then its synonyms and the conditions that abbreviations stand for.
    """
    if system is None:
        return [(title,) if title else () for title in labels.titles]
    found = []
    for code, kind in zip(labels.codes, labels.kinds, strict=True):
        first = system.description(code, kind, labels.known_titles)
        others = system.terms(code, kind)
        if synonyms_in is not None and system.shape is not None:
            found_in_notes = (
                *synonyms_of(code, kind, system.shape, synonyms_in),
                *expansions_of(code, kind, system.shape, synonyms_in),
            )
            others = tuple(dict.fromkeys((*others, *found_in_notes)))
        found.append((first, *others) if first else others)
    return found
