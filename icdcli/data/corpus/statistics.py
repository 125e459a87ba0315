"""Statistics of a corpus's documents: words and codes per document, texts in several splits.

They are collected in one pass while the documents are written, on the Arrow buffers, without a
Python string per text. Numbers and digests take 25 bytes per document, in addition to the set of
subjects, so that a corpus of any size can be described.
"""

from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from xxhash import xxh3_128_digest

from icdcli.data.sources.admission import SPLITS

_QUANTILES = {"min": 0, "p5": 5, "p25": 25, "p50": 50, "p75": 75, "p95": 95, "max": 100}
_BINS = 30
# If the longest document has more than this many medians, equal bins would be too wide for the
# others.
_LONG_TAIL = 5
_BLANK = 32  # the last of the ASCII characters that separate words


@dataclass(frozen=True)
class Histogram:
    """A histogram of numbers per document.

    Attributes:
        scale: ``linear`` or ``log``.
        edges: The edges of the bins, the same for all splits. A bin includes its lower edge, but
            not its upper.
        counts: Documents per bin; one fewer than edges.
    """

    scale: str
    edges: list[int]
    counts: list[int]


@dataclass(frozen=True)
class Summary:
    """Mean, quantiles and histogram of a number per document.

    A quantile is the value of a document: the smallest value that the given percentage of documents
    doesn't exceed.
    """

    mean: float
    min: int
    p5: int
    p25: int
    p50: int
    p75: int
    p95: int
    max: int
    histogram: Histogram


@dataclass(frozen=True)
class SharedTexts:
    """The overlap of two splits.

    Attributes:
        subjects: Subjects in both; None if those of a split are unknown.
        texts: Distinct texts in both, byte for byte.
        documents: Documents with these texts.
    """

    subjects: int | None
    texts: int
    documents: int


@dataclass(frozen=True)
class RepeatedTexts:
    """Texts that occur more than once in a split.

    Attributes:
        texts: Distinct texts.
        documents: Documents with these texts.
    """

    texts: int
    documents: int


@dataclass(frozen=True)
class DocumentStatistics:
    """The entry ``description`` of ``card.json``.

    Attributes:
        words: Words per document, as `summaries` returns them.
        codes: Codes per document, likewise.
        leakage: For each pair of splits (``train & test``), the subjects and texts in both.
        duplicates: For each split, the texts that are repeated in it.
    """

    words: dict[str, Summary]
    codes: dict[str, Summary]
    leakage: dict[str, SharedTexts]
    duplicates: dict[str, RepeatedTexts]

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON values."""
        return asdict(self)


class CorpusStatistics:
    """Collects statistics of documents as they stream by."""

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
            subject_ids: Each document's subject, or None.
            texts: The texts.
            codes_per_document: The number of codes of each document.
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

    def description(self) -> DocumentStatistics:
        """Return the statistics of all documents that were added."""
        splits = np.array(self._splits, dtype=np.uint8)
        times = self._times_of_texts(splits)
        leakage = {
            f"{one} & {other}": SharedTexts(
                self._shared_subjects(one, other),
                *_found((times[one] > 0) & (times[other] > 0), times[one] + times[other]),
            )
            for one, other in combinations(times, 2)
        }
        return DocumentStatistics(
            words=summaries(np.array(self._words, dtype=np.int64), splits),
            codes=summaries(np.array(self._codes, dtype=np.int64), splits),
            leakage=leakage,
            duplicates={
                split: RepeatedTexts(*_found(count > 1, count)) for split, count in times.items()
            },
        )

    def _times_of_texts(self, splits: NDArray[np.uint8]) -> dict[str, NDArray[np.int64]]:
        """Return how often each distinct text occurs in each split that has documents."""
        # numpy ignores zeros at the end of such strings. All have the same length, so only equal
        # digests are equal.
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
    """Count the words of each text: runs of bytes other than ASCII blanks and control characters.

    Args:
        content: The packed texts, as UTF-8 bytes.
        offsets: The start of each text, and the end of the last.
    """
    letters = np.frombuffer(content, dtype=np.uint8) > _BLANK
    first = letters.copy()  # the first bytes of words: after a blank, or at the start of a text
    np.greater(letters[1:], letters[:-1], out=first[1:])
    starts = [begin for begin, end in pairwise(offsets) if begin < end]
    first[starts] = letters[starts]
    return [int(np.count_nonzero(first[begin:end])) for begin, end in pairwise(offsets)]


def summaries(values: NDArray[np.int64], splits: NDArray[np.uint8]) -> dict[str, Summary]:
    """Return the summary of a number per document, for ``all`` and for each split with documents.

    Args:
        values: One number per document.
        splits: Each document's split, as an index of `SPLITS`.

    Returns:
        ``all`` or split to its summary; empty if there are no documents.
    """
    if not len(values):
        return {}
    scale, edges = _bins(values)
    parts = {"all": values} | {
        SPLITS[number]: values[splits == number] for number in np.unique(splits)
    }
    result: dict[str, Summary] = {}
    for name, part in parts.items():
        quantiles = np.percentile(part, list(_QUANTILES.values()), method="inverted_cdf")
        histogram = Histogram(scale, edges.tolist(), np.histogram(part, edges)[0].tolist())
        result[name] = Summary(
            mean=float(part.mean()),
            **dict(zip(_QUANTILES, quantiles.tolist(), strict=True)),
            histogram=histogram,
        )
    return result


def _bins(values: NDArray[np.int64]) -> tuple[str, NDArray[np.int64]]:
    """Return integer edges of about 30 bins: of equal width or, for a long tail, of equal ratio."""
    low, high = int(values.min()), int(values.max()) + 1
    if low > 0 and high > _LONG_TAIL * np.median(values):
        return "log", np.unique(np.geomspace(low, high, _BINS + 1).round().astype(np.int64))
    width = -(-(high - low) // _BINS)
    return "linear", np.arange(low, high + width, width)


def _bytes_of(texts: pa.StringArray) -> tuple[memoryview, list[int]]:
    """Return the packed UTF-8 bytes of texts without copying, and the offsets of the texts."""
    if not len(texts):
        return memoryview(b""), [0]
    _, offsets_buffer, data = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int32)[
        texts.offset : texts.offset + len(texts) + 1
    ]
    content = memoryview(data if data is not None else b"")[offsets[0] : offsets[-1]]
    return content, (offsets - offsets[0]).tolist()


def _found(which: NDArray[np.bool_], documents: NDArray[np.int64]) -> tuple[int, int]:
    """Return the number of chosen texts and of their documents."""
    return int(np.count_nonzero(which)), int(documents[which].sum())
