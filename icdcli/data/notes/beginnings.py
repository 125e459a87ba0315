"""What the beginning of a file shows: a table, one note, FHIR resources or HL7 messages."""

import csv
import zlib

from icdcli.errors import DataError
from icdcli.io.csv_reader import plain_name
from icdcli.io.csv_scan import find_separator
from icdcli.io.encodings import marked_encoding

STANDARD_INPUT = "standard input"
"""What messages call it."""
BEGINNING = 1 << 16
"""Bytes that show what the content is."""
USUAL_TEXT = "text"
"""The column of notes, if none is named."""
_ROWS = 2  # the header and one row
_SHORTEST_TABLE = 2  # columns
_USUAL_COLUMNS = frozenset(
    (
        *("id", "note_id", "row_id", "hadm_id", "stay_id", "encounter_id", "subject_id", "patient"),
        *("patient_id", "mrn", "text", "note", "notes", "note_text", "report", "codes", "code"),
        *("icd", "icd9", "icd10", "icd_code", "icd_codes", "diagnoses", "labels", "date", "split"),
    )
)


def table_ending(start: bytes, text_column: str | None) -> str | None:
    """Return the ending of a table's name by the beginning of its content; None: it is a text.

    Args:
        start: The first bytes.
        text_column: The column of notes; None: ``text``.
    """
    if start.startswith(b"PAR1"):
        return ".parquet"
    if start.startswith(b"PK\x03\x04") and b"[Content_Types].xml" in start:
        return None if b"word/" in start else ".xlsx"
    if start.startswith(b"\x1f\x8b"):
        inside = table_ending(_decompressed(start), text_column)
        return inside if inside is None else f"{inside}.gz"
    encoding, mark = marked_encoding(start)
    text = start[mark:].decode(encoding, "replace").lstrip()
    if text.startswith("{") and text[1:].lstrip().startswith('"'):
        return ".jsonl"
    if text.startswith("[") and text[1:].lstrip().startswith("{"):
        return ".json"
    header, wanted = _header(start), text_column or USUAL_TEXT
    if text_column is not None and len(header) > 1:
        return ".csv"
    # A single column must have exactly this name: a note may begin with the line "Text".
    if text_column is None and {"note_id", "person_id"} <= set(map(plain_name, header)):
        return ".csv"  # OMOP's table NOTE
    found = wanted in header if len(header) == 1 else plain_name(wanted) in map(plain_name, header)
    return ".csv" if found else None


def _decompressed(start: bytes) -> bytes:
    """Return what the beginning of a gzip file contains; nothing if it is damaged."""
    try:
        return zlib.decompressobj(wbits=31).decompress(start, BEGINNING)
    except zlib.error:
        return b""


def refuse_table(content: bytes, name: str) -> None:
    """Raise an error if a note is a table, which begins with the names of columns.

    Args:
        content: The note.
        name: Its name in messages.

    Raises:
        DataError: If so.
    """
    header = map(plain_name, _header(content[:BEGINNING]))
    if len(_USUAL_COLUMNS & set(header)) >= _SHORTEST_TABLE:
        what = (
            "Pass --text-column with the column of the notes"
            if name == STANDARD_INPUT
            else "Give it a name that ends in .csv"
        )
        raise DataError(f"{name}: looks like a table, not like one note. {what}.")


def _header(start: bytes) -> list[str]:
    """Return the names of columns if the content may be CSV; else nothing."""
    encoding, mark = marked_encoding(start)
    text = start[mark:].decode(encoding, "replace")
    reader = csv.reader(text.splitlines(keepends=True), delimiter=find_separator(text.encode()))
    rows: list[list[str]] = []
    try:
        for row in reader:
            if row:
                rows.append(row)
            if len(rows) == _ROWS:
                break
    except csv.Error:  # a row that is longer than the beginning
        return []
    cut_off = len(start) >= BEGINNING  # perhaps within the second row
    if len(rows) < _ROWS or not (len(rows[1]) == len(rows[0]) or cut_off):
        return []
    return rows[0]
