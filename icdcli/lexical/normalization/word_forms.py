"""Which unknown words are nevertheless words: inflections, and words with the usual letters."""

from collections import Counter
from collections.abc import Collection

_GROUP = 4
_LEAST_STEM = 4
_PER = 10_000
# Endings that one stem can have, without accents.
_ENGLISH = (
    ("", "s", "es", "e", "ed", "d", "r", "er", "ers", "or", "ors", "ing", "ings", "ly"),
    ("y", "ies", "ied", "ying", "ily"),
    ("ic", "ics", "ical", "ically", "y"),
    ("", "al", "ally", "ity", "ous", "able"),
    ("is", "es", "ic", "ics"),
    ("ia", "ias", "ic", "iac"),
    ("a", "as", "al", "ae"),
)
_SPANISH = (
    tuple(
        "ar a an aba aban ada adas ado ados ando andose o aron ara aran aria arse arle arla "
        "arlo e en".split()
    ),
    tuple(
        "er ir e en a an ia ian ida idas ido idos iendo iendose io ieron era ira irse erse "
        "irle erle".split()
    ),
    ("", "o", "a", "os", "as", "es", "s", "e", "amente", "mente"),
    ("ico", "ica", "icos", "icas", "ia", "ias", "o"),
)
_PARADIGMS = {"en": _ENGLISH, "es": _SPANISH, "ko": _ENGLISH}


def is_inflection(word: str, known: Collection[str], language: str) -> bool:
    """Return if a word is an inflection of a known one.

    Args:
        word: A folded word.
        known: Folded words.
        language: The language of the word; without rules of its own, it has those of all.
    """
    own = _PARADIGMS.get(language)
    paradigms = own if own is not None else (*_ENGLISH, *_SPANISH)
    return any(_fits(word, endings, known) for endings in paradigms)


def _fits(word: str, endings: tuple[str, ...], known: Collection[str]) -> bool:
    for ending in endings:
        stem = word[: len(word) - len(ending)]
        if len(stem) < _LEAST_STEM or not word.endswith(ending):
            continue
        if ending and stem[-1] == ending[0]:
            continue  # a mistake: ``headachee``
        if any(stem + other in known for other in endings if other != ending):
            return True
        if stem[-1] == stem[-2] and ending and stem[:-1] in known:
            return True  # ``slit``, ``slitting``
    return False


class LetterGroups:
    """How many of the known words have the groups of four letters of a word."""

    def __init__(self, known: Collection[str]) -> None:
        """Count the groups of some folded words."""
        self._known = max(len(known), 1)
        self._counts = Counter(
            group for word in known for group in set(_groups(f"^{word}$", 0, len(word) + 1))
        )

    def rarest(self, word: str, place: int) -> float:
        """Return how many of 10,000 known words have the rarest group around a place of a word.

        Args:
            word: A folded word.
            place: A letter of it, or its end. The groups have it or the letter before it.
        """
        groups = _groups(f"^{word}$", place, place + 1)
        return _PER * min(self._counts[group] for group in groups) / self._known


def _groups(framed: str, first: int, last: int) -> list[str]:
    """Return the groups that have a character of a word in its frame, from a first to a last."""
    begins = range(max(first - _GROUP + 1, 0), min(last, len(framed) - _GROUP) + 1)
    return [framed[begin : begin + _GROUP] for begin in begins]
