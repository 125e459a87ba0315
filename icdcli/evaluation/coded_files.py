"""Coded notes as files: JSONL with a line a note; CSV and Parquet with a row a note and code.

A file is made of parts, which are written alone and joined later, whoever wrote them. In a table, a note without any code
has one row, in which the code is missing: so no note is.
"""

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from icdcli.errors import ConfigError
from icdcli.evaluation.coding import CodedNote

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("code", pa.string()),
        ("title", pa.string()),
        ("score", pa.float32()),
        ("threshold", pa.float32()),
        ("predicted", pa.bool_()),
        ("windows", pa.int32()),
    ]
)
_GROUP_ROWS = 1 << 16


@dataclass(frozen=True)
class Format:
    """A way of writing coded notes.

    Attributes:
        ending: Of the files' names.
        write: Writes a part.
        join: Joins parts, in order, to the whole file.
    """

    ending: str
    write: Callable[[Path, Sequence[CodedNote]], None]
    join: Callable[[Path, Iterable[Path]], None]


def format_of(path: Path) -> Format:
    """The format that a file's name asks for.

    Raises:
        ConfigError: When it is none of them.
    """
    found = _FORMATS.get(path.suffix.lower())
    if found is None:
        raise ConfigError(f"--output {path}: should end in {', '.join([*_FORMATS][:-1])} or {[*_FORMATS][-1]}")
    return found


def note_dict(note: CodedNote) -> dict[str, Any]:
    """A note with its codes as plain values: ``id``, ``windows``, and ``codes`` (a list)."""
    return {"id": note.id, "windows": note.windows, "codes": [code._asdict() for code in note.codes]}


def note_line(note: CodedNote) -> str:
    """A note with its codes as a line of JSONL, line end included."""
    return json.dumps(note_dict(note), ensure_ascii=False, allow_nan=False) + "\n"


def _rows(notes: Iterable[CodedNote]) -> Iterator[tuple[Any, ...]]:
    for note in notes:
        for code in note.codes:
            yield note.id, *code, note.windows
        if not note.codes:
            yield note.id, None, None, None, None, None, note.windows


def _write_jsonl(path: Path, notes: Sequence[CodedNote]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(map(note_line, notes))


def _write_csv(path: Path, notes: Sequence[CodedNote]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(_rows(notes))


def _write_parquet(path: Path, notes: Sequence[CodedNote]) -> None:
    columns = zip(*_rows(notes), strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
    pq.write_table(pa.table(arrays, schema=_SCHEMA), path)


def _join_lines(path: Path, parts: Iterable[Path], header: Sequence[str] = ()) -> None:
    with path.open("wb") as file:
        if header:
            file.write(",".join(header).encode() + b"\n")
        for part in parts:
            with part.open("rb") as content:
                shutil.copyfileobj(content, file)


def _join_csv(path: Path, parts: Iterable[Path]) -> None:
    _join_lines(path, parts, _SCHEMA.names)


def _join_parquet(path: Path, parts: Iterable[Path]) -> None:
    tables: list[pa.Table] = []
    with pq.ParquetWriter(path, _SCHEMA) as writer:
        for part in parts:
            with pq.ParquetFile(part) as file:
                tables.append(file.read())
            if sum(table.num_rows for table in tables) >= _GROUP_ROWS:
                writer.write_table(pa.concat_tables(tables))
                tables.clear()
        if tables:
            writer.write_table(pa.concat_tables(tables))


_FORMATS = {
    format.ending: format
    for format in (
        Format(".jsonl", _write_jsonl, _join_lines),
        Format(".csv", _write_csv, _join_csv),
        Format(".parquet", _write_parquet, _join_parquet),
    )
}
