"""Writes the findings of an audit as a table for reviewers: CSV, JSONL or Parquet.

Evidence is a list of objects in JSONL, and three lists (``begin``, ``end``, ``assertion``) in
tables, which CSV separates by blanks. Positions are characters of the note's text in the corpus,
counted from 0.
"""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from icdcli.audit.documents import AuditDocument
from icdcli.audit.findings import FINDING_FIELDS, AuditFinding
from icdcli.errors import ConfigError
from icdcli.io.files import replacing, writing

_FLOATS = ("score", "model_score", "instead_score")
_SCHEMA = pa.schema(
    [
        *(
            (
                name,
                pa.int64() if name == "rank" else pa.float64() if name in _FLOATS else pa.string(),
            )
            for name in FINDING_FIELDS
        ),
        ("begin", pa.list_(pa.int64())),
        ("end", pa.list_(pa.int64())),
        ("assertion", pa.list_(pa.string())),
    ]
)
_CONTEXT = pa.field("context", pa.list_(pa.string()))


def check_audit_path(path: Path) -> None:
    """Check that findings can be written to a file of this name.

    Raises:
        ConfigError: If its ending is unknown, or it is a folder.
    """
    if path.suffix.lower() not in _WRITERS:
        raise ConfigError(
            f"--output {path}: findings are written as {', '.join(_WRITERS)}. Choose one of these "
            "endings."
        )
    if path.is_dir():
        raise ConfigError(f"--output {path}: is a folder. Name a file.")


def write_findings(path: Path, findings: Sequence[AuditFinding], with_text: bool) -> None:
    """Write findings in the format of the file's ending; only the user can read the file.

    Args:
        path: The file; see `check_audit_path`.
        findings: The findings.
        with_text: Whether they contain words of the notes.

    Raises:
        DataError: If it can't be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, durable=True) as temporary:
            _WRITERS[path.suffix.lower()](temporary, findings, with_text)


def write_notes(
    path: Path, documents: Sequence[AuditDocument], findings: Sequence[AuditFinding], language: str
) -> int:
    """Write the notes that have findings, with their texts, for ``icdcode review import``.

    The note of the first finding comes first.

    Args:
        path: The file, JSONL; only the user can read it.
        documents: The documents.
        findings: The findings.
        language: The language of the notes.

    Returns:
        The number of notes.

    Raises:
        DataError: If it can't be written.
    """
    by_id = {document.id: document for document in documents}
    ids = list(dict.fromkeys(finding.id for finding in findings))
    lines = []
    for one in map(by_id.__getitem__, ids):
        note = {"id": one.id, "text": one.text, "language": language, "split": one.split}
        known = {} if one.subject is None else {"subject_id": one.subject}
        lines.append(json.dumps(note | known, ensure_ascii=False) + "\n")
    with writing(path), replacing(path, durable=True) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8", newline="\n")
    return len(ids)


def _write_lines(path: Path, findings: Sequence[AuditFinding], _with_text: bool) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for finding in findings:
            file.write(json.dumps(finding.to_json(), ensure_ascii=False, allow_nan=False) + "\n")


def _row(finding: AuditFinding) -> dict[str, object]:
    """Return a finding as a row of a table."""
    values = finding.to_json()
    places = values.pop("evidence")
    columns = {name: [place[name] for place in places] for name in ("begin", "end", "assertion")}
    return {**values, **columns}


def _write_csv(path: Path, findings: Sequence[AuditFinding], with_text: bool) -> None:
    names = [*_SCHEMA.names, *([_CONTEXT.name] if with_text else [])]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in map(_row, findings):
            for name in ("begin", "end", "assertion"):
                row[name] = " ".join(map(str, row[name]))  # type: ignore[call-overload]
            if with_text:
                row[_CONTEXT.name] = json.dumps(row[_CONTEXT.name], ensure_ascii=False)
            writer.writerow(row)


def _write_parquet(path: Path, findings: Sequence[AuditFinding], with_text: bool) -> None:
    schema = pa.schema([*_SCHEMA, *([_CONTEXT] if with_text else [])])
    pq.write_table(pa.Table.from_pylist(list(map(_row, findings)), schema=schema), path)


_WRITERS: dict[str, Callable[[Path, Sequence[AuditFinding], bool], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_lines,
    ".parquet": _write_parquet,
}
