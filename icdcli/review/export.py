"""Export reviewed notes as a table that ``prepare-data`` reads: codes, order, flags and evidence.

A note is exported once it is finished: its reading is submitted, or two blind readings have the
same codes, or an adjudicator has settled their differences.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import select

from icdcli.data.benchmarks.protocols import patient_split
from icdcli.data.sources.admission import Admission
from icdcli.errors import ConfigError
from icdcli.io.files import replacing, writing
from icdcli.review.fhir_export import (
    bundle_link,
    note_resources,
    relative_link,
    write_bundle,
    write_ndjson,
)
from icdcli.review.notes import ReviewNote, stored_note
from icdcli.review.results import SubmittedReading, submitted_readings
from icdcli.review.schema import ModelRow
from icdcli.review.store import Store
from icdcli.review.suggestions import suggestions_of

_EVIDENCE = pa.list_(pa.struct([("code", pa.string()), ("begin", pa.int64()), ("end", pa.int64())]))
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("codes", pa.list_(pa.string())),
        ("poa", pa.list_(pa.string())),
        ("evidence", _EVIDENCE),
        ("split", pa.string()),
        ("subject_id", pa.string()),
        ("encounter", pa.string()),
        ("day", pa.string()),
        ("reviewers", pa.list_(pa.string())),
        ("submitted_at", pa.string()),
        ("model", pa.string()),
    ]
)
ExportFormat = Literal["table", "jsonl", "csv", "fhir"]
_ENDINGS: dict[str, ExportFormat] = {
    ".parquet": "table",
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".json": "fhir",
    ".ndjson": "fhir",
}
_AT_ONCE = 500
_LISTS = {"codes", "poa", "reviewers"}


@dataclass(frozen=True)
class ExportedNotes:
    """What an export wrote.

    Attributes:
        output: The file.
        notes: The number of notes in it.
        splits: Split to the number of its notes.
        purged: The number of finished notes that were left out, since their texts are purged.
        unfinished: The number of notes with a submitted reading that aren't finished.
    """

    output: Path
    notes: int
    splits: Mapping[str, int]
    purged: int
    unfinished: int


def export_reviews(store: Store, output: Path, format: ExportFormat | None = None) -> ExportedNotes:
    """Write the finished notes to a table, or as FHIR (see `icdcli.review.fhir_export`).

    ``codes`` has the codes in their order, the principal one first; ``poa`` what was present on
    admission, in the same order, empty if it wasn't decided; ``evidence`` the words that reviewers
    marked, else those of accepted suggestions that the note affirms.

    ``split`` is that of the note if it has one, else it follows from the id of the patient, or of
    the note, in the way of ``protocol: patient``. It never changes.

    Args:
        store: The store.
        output: The file.
        format: ``table`` (Parquet), ``jsonl``, ``csv`` or ``fhir`` (a bundle in ``.json``, or
            ``.ndjson``); None: by the ending of the file's name.

    Raises:
        ConfigError: If no format has the ending of the name.
        DataError: If the file can't be written.
    """
    chosen = _format_of(output, format)
    counts = {"train": 0, "validation": 0, "test": 0}
    left_out = {"purged": 0, "unfinished": 0}

    def finished() -> Iterator[tuple[ReviewNote, SubmittedReading]]:
        for readings in submitted_readings(store):
            final = readings.final
            if final is None:
                left_out["unfinished"] += 1
                continue
            note = stored_note(store, readings.id)
            if note.text is None and chosen != "fhir":  # which has no texts
                left_out["purged"] += 1
                continue
            counts[stable_split(note)] += 1
            yield note, final

    with writing(output), replacing(output, durable=True) as temporary:
        if chosen == "fhir":
            _write_fhir(store, temporary, output.suffix.lower() == ".json", finished())
        else:
            rows = (_row(store, note, final) for note, final in finished())
            _WRITERS[chosen](temporary, rows)
    return ExportedNotes(output, sum(counts.values()), counts, **left_out)


def _format_of(output: Path, format: ExportFormat | None) -> ExportFormat:
    found = _ENDINGS.get(output.suffix.lower())
    if found is None or format not in (None, found):
        wanted = [ending for ending, one in _ENDINGS.items() if format in (None, one)]
        raise ConfigError(
            f"{output}: the name must end in {' or '.join(wanted)}"
            + ("." if format is None else f", since the format is {format}.")
        )
    return found


def _write_fhir(
    store: Store,
    path: Path,
    as_bundle: bool,
    finished: Iterable[tuple[ReviewNote, SubmittedReading]],
) -> None:
    link = bundle_link if as_bundle else relative_link
    with store.reading() as connection:
        names = dict(connection.execute(select(ModelRow.sha256, ModelRow.name)).all())
    resources = (
        resource
        for note, final in finished
        for resource in note_resources(
            note,
            final,
            reviewed_evidence(store, final),
            names.get(final.submitted.model or ""),
            link,
        )
    )
    (write_bundle if as_bundle else write_ndjson)(path, resources)


def stable_split(note: ReviewNote) -> str:
    """Return the split of a note, which depends on its own split, patient and id only."""
    if note.split is not None:
        return note.split
    return patient_split(Admission(note.id, note.subject, ""))


def _row(store: Store, note: ReviewNote, final: SubmittedReading) -> dict[str, Any]:
    decisions = final.state.decisions
    return {
        "id": note.id,
        "text": note.text,
        "codes": list(final.state.codes),
        "poa": [decisions[code].poa or "" for code in final.state.codes],
        "evidence": list(reviewed_evidence(store, final)),
        "split": stable_split(note),
        "subject_id": note.subject,
        "encounter": note.encounter,
        "day": note.day.isoformat() if note.day else None,
        "reviewers": list(final.reviewers),
        "submitted_at": final.submitted_at.isoformat(),
        "model": final.submitted.model,
    }


def reviewed_evidence(store: Store, final: SubmittedReading) -> Iterator[dict[str, Any]]:
    """Yield the words behind the codes of a note: ``code``, ``begin`` and ``end``."""
    accepted_on = {
        one.details["code"]: one.suggestion_set for one in final.events if one.kind == "accept"
    }
    for code in final.state.codes:
        decision = final.state.decisions[code]
        spans = decision.evidence
        number = accepted_on.get(code)
        if spans is None and decision.status == "accepted" and number is not None:
            shown = suggestions_of(store, final.id, number=number)
            spans = tuple(
                (span.begin, span.end)
                for one in (shown.suggestions if shown else ())
                if one.code == code
                for span in one.evidence
                if span.assertion in (None, "affirmed", "historical")
            )
        for begin, end in spans or ():
            yield {"code": code, "begin": begin, "end": end}


def _write_parquet(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with pq.ParquetWriter(path, _SCHEMA) as writer:
        for block in _blocks(rows):
            writer.write_table(pa.Table.from_pylist(block, schema=_SCHEMA))


def _write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write_csv(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(_SCHEMA.names)
        for row in rows:
            writer.writerow([_cell(name, row[name]) for name in _SCHEMA.names])


def _cell(name: str, value: Any) -> str:
    if name in _LISTS:
        return ";".join(value)
    if name == "evidence":
        return json.dumps(value)
    return "" if value is None else str(value)


def _blocks(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    block: list[dict[str, Any]] = []
    for row in rows:
        block.append(row)
        if len(block) == _AT_ONCE:
            yield block
            block = []
    yield block


_WRITERS: Mapping[str, Callable[[Path, Iterable[dict[str, Any]]], None]] = {
    "table": _write_parquet,
    "jsonl": _write_jsonl,
    "csv": _write_csv,
}
