"""Codes as rows of OMOP's table NOTE_NLP (CDM 5.4): one row per code and evidence span.

The table has no column for a code of a source, so the code is in ``term_modifiers``, with score and
edition. The concepts are 0 (no matching concept): mapping codes to concepts needs the vocabularies
of the receiver.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from icdcli.data.notes.text import Note
from icdcli.errors import DataError
from icdcli.explain.spans import EvidenceSpan
from icdcli.icd.editions.standard_names import standard_names
from icdcli.io.tables.parquet import open_parquet
from icdcli.lexical.assertion.classes import Assertion
from icdcli.predict.batches import CodedNote, NoteCode
from icdcli.predict.formats.blocks import CodedBlock, ModelName

NOTE_NLP = pa.schema(
    [
        ("note_nlp_id", pa.int64()),
        ("note_id", pa.int64()),
        ("section_concept_id", pa.int64()),
        ("snippet", pa.string()),
        ("offset", pa.string()),
        ("lexical_variant", pa.string()),
        ("note_nlp_concept_id", pa.int64()),
        ("note_nlp_source_concept_id", pa.int64()),
        ("nlp_system", pa.string()),
        ("nlp_date", pa.date32()),
        ("nlp_datetime", pa.timestamp("ms")),
        ("term_exists", pa.string()),
        ("term_temporal", pa.string()),
        ("term_modifiers", pa.string()),
    ]
)
"""The columns of the table, in its order."""

_LONGEST_TEXT = 250  # characters of snippet, lexical_variant and nlp_system
_LONGEST_ID = 18  # digits that fit 64 bits
_ABSENT = {
    Assertion.NEGATED.label: "negation=true",
    Assertion.HYPOTHETICAL.label: "conditional=true",
    Assertion.OTHER.label: "finding=false",
    Assertion.FAMILY.label: "subject=family",
}
_TEMPORAL = {
    Assertion.AFFIRMED.label: "Present",
    Assertion.HISTORICAL.label: "Past",
    Assertion.RESOLVED.label: "Past",
}


def require_note_id(note: Note) -> None:
    """Raise an error if the id of a note isn't one of the table NOTE, which are whole numbers.

    Raises:
        DataError: If so.
    """
    ids = [one.note_id for one in note.notes] or [note.id]
    if (wrong := next((id[:80] for id in ids if not _is_note_id(id)), None)) is not None:
        raise DataError(
            f"--format omop: NOTE_NLP names notes by whole numbers, but a note has the id "
            f"{wrong!r}. Pass one table with --id-column note_id, or choose another format."
        )


def _is_note_id(id: str) -> bool:
    return id.isascii() and id.isdigit() and len(id) <= _LONGEST_ID


def note_nlp_rows(
    note: Note, coded: CodedNote, model: ModelName, started: Any
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a note, in the order of `NOTE_NLP`; without their ids, which joining adds.

    A code without evidence has one row, without an offset; if several notes of an encounter are
    joined, it is of the last one. Codes that a hard rule has removed are left out.

    Args:
        note: The note.
        coded: Its codes.
        model: The model.
        started: The time.
    """
    for code in coded.codes:
        if code.dropped is not None:
            continue
        for span in code.evidence or (None,):
            id, text, begin = _note_of(note, span)
            offset, words, snippet = _place(text, span, begin)
            assertion = span.assertion if span is not None else None
            yield (
                None,
                int(id),
                0,
                snippet,
                offset,
                words,
                0,
                0,
                str(model)[:_LONGEST_TEXT],
                started.date(),
                started.replace(tzinfo=None),
                "N" if assertion in _ABSENT else "Y",
                _TEMPORAL.get(assertion or ""),
                _modifiers(code, span, begin),
            )


def _note_of(note: Note, span: EvidenceSpan | None) -> tuple[str, str, int]:
    """Return the id and the text of the note that a span is in, and where it is in that text."""
    if not note.notes:
        return note.id, note.text, 0 if span is None else span.begin
    if span is None or span.place is None:
        one = note.notes[-1]
        return one.note_id, note.text[one.begin : one.end], 0
    one = next(one for one in note.notes if one.note_id == span.place.note_id)
    return one.note_id, note.text[one.begin : one.end], span.place.begin


def _place(text: str, span: EvidenceSpan | None, begin: int) -> tuple[str | None, str, str | None]:
    """Return the offset, the words and what is around them."""
    if span is None:
        return None, "", None
    words = text[begin : begin + span.end - span.begin][:_LONGEST_TEXT]
    room = (_LONGEST_TEXT - len(words)) // 2
    return str(begin), words, text[max(0, begin - room) : begin + len(words) + room]


def _modifiers(code: NoteCode, span: EvidenceSpan | None, begin: int) -> str:
    values: dict[str, object] = {
        "code": code.code,
        "vocabulary": standard_names(code.edition).omop,
        "edition": code.edition,
        "score": code.score,
        "threshold": code.threshold,
        "predicted": str(code.predicted).lower(),
        "action": code.action,
        "principal": "true" if code.principal else None,
    }
    if span is not None:
        end = begin + span.end - span.begin
        values |= {"end": end, "weight": span.weight, "assertion": span.assertion}
    pairs = [f"{name}={value}" for name, value in values.items() if value is not None]
    absent = _ABSENT.get(span.assertion or "") if span is not None else None
    return ";".join([*pairs, *([absent] if absent else [])])


def write_omop(model: ModelName, path: Path, block: CodedBlock) -> None:
    """Write a part: Parquet without the ids of rows."""
    rows = [
        row
        for note, coded in zip(block.notes, block.coded, strict=True)
        for row in note_nlp_rows(note, coded, model, block.started)
    ]
    write_rows(rows, NOTE_NLP, path)


def write_rows(rows: Sequence[tuple[Any, ...]], schema: pa.Schema, path: Path) -> None:
    """Write rows of a table to a Parquet file."""
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    pq.write_table(pa.table(arrays, schema=schema), path)


def join_omop_csv(schema: pa.Schema, path: Path, parts: Iterable[Path]) -> None:
    """Join parts of a table to a CSV file, and number the rows."""
    with path.open("w", encoding="utf-8", newline="") as file:
        # A lone \\r must be in quotes.
        quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        file.write(_header(schema))
        for table in _numbered(parts):
            for row in table.to_pylist():
                quoting.writerow("" if value is None else value for value in row.values())


def gather_omop_csv(schema: pa.Schema, path: Path, files: Iterable[Path]) -> None:
    """Join CSV files of a table, and number the rows anew."""
    number = 0
    with path.open("w", encoding="utf-8", newline="") as joined:
        joined.write(_header(schema))
        for one in files:
            with one.open(encoding="utf-8", newline="\n") as lines:
                next(lines)
                in_quotes = False
                for line in lines:
                    if in_quotes:  # the row goes on
                        joined.write(line)
                    else:
                        number += 1
                        joined.write(f"{number},{line.partition(',')[2]}")
                    in_quotes ^= line.count('"') % 2 == 1


def _header(schema: pa.Schema) -> str:
    return ",".join(schema.names) + "\n"


def join_omop_parquet(schema: pa.Schema, path: Path, parts: Iterable[Path]) -> None:
    """Join parts, or complete files, of a table to a Parquet file, and number the rows."""
    with pq.ParquetWriter(path, schema) as writer:
        for table in _numbered(parts):
            if table.num_rows:
                writer.write_table(table)


def _numbered(parts: Iterable[Path]) -> Iterator[pa.Table]:
    """Yield the rows of each part with ids: those of a block of notes, as each is a row group."""
    number = 1
    for part in parts:
        with open_parquet(part) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                ids = pa.array(range(number, number + table.num_rows), pa.int64())
                number += table.num_rows
                yield table.set_column(0, table.schema.field(0), ids)
