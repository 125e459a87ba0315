"""Made-up notes and labels of any number for `scaling.py`, with MIMIC's lengths and frequencies.

Words follow Zipf's law: English function words and cues first, then numbers and words put together
from Greek and Latin parts, then misspelt ones. Lengths are log-normal with a median of 1,500 words.
A note has 10 to 16 codes, whose frequencies follow Zipf's law too, and mentions some words of their
titles. No text is of a patient.

A note is the same for any number of labels: its codes are drawn from all titles of ICD-10-CM, and
with fewer labels the rarer codes are counted as others of them.

Shapes: N documents, L labels.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from icdcli.icd.titles import titles

MEDIAN_WORDS, SPREAD = 1_500, 0.5
"""The length of notes is log-normal."""
FEWEST_CODES, MOST_CODES = 10, 16
_CODE_EXPONENT, _WORD_EXPONENT = 1.0, 1.15
_STARTS = (
    *("cardi", "nephr", "hepat", "gastr", "neur", "derm", "oste", "arthr", "my", "angi"),
    *("pulmon", "pneum", "hem", "lymph", "aden", "col", "enter", "cyst", "ur", "pyel"),
    *("phleb", "thromb", "cerebr", "encephal", "ot", "rhin", "laryng", "bronch", "pleur", "carcin"),
)
_MIDDLES = (
    *("o", "i", "omy", "ovas", "oneur", "ofibr", "oscler", "ocyt", "omet", "olip"),
    *("oplast", "ogen", "otox", "odyn", "otrop", "ophag", "olith", "orrh", "osten", "ostat"),
)
_ENDS = (
    *("itis", "osis", "oma", "pathy", "algia", "ectomy", "emia", "gram", "scopy", "plasty"),
    *("genic", "lysis", "megaly", "penia", "plegia", "rrhea", "stenosis", "tomy", "trophy", "uria"),
    *("al", "ic", "ous", "ate", "ile", "one", "ide", "ol", "am", "il"),
)
_COMMON = (
    *("the", "and", "was", "of", "to", "with", "on", "for", "in", "a", "patient", "he", "she"),
    *("is", "at", "were", "had", "his", "her", "no", "this", "be", "by", "as", "from", "not"),
    *("history", "of", "mg", "day", "daily", "blood", "left", "right", "pain", "discharge"),
    *("admission", "normal", "denies", "without", "noted", "given", "status", "chronic", "acute"),
    *("negative", "mother", "father", "home", "continue", "started", "stable", "follow", "up"),
)
_HEADINGS = (
    *("HISTORY OF PRESENT ILLNESS:", "PAST MEDICAL HISTORY:", "FAMILY HISTORY:", "MEDICATIONS:"),
    *("PHYSICAL EXAM:", "HOSPITAL COURSE:", "DISCHARGE INSTRUCTIONS:"),
)


class MadeUpNote(NamedTuple):
    """A note and its codes.

    Attributes:
        text: The note.
        codes: The places of its codes among all titles, most frequent first; `labels_of` turns them
            into labels.
    """

    text: str
    codes: NDArray[np.int64]


@lru_cache(maxsize=1)
def coded_titles() -> tuple[tuple[str, str], ...]:
    """Return all codes with their titles, in the order of how frequent they are here."""
    known = sorted(titles("icd10", "diagnosis").items())
    order = np.random.default_rng(1).permutation(len(known))
    return tuple(known[place] for place in order)


def label_space(labels: int) -> tuple[tuple[str, str], ...]:
    """Return the codes and titles of so many labels; fewer if there aren't as many titles."""
    return coded_titles()[:labels]


def labels_of(codes: NDArray[np.int64], labels: int) -> NDArray[np.int32]:
    """Return the labels of a note's codes, sorted."""
    return np.unique(np.where(codes < labels, codes, codes % labels)).astype(np.int32)


def made_up_notes(
    documents: int, seed: int = 0, median_words: int = MEDIAN_WORDS
) -> Iterator[MadeUpNote]:
    """Make notes; the first of them are the same for any number of documents.

    Args:
        documents: N.
        seed: The seed of all random numbers.
        median_words: The median length.
    """
    vocabulary, shares = _vocabulary()
    code_shares = np.cumsum(1 / np.arange(1, len(coded_titles()) + 1) ** _CODE_EXPONENT)
    draw = np.random.default_rng(seed)
    for _ in range(documents):
        wanted = int(draw.integers(FEWEST_CODES, MOST_CODES + 1))
        drawn = np.searchsorted(code_shares, draw.random(4 * wanted) * code_shares[-1])
        codes = np.array(list(dict.fromkeys(drawn.tolist()))[:wanted])
        length = max(10, round(draw.lognormal(np.log(median_words), SPREAD)))
        words = vocabulary[np.searchsorted(shares, draw.random(length) * shares[-1])]
        yield MadeUpNote(_note(words, codes, draw), np.sort(codes))


def _note(words: NDArray[np.str_], codes: NDArray[np.int64], draw: np.random.Generator) -> str:
    """Join words to sentences under headings, among them some words of the codes' titles."""
    mentioned = []
    for code in codes.tolist():
        title = coded_titles()[code][1].split()
        mentioned.append(" ".join(title[: int(draw.integers(2, 8))]))
    sentences = np.array_split(words, max(1, len(words) // 14))
    places = draw.integers(0, len(sentences), len(mentioned))
    with_mention = dict(zip(places.tolist(), mentioned, strict=True))
    under = -(-len(sentences) // len(_HEADINGS))
    lines = []
    for number, sentence in enumerate(sentences):
        if number % under == 0:
            lines.append(f"\n{_HEADINGS[number // under]}")
        mention = with_mention.get(number)
        found = sentence.tolist() if mention is None else [*sentence.tolist()[:7], mention]
        lines.append(f"{' '.join(found).capitalize()}.")
    return "\n".join(lines)


@lru_cache(maxsize=1)
def _vocabulary() -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Return words and the sums of their frequencies, common and short ones first.

    The last, which are in few notes, lack one letter, as misspelt ones do.
    """
    draw = np.random.default_rng(2)
    made_up = ["".join(parts) for parts in product(_STARTS, ("", *_MIDDLES), _ENDS)]
    rare = [*made_up, *(str(number) for number in range(2_000))]
    rare = [rare[place] for place in np.argsort([len(word) + 4 * draw.random() for word in rare])]
    misspelt = [
        word[:place] + word[place + 1 :]
        for word in made_up
        for place in draw.integers(1, len(word), 2).tolist()
    ]
    words = np.array([*dict.fromkeys((*_COMMON, *rare, *misspelt))])
    return words, np.cumsum(1 / (2.7 + np.arange(len(words))) ** _WORD_EXPONENT)
