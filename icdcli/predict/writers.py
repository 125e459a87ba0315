"""Write predicted codes: JSONL with a line per note; CSV and Parquet with a row per note and code.

A file is joined from parts that are written separately. In a table, a note without codes has one
row without a code, so that every note is in the file.

If evidence is requested, each code has its spans: in JSONL a list of objects, in tables four lists
(``begin``, ``end``, ``weight``, ``assertion``), which CSV separates by blanks. Positions are
characters of the note's text, counted from 0.

If checks are requested, each line of JSONL has its findings: a list of objects. Tables have them in
the row of the code to change first: Parquet a list of objects, CSV a text. If codes are removed by
hard rules, ``dropped`` of a removed code says why.

The editions of the codes are in ``editions`` of each line of JSONL, and in ``edition``, the last
column of tables: the name and the first digits of the hash, ``icd10cm-2026-04@6f1c0a9d2b7e``.
"""

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from icdcli.errors import ConfigError
from icdcli.explain.spans import EvidenceSpan
from icdcli.predict.batches import CodedNote, NoteCode

_PLAIN = pa.schema(
    [
        ("id", pa.string()),
        ("code", pa.string()),
        ("title", pa.string()),
        ("score", pa.float32()),
        ("threshold", pa.float32()),
        ("predicted", pa.bool_()),
        ("windows", pa.int32()),
        ("read", pa.float32()),
    ]
)
_SPANS = pa.schema(
    [
        ("begin", pa.list_(pa.int64())),
        ("end", pa.list_(pa.int64())),
        ("weight", pa.list_(pa.float32())),
        ("assertion", pa.list_(pa.string())),
    ]
)
_FINDINGS = pa.field(
    "findings",
    pa.list_(
        pa.struct(
            [
                ("kind", pa.string()),
                ("severity", pa.string()),
                ("codes", pa.list_(pa.string())),
                ("words", pa.string()),
                ("advice", pa.string()),
            ]
        )
    ),
)
_DROPPED = pa.field("dropped", pa.string())
# Last, so that the places of all other columns are those of version 0.1.0.
_EDITION = pa.field("edition", pa.string())
_GROUP_ROWS = 1 << 16


@dataclass(frozen=True)
class Format:
    """A file format for predicted codes.

    Attributes:
        ending: The ending of the files' names.
        write: Writes a part.
        join: Joins parts, in order, to the complete file.
    """

    ending: str
    write: Callable[[Path, Sequence[CodedNote]], None]
    join: Callable[[Path, Iterable[Path]], None]


def format_of(
    path: Path, evidence: bool = False, check: bool = False, resolve: bool = False
) -> Format:
    """Return the format for a file, by the ending of its name.

    Args:
        path: The file.
        evidence: Whether codes have evidence.
        check: Whether notes have findings.
        resolve: Whether codes are removed by hard rules.

    Raises:
        ConfigError: If there is no format with this ending.
    """
    found = _FORMATS.get(path.suffix.lower())
    if found is None:
        raise ConfigError(
            f"--output {path}: the name must end in {', '.join([*_FORMATS][:-1])} or "
            f"{[*_FORMATS][-1]}."
        )
    checks = [*([_FINDINGS] if check else []), *([_DROPPED] if resolve else [])]
    return found(pa.schema([*_PLAIN, *(_SPANS if evidence else ()), *checks, _EDITION]))


def note_dict(note: CodedNote) -> dict[str, Any]:
    """Return a note's ``id``, ``windows``, ``read``, ``editions`` and ``codes`` as JSON values."""
    found = note.findings
    return {
        **_note_values(note),
        "editions": list(note.editions),
        "codes": [_code_dict(code) for code in note.codes],
        **(
            {}
            if found is None
            else {
                "checked_by": list(note.checked_by),
                "findings": [one.to_json() for one in found],
            }
        ),
    }


def _note_values(note: CodedNote) -> dict[str, Any]:
    return {"id": note.id, "windows": note.windows, "read": note.read}


def note_line(note: CodedNote) -> str:
    """Return a note with its codes as a line of JSONL, with the line end."""
    return json.dumps(note_dict(note), ensure_ascii=False, allow_nan=False) + "\n"


def _code_dict(code: NoteCode) -> dict[str, Any]:
    values = code._asdict()
    spans = values.pop("evidence")
    del values["edition"]  # of the note
    if values["dropped"] is None:
        del values["dropped"]
    return values if spans is None else values | {"evidence": [span._asdict() for span in spans]}


def _rows(schema: pa.Schema, notes: Iterable[CodedNote]) -> Iterator[tuple[Any, ...]]:
    """Yield the values of each row, in the order of the schema."""
    for note in notes:
        for code in note.codes:
            values = code._asdict() | _note_values(note)
            spans = values.pop("evidence") or ()
            for name in EvidenceSpan._fields:
                values[name] = [getattr(span, name) for span in spans]
            values["findings"] = [
                one.to_json() for one in note.findings or () if one.codes[0] == code.code
            ]
            yield tuple(values[name] for name in schema.names)
        if not note.codes:
            values = _note_values(note)
            yield tuple(values.get(name) for name in schema.names)


def _write_jsonl(path: Path, notes: Sequence[CodedNote]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(map(note_line, notes))


def _cell(values: list[Any]) -> str:
    """Return a list as the text of a cell."""
    if values and isinstance(values[0], dict):
        return " | ".join(
            f"{one['kind']} ({one['severity']}): {one['words']} {one['advice']}" for one in values
        )
    return " ".join(map(str, values))


def _write_csv(schema: pa.Schema, path: Path, notes: Sequence[CodedNote]) -> None:
    rows = (
        [_cell(cell) if isinstance(cell, list) else cell for cell in row]
        for row in _rows(schema, notes)
    )
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for row in rows:
            # Python leaves a lone \r unquoted, which readers take for the end of a row.
            has_return = any(isinstance(cell, str) and "\r" in cell for cell in row)
            (quoting if has_return else writer).writerow(row)


def _write_parquet(schema: pa.Schema, path: Path, notes: Sequence[CodedNote]) -> None:
    columns = zip(*_rows(schema, notes), strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    pq.write_table(pa.table(arrays, schema=schema), path)


def _join_lines(path: Path, parts: Iterable[Path], header: Sequence[str] = ()) -> None:
    with path.open("wb") as file:
        if header:
            file.write(",".join(header).encode() + b"\n")
        for part in parts:
            with part.open("rb") as content:
                shutil.copyfileobj(content, file)


def _join_csv(schema: pa.Schema, path: Path, parts: Iterable[Path]) -> None:
    _join_lines(path, parts, schema.names)


def _join_parquet(schema: pa.Schema, path: Path, parts: Iterable[Path]) -> None:
    tables: list[pa.Table] = []
    with pq.ParquetWriter(path, schema) as writer:
        for part in parts:
            with pq.ParquetFile(part) as file:
                tables.append(file.read())
            if sum(table.num_rows for table in tables) >= _GROUP_ROWS:
                writer.write_table(pa.concat_tables(tables))
                tables.clear()
        if tables:
            writer.write_table(pa.concat_tables(tables))


_FORMATS: dict[str, Callable[[pa.Schema], Format]] = {
    ".jsonl": lambda schema: Format(".jsonl", _write_jsonl, _join_lines),
    ".csv": lambda schema: Format(".csv", partial(_write_csv, schema), partial(_join_csv, schema)),
    ".parquet": lambda schema: Format(
        ".parquet", partial(_write_parquet, schema), partial(_join_parquet, schema)
    ),
}
