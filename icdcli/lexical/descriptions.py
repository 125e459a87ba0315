"""The descriptions of codes, which several parts of a model compare documents with."""

from collections.abc import Iterator, Sequence

from icdcli.data.corpus.reader import Labels
from icdcli.icd.code_system import CodeSystem
from icdcli.icd.lexicon.synonyms import expansions_of, synonyms_of
from icdcli.icd.lexicon.translation import translations

Descriptions = Sequence[Sequence[str]]
"""For each label the title of its code, or the closest substitute, then other terms for it. Empty
if nothing is known about the code."""

_MOST_TRANSLATED = 6
"""The descriptions of a code that are translated at most: some have dozens of inclusion terms."""


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


def translated(descriptions: Descriptions, language: str) -> list[tuple[str, ...]]:
    """Return the translations of each label's descriptions, each once.

    Args:
        descriptions: The descriptions; those in the language itself stay as they are.
        language: A language of `icdcli.icd.lexicon.translation.TRANSLATED`.
    """
    return [tuple(dict.fromkeys(_translations(texts, language))) for texts in descriptions]


def _translations(texts: Sequence[str], language: str) -> Iterator[str]:
    for number, text in enumerate(texts):
        found = translations(text, language)
        if number < _MOST_TRANSLATED or found == (text,):
            yield from found
