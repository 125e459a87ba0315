"""A table of the user's own notes as a source: which rows and cells make which documents.

Rows are counted from 1, without the header. The number is the document's id if the table has no
ids, and messages name it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from icdcli.data.benchmarks.protocols import (
    Protocol,
    own_split,
)
from icdcli.data.markup import MISREAD, is_misread
from icdcli.data.sources.admission import Admission, Code, EncounterCodes
from icdcli.data.sources.long_format.code_rows import LongCodes
from icdcli.data.sources.long_format.opening import (
    refuse_unordered,
)
from icdcli.data.sources.tables.codes import TableCodes, refuse_problem
from icdcli.data.sources.tables.encounters import EncounterRows
from icdcli.data.sources.tables.evidence import short_value
from icdcli.data.sources.tables.reader import RowReader
from icdcli.data.sources.tables.rows import (
    RepeatedIds,
    SameTexts,
    TableColumns,
    find_columns,
)
from icdcli.data.usual_columns import USUAL_CODES, USUAL_NOTE_ID, USUAL_TEXTS, found_column
from icdcli.icd.code_cells import cell_codes
from icdcli.icd.code_columns import CodeKind
from icdcli.icd.codes import System
from icdcli.icd.listed_cells import ListedCodes
from icdcli.io.csv_reader import Reading, plain_name
from icdcli.io.tables.records import (
    column_names,
    table_files,
    table_rows,
)

T = TypeVar("T")

OPTIONAL_COLUMNS = (
    *("evidence_column", "date_column"),
    *("encounter_column", "note_type_column", "time_column"),
)
"""The keys of columns that a table needn't have."""
_TEXT, _CODES = "text", "codes"
_USUAL_NAMES = {"id_column": "id", "subject_column": "subject_id", "split_column": "split"}


@dataclass(frozen=True)
class TableSource:
    """The file and the meaning of its columns.

    Attributes:
        path: A file whose name ends as `icdcli.io.tables.records.ENDINGS` lists.
        text_column: The column of the notes.
        codes_column: The column of the codes: a list, or a string separated by ``;``, ``,`` or
            blanks. Several columns with one code each: their names, or a pattern (``dx*``).
        id_column: The column of ids; None: ``id`` if there is one, else the row's number. Rows with
            the same id and text are one document with the codes of all of them.
        subject_column: The column of patients; None: ``subject_id`` if there is one.
        split_column: The column of splits; None: ``split`` if there is one.
        evidence_column: The column of annotated evidence, as a list or as JSON: ``{"code": …,
            "begin": …, "end": …}`` in characters of the text; fragments of one annotation share a
            number ``group``. None: no evidence.
        date_column: The column of the days of discharge; None: they are unknown.
        encounter_column: The column of encounters, whose rows are the notes of one document; None:
            each row is a document.
        note_type_column: The column of the types of these notes; None: they are unknown.
        time_column: The column of the times by which they are ordered; None: `date_column`, or the
            order of the rows.
        note_types: The types of the notes to read; None: all.
        reading: How the table is read, and the counts of dropped rows.
        system: The coding system, which dots and titles depend on; None: codes are kept unchanged,
            and all count as diagnoses.
        listed: The list of a system without rules of its own; None: it isn't known.
        code_kind: The kind of the codes; None: decided for the column as a whole.
        accept_unknown_codes: Whether codes may be outside the official tables, or of an impossible
            form.
        long_codes: The table with one row per encounter and code; None: the codes are in
            `codes_column`.
        ordered: Whether the codes of a cell are in the order of a claim, the principal diagnosis
            first.
    """

    path: Path
    text_column: str = "text"
    codes_column: str | Sequence[str] = "codes"
    id_column: str | None = None
    subject_column: str | None = None
    split_column: str | None = None
    evidence_column: str | None = None
    date_column: str | None = None
    encounter_column: str | None = None
    note_type_column: str | None = None
    time_column: str | None = None
    note_types: Sequence[str] | None = None
    reading: Reading = field(default_factory=Reading)
    system: System | None = None
    listed: ListedCodes | None = None
    code_kind: CodeKind | None = None
    accept_unknown_codes: bool = False
    long_codes: LongCodes | None = None
    ordered: bool = False

    def files(self) -> list[Path]:
        """Return the files that the corpus depends on."""
        more = [] if self.long_codes is None else table_files(self.long_codes.path)
        return list(dict.fromkeys([*table_files(self.path), *more]))

    @property
    def titles(self) -> dict[Code, str]:
        """Return nothing: such a table has no titles of its own."""
        return {}

    @property
    def own_splits(self) -> str | None:
        """Return the name of the column of splits; None if there is none."""
        return self.columns.names.get("split_column")

    @cached_property
    def columns(self) -> TableColumns:
        """Return the columns that are read.

        Raises:
            DataError: If a column is missing.
        """
        available = column_names(self.path, self._first_reading())
        columns = {"text_column": self._found("text_column", _TEXT, USUAL_TEXTS, available)}
        for role, usual in _USUAL_NAMES.items():
            name: str | None = getattr(self, role)
            there = {*map(plain_name, available)} - {plain_name(self.encounter_column or "")}
            if name is not None or usual in there:
                columns[role] = name or usual
        for role in OPTIONAL_COLUMNS:
            if (name := getattr(self, role)) is not None:
                columns[role] = name
        encounter = self.encounter_column
        if encounter is not None and plain_name(encounter) != USUAL_NOTE_ID:
            there = {*map(plain_name, available)}
            if "id_column" not in columns and USUAL_NOTE_ID in there:
                columns["id_column"] = USUAL_NOTE_ID
                self.reading.choices["id_column"] = f"{USUAL_NOTE_ID}, a usual name"
        codes = self._found("codes_column", _CODES, USUAL_CODES, available)
        codes = codes if self.long_codes is None else ()
        return find_columns(self.path, available, columns, codes)

    def _found(self, key: str, default: str, usual: Sequence[str], available: Sequence[str]) -> Any:
        """Return a configured column; instead of a default that is missing, one of usual name."""
        name = getattr(self, key)
        if name != default or (key == "codes_column" and self.long_codes is not None):
            return name
        found = found_column(self.path, available, default, usual, key)
        if found != default:
            self.reading.choices[key] = f"{found}, a usual name, since there is no {default!r}"
        return found

    def admissions(self, protocol: Protocol, work: Path) -> Iterator[Admission]:
        """Read the documents.

        Args:
            protocol: Decides whether the split column is read, if there is one.
            work: Not used.

        Yields:
            The documents with a text and at least one code, in the table's order.

        Raises:
            DataError: If the file can't be read or a value is refused; the message names the row.
        """
        found = (
            self._documents(protocol)
            if self.encounter_column is None
            else self._encounters(protocol, work)
        )
        yield from found if self.long_codes is None else self.long_codes.attach(found)

    def _documents(self, protocol: Protocol) -> Iterator[Admission]:
        splits_count, cells = self._splits_count(protocol), self._row_reader
        misread = 0
        repeated, same_texts = self._codes_and_ids[1], SameTexts()
        left = dict.fromkeys(repeated.codes)  # those of which no row with a text was read yet
        records = table_rows(self.path, self.columns.all, self.reading)
        for number, values in enumerate(records, start=1):
            if not any(values):  # such as the rows below a table in Excel
                self.reading.drop("rows without text", 1)
                continue
            row = self.columns.row(values)
            id, text = cells.id(row, number), cells.text(row, number)
            subject = cells.name(row, "subject_column", number)
            split = cells.split(row, number) if splits_count else None
            day = cells.day(row, number)
            found = self._coded(row, number)
            if id in repeated.codes:
                self._require_same(repeated, id, number, text, (subject, split, day))
                if text is None or id not in left:
                    continue
                del left[id]
                if self.long_codes is None:
                    found = EncounterCodes(frozenset(map(self._code, repeated.codes[id])))
            elif text is not None and "id_column" not in row:
                same_texts.add(text, found.codes)
            if text is None:
                self.reading.drop("rows without text", 1)
            elif not found.codes:
                self.reading.drop("rows without codes", 1)
            else:
                misread += is_misread(text)
                evidence = cells.evidence(row, text, self._code, number)
                admission = Admission(id, subject, text, found.codes, split, evidence, day)
                yield admission.in_the_order_of(found)
        self.reading.drop("documents without text", len(left))
        if misread:
            self.reading.choices["texts"] = f"{misread:,} of the documents have {MISREAD}"
        same_texts.refuse(self.path)
        if repeated.codes and self.long_codes is None:
            self.reading.choices["rows"] = repeated.summary

    def _require_same(
        self,
        repeated: RepeatedIds,
        id: str,
        number: int,
        text: str | None,
        others: tuple[str | None, str | None, date | None],
    ) -> None:
        problem = repeated.continues(id, number, text, *others)
        if problem is None and "evidence_column" in self.columns.names and repeated.rows > 1:
            problem = "is in several rows, and evidence needs one row per document"
        if problem is not None:
            raise self._row_reader.wrong(
                number,
                "id_column",
                f"{short_value(id)} {problem}. Every document needs an id of its own: set "
                "id_column to a column of such ids. Only rows with the same text are one document.",
            )

    def _encounters(self, protocol: Protocol, work: Path) -> Iterator[Admission]:
        rows = EncounterRows(
            self._row_reader,
            self.reading,
            self._codes,
            self._code,
            self._splits_count(protocol),
            self.note_types,
        )
        return rows.admissions(table_rows(self.path, self.columns.all, self.reading), work)

    def _splits_count(self, protocol: Protocol) -> bool:
        return self.own_splits is not None and protocol.split_of is own_split

    @cached_property
    def _row_reader(self) -> RowReader:
        return RowReader(self.path, self.columns, self.system, self.listed)

    def _codes(self, row: Mapping[str, Any], number: int) -> frozenset[Code]:
        return self._coded(row, number).codes

    def _coded(self, row: Mapping[str, Any], number: int) -> EncounterCodes:
        if self.long_codes is not None:
            role = "id_column" if self.encounter_column is None else "encounter_column"
            return self.long_codes.of(self._row_reader.name(row, role, number) or "")
        value = self._row_reader.cell(row, number)
        try:
            codes = [self._code(raw) for raw in cell_codes(value, self.system, self.listed)]
            return EncounterCodes.listed(codes, self.ordered)
        except ValueError as error:
            raise self._row_reader.wrong(number, "codes_column", f"{error}.") from error

    def _code(self, raw: str) -> Code:
        if self.listed is not None:
            return Code(self.listed.spelled(raw), "diagnosis")
        return Code(*self.codes.column.spelled(raw))

    def last_day(self) -> date | None:
        """Return the latest day of discharge; None: the table has none.

        Raises:
            DataError: If a day can't be read.
        """
        if self.date_column is None:
            return None
        names = {"date_column": self.columns.names["date_column"]}
        rows = table_rows(self.path, list(names.values()), self._first_reading())
        days = (
            self._row_reader.day(dict(zip(names, values, strict=True)), number)
            for number, values in enumerate(rows, start=1)
        )
        return max((day for day in days if day is not None), default=None)

    @property
    def codes(self) -> TableCodes:
        """Return how the column of codes is read, which is decided from all of its cells.

        Raises:
            DataError: If a cell can't be read, or the column has a problem that isn't accepted.
        """
        return self._codes_and_ids[0]

    @cached_property
    def _codes_and_ids(self) -> tuple[TableCodes, RepeatedIds]:
        """Return how codes are read, and the ids of several rows with the codes of all of them."""
        joined = self.encounter_column is not None  # ids are then those of an encounter's notes
        ids = {
            role: name
            for role, name in self.columns.names.items()
            if role == "id_column" and not joined
        }
        columns = TableColumns(ids, self.columns.codes)

        def rows() -> Iterator[tuple[str | None, Any]]:
            for number, values in enumerate(
                table_rows(self.path, columns.all, self._first_reading()), start=1
            ):
                row = columns.row(values)
                id = self._row_reader.id(row, number) if ids and any(values) else None
                yield id, self._row_reader.cell(row, number)

        repeated = RepeatedIds()
        if self.long_codes is not None:
            for _ in map(repeated.count, rows() if ids else ()):
                pass
            return self.long_codes.table_codes, repeated
        found = TableCodes.read(
            self.path,
            columns.codes_name,
            (cell for _, cell in map(repeated.count, rows())),
            self.system,
            self.code_kind,
            self.accept_unknown_codes,
            self.listed,
        )
        refuse_problem(self.path, found.entry, self.accept_unknown_codes)
        if repeated.codes:
            if self.ordered:
                refuse_unordered(self.path)
            for id, cell in rows():
                if id in repeated.codes:
                    repeated.codes[id].update(cell_codes(cell, self.system, self.listed))
        repeated.forget()
        return found, repeated

    def _first_reading(self) -> Reading:
        """Return how the table is read before its documents are; bad rows are counted later."""
        own = self.reading
        return Reading(own.chunk_size, own.skip_bad_rows, own.on_progress, encoding=own.encoding)
