"""What a corpus' card says of its documents: lengths, codes a document, and what stands in two splits.

Everything is gathered in one pass while documents are written, on the Arrow buffers, without a Python string a text.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from icdcli.data.admission import SPLITS

_QUANTILES = {"min": 0, "p5": 5, "p25": 25, "p50": 50, "p75": 75, "p95": 95, "max": 100}
_BINS = 30
_BLANK = 32  # the last of the ASCII characters that separate words
_DIGEST = 16  # bytes


class CorpusStatistics:
    """Statistics of documents as they stream by; a few dozen bytes a document."""

    def __init__(self) -> None:
        self._words: dict[str, list[int]] = {}
        self._codes: dict[str, list[int]] = {}
        self._texts: dict[str, Counter[bytes]] = {}
        self._subjects: dict[str, set[str]] = {}

    def add(
        self,
        splits: Sequence[str],
        subject_ids: Sequence[str | None],
        texts: pa.StringArray,
        codes_per_document: Sequence[int],
    ) -> None:
        """Count some documents.

        Args:
            splits: Each document's split.
            subject_ids: Each document's subject, None where the source has none.
            texts: The texts.
            codes_per_document: How many codes each has.
        """
        _, offsets_buffer, data = texts.buffers()
        offsets = np.frombuffer(offsets_buffer, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
        content = memoryview(data if data is not None else b"")
        for number, words in enumerate(count_words(content, offsets)):
            split = splits[number]
            self._words.setdefault(split, []).append(words)
            self._codes.setdefault(split, []).append(codes_per_document[number])
            digest = hashlib.sha256(content[offsets[number] : offsets[number + 1]]).digest()[:_DIGEST]
            self._texts.setdefault(split, Counter())[digest] += 1
            subject = subject_ids[number]
            if subject is not None:
                self._subjects.setdefault(split, set()).add(subject)

    def description(self) -> dict[str, Any]:
        """What ``card.json`` holds under ``description``.

        Returns:
            ``words`` and ``codes`` a document, each with the numbers of `summary` for ``all`` and every split; ``leakage``
            between every pair of splits, and texts that stand more than once in one.
        """
        return {
            "words": _by_split(self._words),
            "codes": _by_split(self._codes),
            "leakage": self._leakage(),
            "duplicates": {split: _repeated(self._texts[split]) for split in SPLITS if split in self._texts},
        }

    def _leakage(self) -> dict[str, dict[str, int]]:
        found = {}
        for one, other in combinations([split for split in SPLITS if split in self._texts], 2):
            texts = self._texts[one].keys() & self._texts[other].keys()
            found[f"{one} & {other}"] = {
                "subjects": len(self._subjects.get(one, set()) & self._subjects.get(other, set())),
                "texts": len(texts),
                "documents": sum(self._texts[one][text] + self._texts[other][text] for text in texts),
            }
        return found


def count_words(content: memoryview, offsets: NDArray[np.int32]) -> Iterable[int]:
    """Words of each text: runs of bytes other than ASCII blanks and control characters.

    Args:
        content: UTF-8 bytes, the texts end to end.
        offsets: Where each text begins, and where the last ends.
    """
    letters = np.frombuffer(content, dtype=np.uint8) > _BLANK
    first = letters.copy()  # where a word begins: a letter after a blank, or at a text's beginning
    first[1:] &= ~letters[:-1]
    starts = offsets[:-1][offsets[:-1] < offsets[1:]]
    first[starts] = letters[starts]
    return [int(np.count_nonzero(first[begin:end])) for begin, end in zip(offsets[:-1], offsets[1:], strict=True)]


def summary(values: NDArray[np.int64], edges: NDArray[np.float64]) -> dict[str, Any]:
    """Mean, quantiles and histogram of numbers a document.

    Args:
        values: One number a document, at least one.
        edges: The histogram's.
    """
    quantiles = np.percentile(values, list(_QUANTILES.values()))
    return {
        "mean": float(values.mean()),
        **{name: float(value) for name, value in zip(_QUANTILES, quantiles, strict=True)},
        "histogram": {"edges": edges.tolist(), "counts": np.histogram(values, edges)[0].tolist()},
    }


def histogram_edges(values: NDArray[np.int64]) -> NDArray[np.float64]:
    """Edges of bins of equal width, of whole numbers, that hold all values."""
    low, high = int(values.min()), int(values.max()) + 1
    width = -(-(high - low) // _BINS)
    return np.arange(low, high + width, width, dtype=np.float64)


def _by_split(values: dict[str, list[int]]) -> dict[str, Any]:
    splits = {split: np.array(values[split], dtype=np.int64) for split in SPLITS if split in values}
    if not splits:
        return {}
    every = np.concatenate(list(splits.values()))
    edges = histogram_edges(every)
    return {name: summary(numbers, edges) for name, numbers in {"all": every, **splits}.items()}


def _repeated(texts: Counter[bytes]) -> int:
    return sum(count for count in texts.values() if count > 1)
