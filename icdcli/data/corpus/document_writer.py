"""Writing documents.parquet as documents stream by, and counting them for the card."""

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from icdcli.data.corpus.reader import DAY, DOCUMENTS_SCHEMA
from icdcli.data.corpus.statistics import CorpusStatistics, DocumentStatistics
from icdcli.data.sources.admission import SPLITS, Admission, Code
from icdcli.errors import DataError
from icdcli.io.arrow import lists_of_strings, strings, values_of

_GROUP_DOCUMENTS = 2048
# A row group with long texts ends early, so that it fits the processor's cache and memory is
# bounded.
_GROUP_CHARACTERS = 2 << 20

# Documents of one subject that are unusual: the id may stand for unknown patients.
_MANY = 20
_LARGE_SHARE = 0.1

Document = tuple[Admission, str, list[str]]
"""An admission, its split, and its codes as the corpus writes them."""


class DocumentWriter:
    """Writes one row group at a time, in another thread while the next one is collected.

    Attributes:
        code_counts: Split to code to number of documents.
        kind_counts: Code and kind to number of documents, in all splits.
        statistics: The statistics for the card.
    """

    def __init__(self, path: Path, dated: bool = False) -> None:
        self.code_counts: dict[str, Counter[str]] = {}
        self.kind_counts: Counter[Code] = Counter()
        self.statistics = CorpusStatistics()
        self._path = path
        self._schema = DOCUMENTS_SCHEMA.append(DAY) if dated else DOCUMENTS_SCHEMA
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
                table = _table(group, self._schema)
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
            group.append((admission, split, sorted({code.code for code in admission.codes})))
            characters += len(admission.text)
            if len(group) >= _GROUP_DOCUMENTS or characters >= _GROUP_CHARACTERS:
                yield group
                group, characters = [], 0
        if group:
            yield group

    def _count(self, group: list[Document]) -> None:
        self.kind_counts.update(chain.from_iterable(admission.codes for admission, _, _ in group))
        for split in {split for _, split, _ in group}:
            part = [(admission, codes) for admission, its, codes in group if its == split]
            self._documents[split] += len(part)
            self.code_counts.setdefault(split, Counter()).update(
                chain.from_iterable(codes for _, codes in part)
            )
            subjects = [
                admission.subject_id for admission, _ in part if admission.subject_id is not None
            ]
            self._without_subject[split] += sum(
                admission.subject_id is None for admission, _ in part
            )
            if subjects:
                self._subjects.setdefault(split, Counter()).update(subjects)

    def _describe(self, table: pa.Table) -> None:
        columns = {name: table.column(name).chunk(0) for name in DOCUMENTS_SCHEMA.names}
        codes = np.diff(values_of(columns["codes"].offsets, np.int32)).tolist()
        self.statistics.add(
            columns["split"].to_pylist(), columns["subject_id"].to_pylist(), columns["text"], codes
        )

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


def _table(group: list[Document], schema: pa.Schema) -> pa.Table:
    admissions, splits, codes = zip(*group, strict=True)
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
    columns = [strings(ids), strings(subjects), strings(splits), texts, lists_of_strings(codes)]
    if DAY.name in schema.names:
        columns.append(pa.array([admission.day for admission in admissions], DAY.type))
    return pa.table(columns, schema=schema)
