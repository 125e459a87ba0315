"""English titles in the language of the notes, phrase by phrase.

    english          spanish
    heart failure    insuficiencia cardiaca
    heart failure    fallo cardiaco
    unspecified      -

A phrase can have several translations, the usual one first; ``-`` stands for what notes leave out.
The longest phrase of the table counts. Words that aren't in it are Latin or Greek mostly, and get
the spelling and the ending that such words have in the language. The order of the words stays as it
is in English: what reads translations must not depend on it.
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache

from icdcli.icd.lexicon.tables import rows

TRANSLATED = ("es",)
"""The languages that have a table of translations."""

_NOTHING = "-"
_VARIANTS = 2
"""A title has at most so many translations: one with the usual words, one with the others."""

_IN_BRACKETS = re.compile(r"\[[^\]]*\]|\([^)]*\)")
_POSSESSIVE = re.compile(r"['’]s\b")
_WORD = re.compile(r"[^\W_]+")
_ENDINGS = (
    *(("ction", "cción"), ("tion", "ción"), ("sion", "sión"), ("ical", "ico"), ("ic", "ico")),
    *(("ous", "oso"), ("ive", "ivo"), ("ity", "idad"), ("ary", "ario"), ("ory", "orio")),
    *(("ism", "ismo"), ("ne", "na"), ("ide", "ido"), ("ent", "ente"), ("oid", "oide")),
    *(("ency", "encia"), ("ancy", "ancia"), ("ence", "encia"), ("ance", "ancia")),
    *(("ectomy", "ectomía"), ("ostomy", "ostomía"), ("otomy", "otomía"), ("plasty", "plastia")),
    *(("plegia", "plejia"), ("rrhea", "rrea"), ("rrhage", "rragia"), ("y", "ia")),
)
_SPELLINGS = (
    *(("ph", "f"), ("th", "t"), ("rh", "r"), ("ae", "e"), ("oe", "e"), ("y", "i")),
    *(("che", "que"), ("chi", "qui"), ("ch", "c"), ("ke", "que"), ("ki", "qui"), ("k", "c")),
)
_DOUBLE = re.compile(r"([bdfgmnpst])\1")
_BEGINNING = re.compile(r"^s(?=[ptcmfl])")

Phrase = tuple[str, ...]


def translations(text: str, language: str) -> tuple[str, ...]:
    """Return translations of an English title or term.

    Args:
        text: The title or term.
        language: The language of the translations.

    Returns:
        One or two translations; the text itself if it has no phrase of the table, and nothing if
        all of it is left out.

    Raises:
        ValueError: The language has no table.
    """
    table = _table(language)
    words = _WORD.findall(_POSSESSIVE.sub("", _IN_BRACKETS.sub(" ", text.lower())))
    longest = max(map(len, table))
    found: list[tuple[str, ...]] = []
    known, place = False, 0
    while place < len(words):
        for length in range(min(longest, len(words) - place), 0, -1):
            choices = table.get(tuple(words[place : place + length]))
            if choices is not None:
                known = True
                break
        else:
            length, choices = 1, (_respelled(words[place]),)
        found.append(choices)
        place += length
    if not known:
        return (text,)
    variants = (
        " ".join(
            word
            for choices in found
            if (word := choices[min(variant, len(choices) - 1)]) != _NOTHING
        )
        for variant in range(_VARIANTS)
    )
    return tuple(dict.fromkeys(filter(None, variants)))


@cache
def _table(language: str) -> Mapping[Phrase, tuple[str, ...]]:
    """Return English phrase to its translations."""
    if language not in TRANSLATED:
        raise ValueError(f"no translations for {language!r}; only for {', '.join(TRANSLATED)}")
    found: dict[Phrase, tuple[str, ...]] = {}
    for phrase, translation in rows("translations", language):
        key = tuple(phrase.split())
        found[key] = (*found.get(key, ()), translation)
    return found


@lru_cache(maxsize=1 << 16)
def _respelled(word: str) -> str:
    """Return a Latin or Greek word of English as Spanish writes it."""
    for ending, instead in _ENDINGS:
        if word.endswith(ending):
            word = word.removesuffix(ending) + instead
            break
    for letters, instead in _SPELLINGS:
        word = word.replace(letters, instead)
    return _BEGINNING.sub("es", _DOUBLE.sub(r"\1", word))
