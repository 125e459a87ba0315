"""A summary of texts that identifies nobody: a few numbers per text, and a bitmap of words.

The bitmap has no words: it has a bit for each of 131,072 values of a hash, set if a word with that
value is in documents of at least three patients. Many words have the same value, and the words of
one patient aren't in it.
"""

import base64
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from icdcli.metrics.arrays import Booleans

TEXT_MEASURES = ("words", "unknown_words", "capitals", "accents")
"""What is measured of each text: the number of words, the share of words that aren't in the bitmap,
and the shares of letters that are capitals, and that aren't in the English alphabet."""

MOST = 2_000
"""The most documents that are read for a summary."""

_BITS = 1 << 17
_FEWEST = 3  # patients that must have a word
_WORD = re.compile(r"[^\W\d_]+")


def _hashes(text: str) -> list[int]:
    """Return the hash of each word of a text."""
    return [crc32(word.encode()) % _BITS for word in _WORD.findall(text.casefold())]


@dataclass(frozen=True)
class TextReference:
    """The summary.

    Attributes:
        known: Whether a hash is that of a word that occurs in training.
        measures: For each of `TEXT_MEASURES`, its values in documents that aren't in the bitmap,
            in ascending order.
    """

    known: Booleans
    measures: Mapping[str, Sequence[float]]

    def measure(self, text: str) -> tuple[float, ...] | None:
        """Return the values of `TEXT_MEASURES` of a text; None: it has no words."""
        hashes = _hashes(text)
        if not hashes:
            return None
        letters = [character for character in text if character.isalpha()]
        capitals = sum(character.isupper() for character in letters) / len(letters)
        accents = sum(not character.isascii() for character in letters) / len(letters)
        unknown = 1 - float(self.known[hashes].mean())
        return len(hashes), round(unknown, 4), round(capitals, 4), round(accents, 4)

    def to_json(self) -> dict[str, Any]:
        """Return the content of a file, as `from_json` reads it."""
        known = base64.b64encode(np.packbits(self.known).tobytes()).decode()
        return {"known_words": known, "measures": {k: [*v] for k, v in self.measures.items()}}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "TextReference":
        """Return the summary that a file has."""
        packed: npt.NDArray[np.uint8] = np.frombuffer(
            base64.b64decode(content["known_words"]), np.uint8
        )
        known = np.unpackbits(packed, count=_BITS).astype(bool)
        return cls(known, {name: content["measures"][name] for name in TEXT_MEASURES})


def summarize_texts(
    texts: Iterable[str], count: int, subject_ids: Sequence[str | None] = ()
) -> TextReference | None:
    """Summarize the texts of a training.

    Every other of up to `MOST` texts, evenly from all, is for the bitmap; the others are measured
    with it, as incoming notes will be.

    Args:
        texts: The texts.
        count: Their number.
        subject_ids: The patient of each; None: unknown, one of its own. Empty: all are unknown.

    Returns:
        The summary; None: there are no words.
    """
    stride = -(-count // MOST) or 1
    patients: defaultdict[int, set[str | int]] = defaultdict(set)  # that have a hash
    measured: list[str] = []
    for place, text in enumerate(texts):
        if place % stride:
            continue
        if place // stride % 2:
            measured.append(text)
        else:
            patient = (subject_ids[place] if subject_ids else None) or place
            for hash in set(_hashes(text)):
                if len(patients[hash]) < _FEWEST:
                    patients[hash].add(patient)
    known = np.zeros(_BITS, bool)
    known[[hash for hash, own in patients.items() if len(own) >= _FEWEST]] = True
    bare = TextReference(known, {})
    rows = [values for text in measured if (values := bare.measure(text)) is not None]
    if not rows:
        return None
    columns = zip(TEXT_MEASURES, zip(*rows, strict=True), strict=True)
    # Each sorted by itself: what belongs to one document can't be put together again.
    return TextReference(known, {name: sorted(values) for name, values in columns})
