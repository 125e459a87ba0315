"""The prepared corpus on the disk: its files and how they are read.

    documents.parquet   id · subject_id · split · text · codes (sorted, dotted) · day, if the source
                        has days of discharge · with an order: principal, codes_in_order, poa
    labels.parquet      label (0..L-1) · code · kind · title · count · train_count; its metadata
                        name the editions of the codes
    evidence.parquet    annotated evidence, if any; see `icdcli.data.corpus.annotations`
    boundaries.parquet  the notes of each document; see `icdcli.data.corpus.boundaries`
    card.json           its sources, options and counts

Any Parquet reader opens the tables. Each page has a checksum, so that damage is reported. They
contain patient text: the folder is 0700, its files 0600.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from icdcli.data.corpus.annotations import ANNOTATIONS, Annotations, read_annotations
from icdcli.data.corpus.boundaries import BOUNDARIES
from icdcli.data.corpus.document_columns import DAY, DOCUMENTS_SCHEMA, ORDER
from icdcli.data.sources.admission import SPLITS
from icdcli.data.sources.registry import system_of
from icdcli.errors import ConfigError, DataError
from icdcli.icd.code_system import (
    EARLIER,
    CodeSystem,
    earlier_editions,
    open_code_system,
    shape_of,
    stored_code_system,
)
from icdcli.icd.codes import System
from icdcli.icd.editions.records import Editions, of_kinds
from icdcli.io.arrow import numbers, strings
from icdcli.io.files import replacing
from icdcli.io.tables.parquet import open_parquet

FORMAT = 3
"""Part of the hash and card; increased when the same sources and options give another corpus."""

DOCUMENTS, LABELS, CARD = "documents.parquet", "labels.parquet", "card.json"

_LABELS_SCHEMA = pa.schema(
    [
        ("label", pa.int32()),
        ("code", pa.string()),
        ("kind", pa.string()),
        ("title", pa.string()),
        ("count", pa.int64()),
        ("train_count", pa.int64()),
    ]
)
EDITIONS = b"icdcode.editions"
"""The key of the editions in the metadata of Parquet files."""


@dataclass(frozen=True)
class Labels:
    """The label space: the index of a code is its label.

    Attributes:
        codes: Dotted codes, in label order.
        kinds: ``diagnosis`` or ``procedure``.
        titles: Official titles; None for codes without one.
        counts: Documents with the code, in all splits.
        train_counts: Documents with the code in the training split.
        editions: The editions of the kinds of codes; None: unknown, or written by version 0.1.0.
    """

    codes: tuple[str, ...]
    kinds: tuple[str, ...]
    titles: tuple[str | None, ...]
    counts: tuple[int, ...]
    train_counts: tuple[int, ...]
    editions: Editions | None = field(default=None, hash=False)

    def __len__(self) -> int:
        """Return the number of labels."""
        return len(self.codes)

    @cached_property
    def known_titles(self) -> dict[str, str]:
        """Return the title of each code that has one."""
        return {code: title for code, title in zip(self.codes, self.titles, strict=True) if title}

    @cached_property
    def index(self) -> dict[str, int]:
        """Return the label of each code."""
        return {code: label for label, code in enumerate(self.codes)}


@dataclass(frozen=True)
class Documents:
    """The documents of one split, in the corpus's order.

    Attributes:
        ids: The documents' ids.
        subject_ids: The patients' ids; None if the source has none.
        rows: Each document's row in ``documents.parquet``.
        targets: Each document's labels, sorted, as int32.
        outside: Each document's gold codes outside of the label space, sorted; empty: none.
        principals: Each document's principal diagnosis, None if unknown; empty: not kept.
    """

    ids: list[str]
    subject_ids: list[str | None]
    rows: NDArray[np.int64]
    targets: list[NDArray[np.int32]]
    outside: list[tuple[str, ...]] = field(default_factory=list)
    principals: list[str | None] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self.ids)

    @classmethod
    def unlabeled(cls, count: int) -> "Documents":
        """Return documents without ids and labels, in the rows from 0 on."""
        no_targets = np.zeros(0, np.int32)
        return cls([""] * count, [None] * count, np.arange(count), [no_targets] * count)

    def take(self, positions: Sequence[int]) -> "Documents":
        """Return the documents at these positions, in this order."""
        return Documents(
            [self.ids[i] for i in positions],
            [self.subject_ids[i] for i in positions],
            self.rows[list(positions)],
            [self.targets[i] for i in positions],
            [self.outside[i] for i in positions] if self.outside else [],
            [self.principals[i] for i in positions] if self.principals else [],
        )

    def targets_NL(self, number_of_labels: int) -> NDArray[np.bool_]:
        """Return the targets as a bool matrix of (documents, labels)."""
        result_NL = np.zeros((len(self), number_of_labels), dtype=bool)
        for row_L, labels in zip(result_NL, self.targets, strict=True):
            row_L[labels] = True
        return result_NL


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus; see `open_corpus`.

    Attributes:
        folder: Its folder.
        card: The content of ``card.json``: its sources, options and counts.
        labels: Its label space.
    """

    folder: Path
    card: dict[str, Any]
    labels: Labels

    @property
    def name(self) -> str:
        """Return its name, which differs from that of every other corpus."""
        return self.folder.name

    @property
    def code_index(self) -> Mapping[str, int]:
        """Return the label of each code that counts in its documents."""
        return self.labels.index

    @property
    def splits(self) -> list[str]:
        """Return the splits that have documents."""
        return [split for split in SPLITS if split in self.card["splits"]]

    @property
    def has_principals(self) -> bool:
        """Return whether the principal diagnoses of its documents are known."""
        options = self.card.get("options", {})
        return "principal" in options or "sequence_column" in options.get("long_format", {})

    @property
    def system(self) -> System | None:
        """Return the system whose rules its codes follow; None: they are kept unchanged."""
        name: str | None = self.card.get("options", {}).get("code_system")
        return system_of(self.card["dataset"]) if name is None else shape_of(name)

    @cached_property
    def code_system(self) -> CodeSystem | None:
        """Return the editions in which its codes are looked up; None if unknown.

        Raises:
            ConfigError: An edition isn't at hand any more.
            DataError: An edition can't be read, or is another one than it was.
        """
        options = self.card.get("options", {})
        name = options.get("code_system") or system_of(self.card["dataset"])
        if name is None:
            return None
        if "editions" not in options:
            return open_code_system(EARLIER[name])
        return stored_code_system(name, options["editions"], self.folder)

    def documents(self, split: str) -> Documents:
        """Return the documents of a split without their texts; see `texts`.

        Raises:
            ConfigError: If the split has no documents.
            DataError: If the file can't be read, or a code isn't in the label space.
        """
        path = self.folder / DOCUMENTS
        columns = ["id", "subject_id", "split", "codes"]
        self._require(split)
        columns += [ORDER["principal"].name] * self.has_principals
        table = pa.Table.from_batches(list(document_batches(self.folder, columns, 8192)))
        rows = np.flatnonzero(np.asarray(table.column("split").to_pylist(), dtype=object) == split)
        ids, subject_ids, _, codes, *principals = (
            table.column(name).take(rows).to_pylist() for name in columns
        )
        try:
            targets = [self._labels_of(document) for document in codes]
        except KeyError as error:
            raise DataError(
                f"{path}: code {error} isn't in {LABELS}. Delete the folder and prepare the "
                "data again."
            ) from None
        return Documents(ids, subject_ids, rows, targets, [], *principals)

    def texts(self, split: str) -> Iterator[str]:
        """Yield the texts of a split, in the order of `documents`.

        Raises:
            ConfigError: If the split has no documents.
            DataError: If the file can't be read.
        """
        self._require(split)
        for batch in document_batches(self.folder, ["split", "text"], 256):
            for found, text in zip(
                batch.column("split").to_pylist(), batch.column("text").to_pylist(), strict=True
            ):
                if found == split:
                    yield text

    def days(self, split: str) -> list[date | None]:
        """Return each document's day of discharge, None if unknown; empty: the source has none."""
        self._require(split)
        if "date_column" not in self.card.get("options", {}):
            return []
        columns = ["split", DAY.name]
        table = pa.Table.from_batches(list(document_batches(self.folder, columns, 8192)))
        days = table.filter(pc.equal(table.column("split"), split)).column(DAY.name)
        return list(days.to_pylist())

    def evidence(self, split: str) -> Annotations:
        """Return the annotated evidence of a split, in the order of `documents`; it may be empty.

        Raises:
            ConfigError: If the split has no documents.
            DataError: If the files can't be read, or a code isn't in the label space.
        """
        return read_annotations(
            self.folder / ANNOTATIONS, self.documents(split).ids, self.labels.index
        )

    def _labels_of(self, codes: Sequence[str]) -> NDArray[np.int32]:
        """Return the labels of a document's codes, sorted; raise KeyError for an unknown code."""
        return np.array(sorted(self.labels.index[code] for code in codes), dtype=np.int32)

    def _require(self, split: str) -> None:
        if split not in self.splits:
            there = ", ".join(
                f"{name} ({self.card['splits'][name]['documents']})" for name in self.splits
            )
            raise ConfigError(
                f"split: {self.folder.name} has no documents in {split!r}. It has: {there}"
            )


def open_corpus(folder: Path) -> Corpus:
    """Open a prepared corpus, and check that its parts exist and fit together.

    Args:
        folder: The corpus's folder (``<dataset>-<protocol>-<hash>``).

    Raises:
        DataError: If a part is missing or damaged, or the parts don't fit.
    """
    path = folder / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        found, documents, count = card["format"], card["documents"], card["labels"]["count"]
        card["splits"], card["dataset"], card["protocol"]
    except FileNotFoundError:
        raise DataError(
            f"{folder}: is not a prepared corpus ({CARD} is missing). Run `icdcode prepare-data`."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: is damaged ({error}). Delete the folder and prepare the data again."
        ) from error
    if found != FORMAT:
        raise DataError(
            f"{folder}: has format {found}, but this version reads {FORMAT}. Prepare the data "
            "again."
        )
    labels = read_labels(folder / LABELS)
    try:
        metadata = pq.read_metadata(folder / DOCUMENTS)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{folder / DOCUMENTS}: can't be read ({error}). Prepare the data again."
        ) from error
    if not set(DOCUMENTS_SCHEMA.names) <= set(metadata.schema.to_arrow_schema().names):
        raise DataError(
            f"{folder / DOCUMENTS}: columns are missing. Delete the folder and prepare the data "
            "again."
        )
    if metadata.num_rows != documents or len(labels) != count:
        raise DataError(
            f"{folder}: has {metadata.num_rows} documents and {len(labels)} labels, but its card "
            f"has {documents} and {count}. Delete the folder and prepare the data again."
        )
    for entry, name in (("evidence", ANNOTATIONS), ("notes", BOUNDARIES)):
        if entry in card and not (folder / name).is_file():
            raise DataError(
                f"{folder}: {name} is missing. Delete the folder and prepare the data again."
            )
    corpus = Corpus(folder, card, labels)
    if labels.editions is None and (editions := earlier_editions(corpus.system)) is not None:
        editions = of_kinds(card.get("options", {}).get("editions", editions), labels.kinds)
        corpus = replace(corpus, labels=replace(labels, editions=editions))
    return corpus


def document_batches(
    folder: Path, columns: Sequence[str], documents: int
) -> Iterator[pa.RecordBatch]:
    """Yield the documents of a corpus in batches.

    Args:
        folder: The corpus's folder.
        columns: The columns to read, in the order of `DOCUMENTS_SCHEMA`.
        documents: The most documents per batch.

    Raises:
        DataError: If the file can't be read or was changed.
    """
    path = folder / DOCUMENTS
    try:
        with open_parquet(path, page_checksum_verification=True) as file:
            yield from file.iter_batches(batch_size=documents, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path}: can't be read ({error}). Delete the folder and prepare the data again."
        ) from error


def write_labels(path: Path, labels: Labels) -> None:
    """Write a label space as Parquet."""
    number = numbers(range(len(labels)), np.int32)
    texts = [strings(column) for column in (labels.codes, labels.kinds, labels.titles)]
    counts = [numbers(column, np.int64) for column in (labels.counts, labels.train_counts)]
    schema = _LABELS_SCHEMA
    if labels.editions is not None:
        schema = schema.with_metadata({EDITIONS: json.dumps(labels.editions)})
    with replacing(path) as temporary:
        pq.write_table(
            pa.table([number, *texts, *counts], schema=schema), temporary, write_page_checksum=True
        )


def read_labels(path: Path) -> Labels:
    """Read a label space.

    Raises:
        DataError: If it is missing or damaged, or its labels aren't 0, 1, 2 … in order.
    """
    try:
        with open_parquet(path, page_checksum_verification=True) as file:
            table = file.read(columns=_LABELS_SCHEMA.names)
        columns = (tuple(table.column(name).to_pylist()) for name in _LABELS_SCHEMA.names)
        label, codes, kinds, titles, counts, train_counts = columns
        editions = json.loads((table.schema.metadata or {}).get(EDITIONS, "null"))
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise DataError(
            f"{path}: can't be read as a label space ({error}). Delete the folder and prepare "
            "the data again."
        ) from error
    labels = Labels(codes, kinds, titles, counts, train_counts, editions)
    if label != tuple(range(len(label))) or len(labels.index) != len(labels):
        raise DataError(
            f"{path}: was changed or is damaged (its labels aren't 0, 1, 2 … with one code each). "
            "Delete the folder and prepare the data again."
        )
    return labels
