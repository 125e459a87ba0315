"""Write predicted codes: JSONL with a line per note; CSV and Parquet with a row per note and code.

A file is joined from parts that are written separately. In a table, a note without codes has one
row without a code, so that every note is in the file.

If evidence is requested, each code has its spans: in JSONL a list of objects, in tables four lists
(``begin``, ``end``, ``weight``, ``assertion``), which CSV separates by blanks. Positions are
characters of the note's text, counted from 0.

If checks are requested, each line of JSONL has its findings: a list of objects. Tables have them in
the row of the code to change first: Parquet a list of objects, CSV a text. If codes are removed by
hard rules, ``dropped`` of a removed code says why. If acceptance is requested, ``action`` of each
code is ``accept`` or ``review``. If the model chooses the principal diagnosis, ``principal`` is
true for one code of each note with text.

If several notes of an encounter are joined, each line of JSONL has ``notes``, where each of them is
in the text, and each span has the id of its note and the positions in it (``note_id``,
``note_begin``, ``note_end``), which are three more lists in tables.

The editions of the codes are in ``editions`` of each line of JSONL, and in ``edition``, the last
column of tables: the name and the first digits of the hash, ``icd10cm-2026-04@6f1c0a9d2b7e``.
"""

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from icdcli.data.notes.text import Note, Origin
from icdcli.io.tables.parquet import open_parquet
from icdcli.predict.batches import CodedNote, NoteCode
from icdcli.predict.formats.blocks import CodedBlock, Format, write_lines

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
_PLACES = pa.schema(
    [
        ("note_id", pa.list_(pa.string())),
        ("note_begin", pa.list_(pa.int64())),
        ("note_end", pa.list_(pa.int64())),
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
_ACTION = pa.field("action", pa.string())
_PRINCIPAL = pa.field("principal", pa.bool_())
# Last, so that the places of all other columns are those of version 0.1.0.
_EDITION = pa.field("edition", pa.string())
_GROUP_ROWS = 1 << 16


def table_format(
    ending: str,
    evidence: bool,
    check: bool,
    resolve: bool,
    actions: bool = False,
    encounters: bool = False,
    principal: bool = False,
) -> Format:
    """Return one of these formats by the ending of a file's name, which is in `TABLE_FORMATS`."""
    more = [
        *([_FINDINGS] if check else []),
        *([_DROPPED] if resolve else []),
        *([_ACTION] if actions else []),
        *([_PRINCIPAL] if principal else []),
    ]
    spans = [*_SPANS, *(_PLACES if encounters else ())] if evidence else []
    schema = pa.schema([*_PLAIN, *spans, *more, _EDITION])
    return TABLE_FORMATS[ending](schema)


def note_dict(note: CodedNote, given: Note | None = None) -> dict[str, Any]:
    """Return a note's ``id``, ``windows``, ``read``, ``editions`` and ``codes`` as JSON values.

    Args:
        note: The note with its codes.
        given: The note with its text, which says what it was converted from; None: unknown.
    """
    found = note.findings
    origin = given.origin if given is not None else None
    return {
        **_note_values(note),
        **({} if origin is None else {"origin": _origin_dict(origin)}),
        **({"notes": list(_notes(given))} if given is not None and given.notes else {}),
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


def _origin_dict(origin: Origin) -> dict[str, str]:
    return {name: value for name, value in asdict(origin).items() if value is not None}


def _notes(given: Note) -> Iterator[dict[str, Any]]:
    for note, origin in zip(given.notes, given.origins, strict=True):
        time = None if note.time is None else note.time.isoformat(timespec="seconds")
        yield {
            **{"id": note.note_id, "type": note.type, "time": time},
            **{"begin": note.begin, "end": note.end},
            **({} if origin is None else {"origin": _origin_dict(origin)}),
        }


def note_line(note: CodedNote, given: Note | None = None) -> str:
    """Return a note with its codes as a line of JSONL, with the line end; see `note_dict`."""
    return json.dumps(note_dict(note, given), ensure_ascii=False, allow_nan=False) + "\n"


def _code_dict(code: NoteCode) -> dict[str, Any]:
    values = code._asdict()
    spans = values.pop("evidence")
    del values["edition"], values["kind"]  # of the note, and of its edition
    for name in ("dropped", "action", "principal"):
        if values[name] is None:
            del values[name]
    return values if spans is None else values | {"evidence": [span.to_json() for span in spans]}


def _rows(schema: pa.Schema, notes: Iterable[CodedNote]) -> Iterator[tuple[Any, ...]]:
    """Yield the values of each row, in the order of the schema."""
    for note in notes:
        for code in note.codes:
            values = code._asdict() | _note_values(note)
            spans = values.pop("evidence") or ()
            of_spans = [span.to_json() for span in spans]
            for name in (*_SPANS.names, *_PLACES.names):
                values[name] = [span.get(name) for span in of_spans]
            values["findings"] = [
                one.to_json() for one in note.findings or () if one.codes[0] == code.code
            ]
            yield tuple(values[name] for name in schema.names)
        if not note.codes:
            values = _note_values(note)
            yield tuple(values.get(name) for name in schema.names)


def _write_jsonl(path: Path, block: CodedBlock) -> None:
    write_lines(path, map(note_line, block.coded, block.notes))


def _cell(values: list[Any]) -> str:
    """Return a list as the text of a cell."""
    if values and isinstance(values[0], dict):
        return " | ".join(
            f"{one['kind']} ({one['severity']}): {one['words']} {one['advice']}" for one in values
        )
    if any(len(str(one).split()) != 1 for one in values):  # ids of notes with blanks
        return json.dumps(values, ensure_ascii=False)
    return " ".join(map(str, values))


def _write_csv(schema: pa.Schema, path: Path, block: CodedBlock) -> None:
    rows = (
        [_cell(cell) if isinstance(cell, list) else cell for cell in row]
        for row in _rows(schema, block.coded)
    )
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for row in rows:
            # Python leaves a lone \r unquoted, which readers take for the end of a row.
            has_return = any(isinstance(cell, str) and "\r" in cell for cell in row)
            (quoting if has_return else writer).writerow(row)


def _write_parquet(schema: pa.Schema, path: Path, block: CodedBlock) -> None:
    columns = zip(*_rows(schema, block.coded), strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    pq.write_table(pa.table(arrays, schema=schema), path)


def join_lines(path: Path, parts: Iterable[Path], header: Sequence[str] = ()) -> None:
    """Join parts, below a header if there is one."""
    with path.open("wb") as file:
        if header:
            file.write(",".join(header).encode() + b"\n")
        for part in parts:
            with part.open("rb") as content:
                shutil.copyfileobj(content, file)


def _join_csv(schema: pa.Schema, path: Path, parts: Iterable[Path]) -> None:
    join_lines(path, parts, schema.names)


def _gather_csv(schema: pa.Schema, path: Path, files: Iterable[Path]) -> None:
    """Join complete files below one header, the first line of each."""
    with path.open("wb") as joined:
        joined.write(",".join(schema.names).encode() + b"\n")
        for one in files:
            with one.open("rb") as content:
                content.readline()
                shutil.copyfileobj(content, joined)


def _join_parquet(schema: pa.Schema, path: Path, parts: Iterable[Path]) -> None:
    """Join parts, or complete files, to row groups of the same size wherever the parts end."""
    waiting = schema.empty_table()
    with pq.ParquetWriter(path, schema) as writer:
        for part in parts:
            with open_parquet(part) as file:
                for group in range(file.num_row_groups):
                    waiting = pa.concat_tables([waiting, file.read_row_group(group)])
                    while waiting.num_rows >= _GROUP_ROWS:
                        writer.write_table(waiting.slice(0, _GROUP_ROWS).combine_chunks())
                        waiting = waiting.slice(_GROUP_ROWS)
        if waiting.num_rows:
            writer.write_table(waiting.combine_chunks())


TABLE_FORMATS: dict[str, Callable[[pa.Schema], Format]] = {
    ".jsonl": lambda schema: Format(".jsonl", _write_jsonl, join_lines, join_lines),
    ".csv": lambda schema: Format(
        ".csv",
        partial(_write_csv, schema),
        partial(_join_csv, schema),
        partial(_gather_csv, schema),
    ),
    ".parquet": lambda schema: Format(
        ".parquet",
        partial(_write_parquet, schema),
        partial(_join_parquet, schema),
        partial(_join_parquet, schema),
    ),
}
"""The endings of the names of files, and their formats by the columns of a table."""
