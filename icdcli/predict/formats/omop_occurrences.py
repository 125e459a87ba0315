"""Predicted codes as rows of OMOP's CONDITION_OCCURRENCE and PROCEDURE_OCCURRENCE (CDM 5.4)."""

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from icdcli.data.notes.text import Note
from icdcli.errors import DataError
from icdcli.icd.editions.standard_names import standard_names
from icdcli.predict.batches import CodedNote
from icdcli.predict.formats.blocks import CodedBlock
from icdcli.predict.formats.omop import write_rows
from icdcli.predict.formats.omop_concepts import Concepts, read_concepts

_WHOLE, _TEXT, _DAY, _MOMENT = pa.int64(), pa.string(), pa.date32(), pa.timestamp("ms")
CONDITION_OCCURRENCE = pa.schema(
    [
        ("condition_occurrence_id", _WHOLE),
        ("person_id", _WHOLE),
        ("condition_concept_id", _WHOLE),
        ("condition_start_date", _DAY),
        ("condition_start_datetime", _MOMENT),
        ("condition_end_date", _DAY),
        ("condition_end_datetime", _MOMENT),
        ("condition_type_concept_id", _WHOLE),
        ("condition_status_concept_id", _WHOLE),
        ("stop_reason", _TEXT),
        ("provider_id", _WHOLE),
        ("visit_occurrence_id", _WHOLE),
        ("visit_detail_id", _WHOLE),
        ("condition_source_value", _TEXT),
        ("condition_source_concept_id", _WHOLE),
        ("condition_status_source_value", _TEXT),
    ]
)
"""The columns of the table of diagnoses, in its order."""
PROCEDURE_OCCURRENCE = pa.schema(
    [
        ("procedure_occurrence_id", _WHOLE),
        ("person_id", _WHOLE),
        ("procedure_concept_id", _WHOLE),
        ("procedure_date", _DAY),
        ("procedure_datetime", _MOMENT),
        ("procedure_end_date", _DAY),
        ("procedure_end_datetime", _MOMENT),
        ("procedure_type_concept_id", _WHOLE),
        ("modifier_concept_id", _WHOLE),
        ("quantity", _WHOLE),
        ("provider_id", _WHOLE),
        ("visit_occurrence_id", _WHOLE),
        ("visit_detail_id", _WHOLE),
        ("procedure_source_value", _TEXT),
        ("procedure_source_concept_id", _WHOLE),
        ("modifier_source_value", _TEXT),
    ]
)
"""The columns of the table of procedures, in its order."""

_BY_NLP = 32858  # OMOP's type concept "NLP"
_UNCONFIRMED = "unconfirmed"
_LONGEST_ID = 18  # digits that fit 64 bits


class Occurrences:
    """Writes the predicted codes of one kind.

    Attributes:
        kind: The kind of codes.
        schema: The columns of the table.
        folder: The folder with the tables of concepts; None: all concepts are 0.
    """

    def __init__(self, kind: str, folder: Path | None = None) -> None:
        self.kind = kind
        self.schema = CONDITION_OCCURRENCE if kind == "diagnosis" else PROCEDURE_OCCURRENCE
        self.folder = folder

    @cached_property
    def _concepts(self) -> Concepts:
        return Concepts({}, {}) if self.folder is None else read_concepts(self.folder)

    def write(self, path: Path, block: CodedBlock) -> None:
        """Write a part: Parquet without the ids of rows."""
        pairs = zip(block.notes, block.coded, strict=True)
        write_rows([row for pair in pairs for row in self.rows(*pair)], self.schema, path)

    def rows(self, note: Note, coded: CodedNote) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a note, in the order of the columns; without their ids.

        A code that maps to several standard concepts of the table's domain has a row for each.
        """
        domain = "Condition" if self.kind == "diagnosis" else "Procedure"
        for code in coded.codes:
            if not code.predicted or code.dropped is not None or code.kind != self.kind:
                continue
            source = self._concepts.source(standard_names(code.edition).omop, code.code)
            for standard in self._concepts.standard(domain, source):
                yield self._row(note, code.code, source, standard)

    def _row(self, note: Note, code: str, source: int, standard: int) -> tuple[Any, ...]:
        assert note.origin is not None, "require_occurrence was called"
        start = "condition_start_date" if self.kind == "diagnosis" else "procedure_date"
        name = "condition" if self.kind == "diagnosis" else "procedure"
        values: dict[str, Any] = {
            "person_id": _whole(note.origin.patient),
            f"{name}_concept_id": standard,
            start: note.day,
            f"{name}_type_concept_id": _BY_NLP,
            "visit_occurrence_id": _whole(note.origin.encounter),
            f"{name}_source_value": code,
            f"{name}_source_concept_id": source,
        }
        if self.kind == "diagnosis":
            values |= {
                "condition_status_concept_id": 0,
                "condition_status_source_value": _UNCONFIRMED,
            }
        return tuple(values.get(field) for field in self.schema.names)


def require_occurrence(format: str) -> Callable[[Note], None]:
    """Return what raises an error if a note has no patient or day of OMOP."""

    def require(note: Note) -> None:
        origin = note.origin
        if origin is None or _whole(origin.patient) is None:
            raise DataError(
                f"--format {format}: needs person_id as whole numbers, but note {note.id[:80]!r} "
                "has none. Give OMOP's table NOTE, or choose another format."
            )
        if note.day is None:
            raise DataError(
                f"--format {format}: needs the day of each note, but note {note.id[:80]!r} has "
                "none. Pass --date-column note_date."
            )

    return require


def _whole(value: str | None) -> int | None:
    """Return an id as a whole number; None: it isn't one."""
    value = (value or "").removesuffix(".0")
    if value.isascii() and value.isdigit() and len(value) <= _LONGEST_ID:
        return int(value)
    return None
