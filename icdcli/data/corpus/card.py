"""The data card: a prepared corpus in counts, to look at before training.

Most of it was collected while the corpus was written. The frequencies of labels come from the label
space. The labels of each split and the documents' lengths in tokens are counted here, without
reading texts.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from icdcli.data.corpus.code_validity import VALIDITY
from icdcli.data.corpus.reader import DOCUMENTS, LABELS, Corpus, Labels, document_batches
from icdcli.data.corpus.statistics import Summary, summaries
from icdcli.data.sources.admission import CODES_COLUMN, SPLITS
from icdcli.errors import DataError
from icdcli.icd.codes import KINDS
from icdcli.icd.hierarchy import Group
from icdcli.io.npz import cache_opened, read_array

_FROM_CARD = (
    "dataset",
    "protocol",
    "documents",
    "splits",
    "labels",
    "editions",
    "evidence",
    "dropped",
    "benchmark",
    CODES_COLUMN,
    VALIDITY,
    "choices",
)
_LENGTHS = (512, 1024, 2048, 4096, 8192)  # common context lengths of models
_AT_ONCE = 8192  # documents whose codes are in memory together
_FIRST = 10  # codes without a title that are named


@dataclass(frozen=True)
class Coverage:
    """The most frequent labels that make up a percentage of all mentions of codes.

    Attributes:
        labels: The number of these labels.
        share: Their share of the labels in use.
    """

    labels: int
    share: float


@dataclass(frozen=True)
class LabelFrequency:
    """The distribution of the labels' frequencies, which has a long tail.

    Attributes:
        counts: Documents per label, descending.
        mentions: Their sum.
        labels_with: How many labels have ``no``, ``one``, ``fewer_than_5``, ``fewer_than_10`` and
            ``at_least_100`` documents.
        covering: For ``50`` and ``90`` percent of the mentions, the labels that make them up.
    """

    counts: list[int]
    mentions: int
    labels_with: dict[str, int]
    covering: dict[str, Coverage]


@dataclass(frozen=True)
class SplitLabels:
    """The labels of one split.

    Attributes:
        seen: Labels of its documents.
        unseen_in_training: Those of them that no training document has.
    """

    seen: int
    unseen_in_training: int


@dataclass(frozen=True)
class UntitledCodes:
    """The codes without a title: their number, and the first ten."""

    count: int
    first: list[str]


@dataclass(frozen=True)
class TokenLengths:
    """The lengths of documents in the tokens of one tokenizer, without special tokens.

    Attributes:
        lengths: Tokens per document, as `summaries` returns them.
        longer_than: Documents with more than 512, 1,024 … tokens.
    """

    lengths: dict[str, Summary]
    longer_than: dict[str, int]


@dataclass(frozen=True)
class ChapterDocuments:
    """A chapter and the number of documents with its codes; kind and id are None for no chapter."""

    kind: str | None
    id: str | None
    title: str
    documents: int


@dataclass(frozen=True)
class CorpusDescription:
    """The description of a corpus.

    Attributes:
        card: Entries of ``card.json``: dataset, protocol, counts and, unless the corpus is an old
            one, the `DocumentStatistics`.
        label_frequency: The frequencies of the labels.
        labels_by_split: Split to its labels.
        without_title: The codes without a title.
        tokens: Token cache to the documents' lengths.
        chapters: The chapters in use, in official order; None if the coding system is unknown.
    """

    card: Mapping[str, Any]
    label_frequency: LabelFrequency
    labels_by_split: dict[str, SplitLabels]
    without_title: UntitledCodes
    tokens: dict[str, TokenLengths]
    chapters: list[ChapterDocuments] | None

    def to_json(self) -> dict[str, Any]:
        """Return the description as JSON values, the card's entries first."""
        own = asdict(self)
        card, found = own.pop("card"), own.pop("chapters")
        return {**card, **own, **({} if found is None else {"chapters": found})}


def describe_corpus(corpus: Corpus) -> CorpusDescription:
    """Describe a prepared corpus.

    Raises:
        DataError: If a part of the corpus can't be read, or the parts don't fit.
    """
    known_chapters, chapter_of_label = _chapters(corpus)
    splits, counts, in_chapter = _count(corpus, chapter_of_label, len(known_chapters))
    in_use = [
        ChapterDocuments(kind, id, title, int(count))
        for (kind, id, title), count in zip(known_chapters, in_chapter, strict=True)
        if count
    ]
    trained = counts[SPLITS.index("train")] > 0
    without_title = [
        code
        for code, title in zip(corpus.labels.codes, corpus.labels.titles, strict=True)
        if not title
    ]
    return CorpusDescription(
        card={
            **{key: corpus.card[key] for key in _FROM_CARD if key in corpus.card},
            **corpus.card.get("description", {}),
        },
        label_frequency=label_frequency(corpus.labels),
        labels_by_split={
            split: SplitLabels(
                seen=int(np.count_nonzero(counts[number])),
                unseen_in_training=int(np.count_nonzero((counts[number] > 0) & ~trained)),
            )
            for number, split in enumerate(SPLITS)
            if split in corpus.splits
        },
        without_title=UntitledCodes(len(without_title), without_title[:_FIRST]),
        tokens={
            folder.name: _lengths(folder, splits)
            for folder in sorted(corpus.folder.glob("tokens-*"))
        },
        chapters=in_use if known_chapters else None,
    )


def label_frequency(labels: Labels) -> LabelFrequency:
    """Return the distribution of the labels' frequencies."""
    counts = np.sort(np.array(labels.counts, dtype=np.int64))[::-1]
    mentions, in_use = int(counts.sum()), int(np.count_nonzero(counts))
    covering = {}
    for percent in (50, 90) if mentions else ():
        # In integers: 0.9 of the mentions as a float may be slightly too large.
        needed = int(np.searchsorted(counts.cumsum() * 100, percent * mentions)) + 1
        covering[str(percent)] = Coverage(needed, needed / in_use)
    return LabelFrequency(
        counts=counts.tolist(),
        mentions=mentions,
        labels_with={
            "no": len(counts) - in_use,
            "one": int(np.count_nonzero(counts == 1)),
            "fewer_than_5": int(np.count_nonzero(counts < 5)),
            "fewer_than_10": int(np.count_nonzero(counts < 10)),
            "at_least_100": int(np.count_nonzero(counts >= 100)),
        },
        covering=covering,
    )


class _Counts(NamedTuple):
    splits: NDArray[np.uint8]
    """Each document's split, as an index of `SPLITS`."""
    labels: NDArray[np.int64]
    """(splits, labels): the documents of a split with a label."""
    chapters: NDArray[np.int64]
    """Documents with a code of each chapter."""


def _count(corpus: Corpus, chapter_of_label: NDArray[np.int64], chapters: int) -> _Counts:
    """Count splits, labels and chapters in one pass over the documents."""
    path = corpus.folder / DOCUMENTS
    labels = np.zeros((len(SPLITS), len(corpus.labels)), dtype=np.int64)
    in_chapter = np.zeros(chapters, dtype=np.int64)
    splits = [np.empty(0, dtype=np.uint8)]
    for batch in document_batches(corpus.folder, ["split", "codes"], _AT_ONCE):
        split_of_document = _places(batch["split"], SPLITS, path)
        label_of_mention = _places(batch["codes"].flatten(), corpus.labels.codes, path)
        document_of_mention = np.repeat(
            np.arange(len(batch)), np.asarray(pc.list_value_length(batch["codes"]))
        )
        for number in range(len(SPLITS)):
            chosen = split_of_document[document_of_mention] == number
            labels[number] += np.bincount(label_of_mention[chosen], minlength=len(corpus.labels))
        if chapters:
            once = np.unique(document_of_mention * chapters + chapter_of_label[label_of_mention])
            in_chapter += np.bincount(once % chapters, minlength=chapters)
        splits.append(split_of_document.astype(np.uint8))
    return _Counts(np.concatenate(splits), labels, in_chapter)


def _chapters(
    corpus: Corpus,
) -> tuple[list[tuple[str | None, str | None, str]], NDArray[np.int64]]:
    """Return the system's chapters, "in no chapter" last, and each label's index in them."""
    system = corpus.code_system
    if system is None:
        return [], np.zeros(0, dtype=np.int64)
    keys = [(kind, chapter) for kind in KINDS for chapter in system.chapters(kind)]
    place: dict[tuple[str, Group | None], int] = {key: number for number, key in enumerate(keys)}
    found = [
        place.get((kind, system.chapter_of(code, kind)), len(keys))
        for code, kind in zip(corpus.labels.codes, corpus.labels.kinds, strict=True)
    ]
    known = [(kind, chapter.id, chapter.title) for kind, chapter in keys]
    return [*known, (None, None, "in no chapter")], np.array(found, dtype=np.int64)


def _places(strings: pa.Array, known: tuple[str, ...], path: Path) -> NDArray[np.int64]:
    """Return the index of each string among the known ones."""
    places = pc.index_in(strings, value_set=pa.array(known, pa.string()))
    if places.null_count:
        stranger = strings.filter(places.is_null())[0].as_py()
        where = "is not a split" if known is SPLITS else f"isn't in {LABELS}"
        raise DataError(
            f"{path}: {stranger!r} {where}. Delete the folder and prepare the data again."
        )
    return np.asarray(places, dtype=np.int64)


def _lengths(folder: Path, splits: NDArray[np.uint8]) -> TokenLengths:
    """Return the documents' lengths in the tokens of one cache."""
    with cache_opened(folder):
        lengths = np.diff(read_array(folder / "offsets.npy"))
        if len(lengths) != len(splits):
            raise ValueError("it doesn't fit its corpus")
    longer = {str(length): int(np.count_nonzero(lengths > length)) for length in _LENGTHS}
    return TokenLengths(summaries(lengths, splits), longer)
