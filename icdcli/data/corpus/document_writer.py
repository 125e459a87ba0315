"""Writing documents.parquet as documents stream by, and counting them for the card."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from icdcli.data.corpus.document_columns import DAY, DOCUMENTS_SCHEMA, ORDER
from icdcli.data.corpus.statistics import CorpusStatistics, DocumentStatistics
from icdcli.data.sources.admission import SPLITS, Admission, Code
from icdcli.errors import DataError
from icdcli.io.arrow import numbers, strings, values_of

_GROUP_DOCUMENTS = 2048
# A row group with long texts ends early, so that it fits the processor's cache and memory is
# bounded.
_GROUP_CHARACTERS = 2 << 20

# Documents of one subject that are unusual: the id may stand for unknown patients.
_MANY = 20
_LARGE_SHARE = 0.1

_BITS = 32
_RANK = (1 << _BITS) - 1

Document = tuple[Admission, str]
"""An admission and its split."""


class _Numbers(dict[Any, int]):
    """Things, numbered in the order in which they are first looked up."""

    def __missing__(self, key: Any) -> int:
        self[key] = len(self)
        return self[key]


class CodeLists:
    """Makes the column of codes of one row group after the other, and counts the codes.

    A code is only looked up; everything else is done with numbers, for a row group at a time.
    """

    def __init__(self) -> None:
        self._numbers = _Numbers()  # of code and kind
        self._strings = _Numbers()  # of the code alone
        self._names: list[str] = []  # the codes
        self._string_of = np.zeros(0, dtype=np.int64)  # of the number of a code and kind
        self._documents = np.zeros(0, dtype=np.int64)  # with a code and kind
        self._documents_of_split: dict[str, NDArray[np.int64]] = {}  # with a code

    @property
    def kind_counts(self) -> Counter[Code]:
        """Return code and kind to number of documents, in all splits."""
        return Counter(dict(zip(self._numbers, self._documents.tolist(), strict=True)))

    @property
    def code_counts(self) -> dict[str, Counter[str]]:
        """Return split to code to number of documents."""
        return {
            split: Counter({self._names[at]: int(counts[at]) for at in np.flatnonzero(counts)})
            for split, counts in self._documents_of_split.items()
        }

    def of(self, group: Sequence[Document]) -> pa.ListArray:
        """Return the codes of some documents, each sorted and without duplicates."""
        codes = [admission.codes for admission, _ in group]
        mentions = np.fromiter(
            map(self._numbers.__getitem__, chain.from_iterable(codes)), dtype=np.int64
        )
        if len(self._numbers) > len(self._string_of):
            new = [
                self._strings[code.code]
                for code in islice(self._numbers, len(self._string_of), None)
            ]
            self._string_of = np.concatenate((self._string_of, new))
            self._names += islice(self._strings, len(self._names), None)
        self._documents = _added(self._documents, mentions, len(self._numbers))
        # The codes of the group as strings, sorted, and the rank of each.
        used = self._string_of[mentions]
        chosen = np.flatnonzero(np.bincount(used, minlength=len(self._names)))
        chosen = np.array(sorted(chosen.tolist(), key=self._names.__getitem__), dtype=np.int64)
        rank = np.empty(len(self._names), dtype=np.int64)
        rank[chosen] = np.arange(len(chosen))
        places = np.repeat(np.arange(len(group)), [len(its) for its in codes])
        pairs = np.sort(places << _BITS | rank[used])
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]  # a code may be of both kinds
        places, ranks = pairs >> _BITS, pairs & _RANK
        self._count(group, chosen[ranks], places)
        edges = np.searchsorted(places, np.arange(len(group) + 1)).astype(np.int32)
        return pa.ListArray.from_arrays(
            numbers(edges, np.int32),
            strings([self._names[number] for number in chosen.tolist()]).take(
                numbers(ranks, np.int64)
            ),
        )

    def _count(
        self, group: Sequence[Document], used: NDArray[np.int64], places: NDArray[np.int64]
    ) -> None:
        names = [split for _, split in group]
        for split in set(names):
            here = np.array([name == split for name in names], dtype=bool)[places]
            before = self._documents_of_split.get(split, np.zeros(0, dtype=np.int64))
            self._documents_of_split[split] = _added(before, used[here], len(self._names))


def _added(counts: NDArray[np.int64], more: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Return counts by number, with those of more numbers below `length` added."""
    result = np.bincount(more, minlength=length)
    result[: len(counts)] += counts
    return result


class DocumentWriter:
    """Writes one row group at a time, in another thread while the next one is collected.

    Attributes:
        codes: Makes the column of codes, and counts them.
        statistics: The statistics for the card.
    """

    def __init__(self, path: Path, dated: bool = False, order: Sequence[str] = ()) -> None:
        self.codes = CodeLists()
        self.statistics = CorpusStatistics()
        self._path = path
        more = [*([DAY] if dated else []), *(ORDER[name] for name in order)]
        self._schema = pa.schema([*DOCUMENTS_SCHEMA, *more])
        self._with_principal = 0
        self._documents: Counter[str] = Counter()
        self._subjects: dict[str, Counter[str]] = {}
        self._without_subject: Counter[str] = Counter()

    def write(self, documents: Iterable[tuple[Admission, str]]) -> None:
        """Write all documents, each with its split.

        Raises:
            DataError: If a text isn't valid Unicode.
            OSError: If the file can't be written.
        """
        self._path.touch(mode=0o600)
        # Snappy takes a third of zstd's time. Notes differ from each other, so a dictionary of them
        # would only take memory.
        file = pq.ParquetWriter(
            self._path,
            self._schema,
            compression="snappy",
            use_dictionary=["split", "subject_id"],
            write_page_checksum=True,
        )
        with file, ThreadPoolExecutor(2) as background:
            under_way: list[Future[None]] = []
            for group in self._groups(documents):
                self._count(group)
                table = _table(group, self.codes.of(group), self._schema)
                for before in under_way:
                    before.result()
                under_way = [
                    background.submit(file.write_table, table),
                    background.submit(self._describe, table),
                ]
            for last in under_way:
                last.result()

    def _groups(self, documents: Iterable[tuple[Admission, str]]) -> Iterator[list[Document]]:
        group: list[Document] = []
        characters = 0
        for admission, split in documents:
            group.append((admission, split))
            characters += len(admission.text)
            if len(group) >= _GROUP_DOCUMENTS or characters >= _GROUP_CHARACTERS:
                yield group
                group, characters = [], 0
        if group:
            yield group

    def _count(self, group: list[Document]) -> None:
        self._with_principal += sum(admission.principal is not None for admission, _ in group)
        for split in {split for _, split in group}:
            part = [admission.subject_id for admission, its in group if its == split]
            self._documents[split] += len(part)
            subjects = [subject for subject in part if subject is not None]
            self._without_subject[split] += len(part) - len(subjects)
            if subjects:
                self._subjects.setdefault(split, Counter()).update(subjects)

    def _describe(self, table: pa.Table) -> None:
        columns = {name: table.column(name).chunk(0) for name in DOCUMENTS_SCHEMA.names}
        codes = np.diff(values_of(columns["codes"].offsets, np.int32)).tolist()
        self.statistics.add(
            columns["split"].to_pylist(), columns["subject_id"].to_pylist(), columns["text"], codes
        )

    @property
    def principals_in_words(self) -> str:
        """Return how many documents have a principal diagnosis, in words."""
        return f"known for {self._with_principal:,} of {self._documents.total():,} documents"

    def splits(self, description: DocumentStatistics) -> dict[str, dict[str, float]]:
        """Return the card's entry for each split that has documents, in the order of `SPLITS`."""
        result: dict[str, dict[str, float]] = {}
        for split in (split for split in SPLITS if split in self._documents):
            result[split] = {"documents": self._documents[split]}
            if split in self._subjects:
                result[split]["subjects"] = len(self._subjects[split])
                (_, most), *_ = self._subjects[split].most_common(1)
                if most >= max(_MANY, _LARGE_SHARE * self._documents[split]):
                    result[split]["documents_of_one_subject"] = most
            if self._subjects and self._without_subject[split]:
                result[split]["without_subject"] = self._without_subject[split]
            result[split]["codes_per_document"] = round(description.codes[split].mean, 2)
            result[split]["words_per_document"] = round(description.words[split].mean, 1)
        return result


def _table(group: list[Document], codes: pa.ListArray, schema: pa.Schema) -> pa.Table:
    admissions, splits = zip(*group, strict=True)
    try:
        texts = strings([admission.text for admission in admissions])
    except UnicodeEncodeError as error:
        first, last = admissions[0].id, admissions[-1].id
        raise DataError(
            f"documents {first} to {last}: a text isn't valid Unicode ({error.reason}). Write it "
            "again as UTF-8."
        ) from error
    ids, subjects = (
        [admission.id for admission in admissions],
        [admission.subject_id for admission in admissions],
    )
    columns = [strings(ids), strings(subjects), strings(splits), texts, codes]
    if DAY.name in schema.names:
        columns.append(pa.array([admission.day for admission in admissions], DAY.type))
    if ORDER["principal"].name in schema.names:
        columns.append(strings([admission.principal for admission in admissions]))
    for name, place in (("codes_in_order", 0), ("poa", 1)):
        if name in schema.names:
            listed = [[code[place] for code in admission.in_order] for admission in admissions]
            columns.append(pa.array(listed, ORDER[name].type))
    return pa.table(columns, schema=schema)
