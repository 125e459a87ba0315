"""The data card: what a prepared corpus holds, in counts alone, for a person to look at before any training.

Most of it was gathered while the corpus was written. How often labels are used is in its label space; which of them each
split has, and how long documents are in tokens, is counted here, without reading a text.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from icdcli.data.corpus.reader import DOCUMENTS, LABELS, Corpus, Labels, document_batches
from icdcli.data.corpus.statistics import summaries
from icdcli.data.sources.admission import SPLITS
from icdcli.errors import DataError
from icdcli.icd.codes import KINDS
from icdcli.icd.hierarchy import Group, chapter_of, chapters
from icdcli.io.npz import cache_opened, read_array

_FROM_CARD = (
    "dataset",
    "protocol",
    "documents",
    "splits",
    "labels",
    "evidence",
    "dropped",
    "benchmark",
)
_LENGTHS = (512, 1024, 2048, 4096, 8192)  # what models commonly read at once
_AT_ONCE = 8192  # documents whose codes are in memory together
_FIRST = 10  # codes without a title that are named


def describe_corpus(corpus: Corpus) -> dict[str, Any]:
    """Describe a prepared corpus.

    Args:
        corpus: The corpus.

    Returns:
        Values of JSON's types: ``dataset``, ``protocol``, ``documents``, ``splits``, ``labels``, ``evidence``, ``dropped`` and
        ``benchmark`` as the card has them, and what `CorpusStatistics.description` says; an older corpus has none of that.
        Then

        - ``label_frequency``: the labels' ``counts`` of documents, descending, and what `label_frequency` says of them;
        - ``labels_by_split``: for each split how many labels are ``seen`` in it, and of these how many are
          ``unseen_in_training``;
        - ``without_title``: the ``count`` of such codes, and the ``first`` ten;
        - ``tokens``: for each token cache the documents' ``lengths`` as `summaries` gives them, and under ``longer_than``
          how many documents have more than 512, 1,024 … tokens, special tokens aside;
        - ``chapters``: for each chapter in use, in official order, its ``kind``, ``id``, ``title`` and how many ``documents``
          have a code of it; last, without an id, those with a code that is in no chapter. Left out where the coding
          system isn't known.

    Raises:
        DataError: When a part of the corpus can't be read, or the parts don't fit.
    """
    known_chapters, chapter_of_label = _chapters(corpus)
    splits, counts, in_chapter = _count(corpus, chapter_of_label, len(known_chapters))
    in_use = [
        {**chapter, "documents": int(count)}
        for chapter, count in zip(known_chapters, in_chapter, strict=True)
        if count
    ]
    trained = counts[SPLITS.index("train")] > 0
    without_title = [
        code
        for code, title in zip(corpus.labels.codes, corpus.labels.titles, strict=True)
        if not title
    ]
    return {
        **{key: corpus.card[key] for key in _FROM_CARD if key in corpus.card},
        **corpus.card.get("description", {}),
        "label_frequency": label_frequency(corpus.labels),
        "labels_by_split": {
            split: {
                "seen": int(np.count_nonzero(counts[number])),
                "unseen_in_training": int(np.count_nonzero((counts[number] > 0) & ~trained)),
            }
            for number, split in enumerate(SPLITS)
            if split in corpus.splits
        },
        "without_title": {"count": len(without_title), "first": without_title[:_FIRST]},
        "tokens": {
            folder.name: _lengths(folder, splits)
            for folder in sorted(corpus.folder.glob("tokens-*"))
        },
        **({"chapters": in_use} if known_chapters else {}),
    }


def label_frequency(labels: Labels) -> dict[str, Any]:
    """How the labels' use is spread: few codes make most of the mentions, and most codes are rare.

    Args:
        labels: A label space.

    Returns:
        ``counts``: each label's documents, descending; ``mentions``: their sum. ``labels_with``: how many labels have
        ``no``, ``one``, ``fewer_than_5``, ``fewer_than_10`` and ``at_least_100`` documents. ``covering``: for ``50`` and
        ``90`` per cent of the mentions the number of most frequent ``labels`` that make them, and their ``share`` of the
        labels in use.
    """
    counts = np.sort(np.array(labels.counts, dtype=np.int64))[::-1]
    mentions, in_use = int(counts.sum()), int(np.count_nonzero(counts))
    covering = {}
    for percent in (50, 90) if mentions else ():
        # In whole numbers: 0.9 of them as a float may be a little more than it should.
        needed = int(np.searchsorted(counts.cumsum() * 100, percent * mentions)) + 1
        covering[str(percent)] = {"labels": needed, "share": needed / in_use}
    return {
        "counts": counts.tolist(),
        "mentions": mentions,
        "labels_with": {
            "no": len(counts) - in_use,
            "one": int(np.count_nonzero(counts == 1)),
            "fewer_than_5": int(np.count_nonzero(counts < 5)),
            "fewer_than_10": int(np.count_nonzero(counts < 10)),
            "at_least_100": int(np.count_nonzero(counts >= 100)),
        },
        "covering": covering,
    }


class _Counts(NamedTuple):
    splits: NDArray[np.uint8]
    """Each document's split, by its place in `SPLITS`."""
    labels: NDArray[np.int64]
    """(splits, labels): a split's documents with a label."""
    chapters: NDArray[np.int64]
    """Documents with a code of each chapter."""


def _count(corpus: Corpus, chapter_of_label: NDArray[np.int64], chapters: int) -> _Counts:
    """One pass over the documents' splits and codes."""
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


def _chapters(corpus: Corpus) -> tuple[list[dict[str, str | None]], NDArray[np.int64]]:
    """The chapters of the corpus' coding system, "in no chapter" last, and each label's place among them."""
    system = corpus.system
    if system is None:
        return [], np.zeros(0, dtype=np.int64)
    keys = [(kind, chapter) for kind in KINDS for chapter in chapters(system, kind)]
    place: dict[tuple[str, Group | None], int] = {key: number for number, key in enumerate(keys)}
    found = [
        place.get((kind, chapter_of(code, kind, system)), len(keys))
        for code, kind in zip(corpus.labels.codes, corpus.labels.kinds, strict=True)
    ]
    known: list[dict[str, str | None]] = [
        {"kind": kind, "id": chapter.id, "title": chapter.title} for kind, chapter in keys
    ]
    return [*known, {"kind": None, "id": None, "title": "in no chapter"}], np.array(
        found, dtype=np.int64
    )


def _places(strings: pa.Array, known: tuple[str, ...], path: Path) -> NDArray[np.int64]:
    """The place of each string among the known."""
    places = pc.index_in(strings, value_set=pa.array(known, pa.string()))
    if places.null_count:
        stranger = strings.filter(places.is_null())[0].as_py()
        where = "is no split" if known is SPLITS else f"isn't in {LABELS}"
        raise DataError(
            f"{path}: {stranger!r} {where}; delete the folder and prepare the data again"
        )
    return np.asarray(places, dtype=np.int64)


def _lengths(folder: Path, splits: NDArray[np.uint8]) -> dict[str, Any]:
    """Tokens a document, of one token cache."""
    with cache_opened(folder):
        lengths = np.diff(read_array(folder / "offsets.npy"))
        if len(lengths) != len(splits):
            raise ValueError("it does not fit its corpus")
    longer = {str(length): int(np.count_nonzero(lengths > length)) for length in _LENGTHS}
    return {"lengths": summaries(lengths, splits), "longer_than": longer}
