"""What a corpus' card says of its documents: lengths, codes a document, and what stands in more than one split.

Everything is gathered in one pass while documents are written, on the Arrow buffers, without a Python string a text.
Numbers and digests are kept bare, 25 bytes a document beside the set of subjects, so that a corpus of any size can be
described.
"""

from array import array
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from xxhash import xxh3_128_digest

from icdcli.data.sources.admission import SPLITS

_QUANTILES = {"min": 0, "p5": 5, "p25": 25, "p50": 50, "p75": 75, "p95": 95, "max": 100}
_BINS = 30
_LONG_TAIL = 5  # from so many times the median on, the longest document would squeeze the others into few equal bins
_BLANK = 32  # the last of the ASCII characters that separate words


class CorpusStatistics:
    """Statistics of documents as they stream by."""

    def __init__(self) -> None:
        self._splits, self._words, self._codes = array("B"), array("I"), array("I")
        self._digests = bytearray()
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
        content, offsets = _bytes_of(texts)
        self._splits.extend(map(SPLITS.index, splits))
        self._words.extend(count_words(content, offsets))
        self._codes.extend(codes_per_document)
        for begin, end in pairwise(offsets):
            self._digests += xxh3_128_digest(content[begin:end])
        for split, subject in zip(splits, subject_ids, strict=True):
            if subject is not None:
                self._subjects.setdefault(split, set()).add(subject)

    def description(self) -> dict[str, Any]:
        """What ``card.json`` holds under ``description``.

        Returns:
            ``words`` and ``codes`` a document, as `summaries` gives them. ``leakage``: for each pair of splits (``train &
            test``) the ``subjects`` in both (None where a split's aren't known), the distinct ``texts`` that stand in
            both, byte for byte, and the ``documents`` that have them. ``duplicates``: for each split the ``texts`` that
            stand in it more than once and their ``documents``.
        """
        splits = np.array(self._splits, dtype=np.uint8)
        times = self._times_of_texts(splits)
        return {
            "words": summaries(np.array(self._words, dtype=np.int64), splits),
            "codes": summaries(np.array(self._codes, dtype=np.int64), splits),
            "leakage": {
                f"{one} & {other}": {
                    "subjects": self._shared_subjects(one, other),
                    **_found((times[one] > 0) & (times[other] > 0), times[one] + times[other]),
                }
                for one, other in combinations(times, 2)
            },
            "duplicates": {split: _found(count > 1, count) for split, count in times.items()},
        }

    def _times_of_texts(self, splits: NDArray[np.uint8]) -> dict[str, NDArray[np.int64]]:
        """How often each distinct text stands in each split that has documents."""
        # Zeros at the end of such a string don't count, but all have one length: only equal digests are equal.
        digests = np.frombuffer(bytes(self._digests), dtype="S16")
        texts, text_of_document = np.unique(digests, return_inverse=True)
        return {
            SPLITS[number]: np.bincount(text_of_document[splits == number], minlength=len(texts))
            for number in np.unique(splits)
        }

    def _shared_subjects(self, one: str, other: str) -> int | None:
        if one not in self._subjects or other not in self._subjects:
            return None
        return len(self._subjects[one] & self._subjects[other])


def count_words(content: memoryview, offsets: Sequence[int]) -> list[int]:
    """Words of each text: runs of bytes other than ASCII blanks and control characters.

    Args:
        content: UTF-8 bytes, the texts end to end.
        offsets: Where each text begins, and where the last ends.
    """
    letters = np.frombuffer(content, dtype=np.uint8) > _BLANK
    first = letters.copy()  # where a word begins: a letter after a blank, or at a text's beginning
    np.greater(letters[1:], letters[:-1], out=first[1:])
    starts = [begin for begin, end in pairwise(offsets) if begin < end]
    first[starts] = letters[starts]
    return [int(np.count_nonzero(first[begin:end])) for begin, end in pairwise(offsets)]


def summaries(values: NDArray[np.int64], splits: NDArray[np.uint8]) -> dict[str, Any]:
    """Mean, quantiles and histogram of numbers a document, for ``all`` and for every split that has documents.

    A quantile is a number that some document has: the smallest that so many documents don't exceed.

    Args:
        values: One number a document.
        splits: Each document's split, by its place in `SPLITS`.

    Returns:
        ``all`` or split to ``mean``, ``min``, ``p5``, ``p25``, ``p50``, ``p75``, ``p95``, ``max`` and ``histogram``, which
        has a ``scale`` (``linear`` or ``log``), ``edges``, the same for all splits, and ``counts``, one fewer: a bin holds
        its lower edge, and not its upper. Empty where there are no documents.
    """
    if not len(values):
        return {}
    scale, edges = _bins(values)
    parts = {"all": values} | {
        SPLITS[number]: values[splits == number] for number in np.unique(splits)
    }
    result: dict[str, Any] = {}
    for name, part in parts.items():
        quantiles = np.percentile(part, list(_QUANTILES.values()), method="inverted_cdf")
        result[name] = {
            "mean": float(part.mean()),
            **dict(zip(_QUANTILES, quantiles.tolist(), strict=True)),
            "histogram": {
                "scale": scale,
                "edges": edges.tolist(),
                "counts": np.histogram(part, edges)[0].tolist(),
            },
        }
    return result


def _bins(values: NDArray[np.int64]) -> tuple[str, NDArray[np.int64]]:
    """Whole-numbered edges of about 30 bins: of equal width or, where the tail is long, of equal ratio."""
    low, high = int(values.min()), int(values.max()) + 1
    if low > 0 and high > _LONG_TAIL * np.median(values):
        return "log", np.unique(np.geomspace(low, high, _BINS + 1).round().astype(np.int64))
    width = -(-(high - low) // _BINS)
    return "linear", np.arange(low, high + width, width)


def _bytes_of(texts: pa.StringArray) -> tuple[memoryview, list[int]]:
    """The texts' UTF-8 bytes, end to end and without a copy, and where each begins; an array may be a part of another."""
    if not len(texts):
        return memoryview(b""), [0]
    _, offsets_buffer, data = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int32)[
        texts.offset : texts.offset + len(texts) + 1
    ]
    content = memoryview(data if data is not None else b"")[offsets[0] : offsets[-1]]
    return content, (offsets - offsets[0]).tolist()


def _found(which: NDArray[np.bool_], documents: NDArray[np.int64]) -> dict[str, int]:
    return {"texts": int(np.count_nonzero(which)), "documents": int(documents[which].sum())}
