r"""Codes as HL7 v2.5.1 messages: one ADT^A08 per note, with a DG1 or PR1 segment per code.

The type of a diagnosis is W (working). If the model chooses the principal diagnosis, it comes
first, with the priority 1. Scores, thresholds, evidence and the version of the coding system have
no place in a message, so only predicted codes and the principal diagnosis are in it, without those
that a hard rule has removed.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from icdcli.data.notes.text import Note
from icdcli.icd.editions.standard_names import standard_names
from icdcli.predict.batches import CodedNote, NoteCode
from icdcli.predict.formats.blocks import CodedBlock, ModelName, write_lines
from icdcli.predict.formats.fhir import is_fhir_reference

_ESCAPES = str.maketrans(
    {
        "\\": "\\E\\",
        "|": "\\F\\",
        "^": "\\S\\",
        "~": "\\R\\",
        "&": "\\T\\",
        "\n": "\\.br\\",
        "\r": "",
    }
)
_PROGRAM = "ICDCODE"
_DIGITS = 20  # of MSH-10, as long as it may be


def escaped(text: str) -> str:
    """Return text with the signs of messages escaped."""
    return text.translate(_ESCAPES)


def suggestion_message(note: Note, coded: CodedNote, model: ModelName, recorded: str) -> list[str]:
    """Return the segments of a note's message; none if no code is predicted.

    Args:
        note: The note.
        coded: Its codes.
        model: The model.
        recorded: The time, as HL7 writes it.
    """
    codes = [
        code for code in coded.codes if code.dropped is None and (code.predicted or code.principal)
    ]
    codes.sort(key=lambda code: not code.principal)
    if not codes:
        return []
    id = hashlib.sha256(f"{model.sha256}|{note.id}".encode()).hexdigest()[:_DIGITS]
    origin = note.origin
    patient = _identifier(origin.patient if origin is not None else None) or '""'  # required
    visit = _identifier(origin.encounter if origin is not None else None)
    return [
        f"MSH|^~\\&|{_PROGRAM}||||{recorded}||ADT^A08^ADT_A01|{id}|P|2.5.1|||||||UNICODE UTF-8",
        f"EVN|A08|{recorded}",
        f"PID|1||{patient}||^^^^^^U",
        f"PV1|1|U|||||||||||||||||{visit}",
        *_segments(note, codes),
    ]


def _segments(note: Note, codes: list[NoteCode]) -> Iterator[str]:
    for number, code in enumerate((one for one in codes if one.kind == "diagnosis"), start=1):
        # The last field names the suggestion, and with it the note.
        name = f"{escaped(note.id)}#{escaped(code.code)}^{_PROGRAM}"
        priority = "1" if code.principal else ""
        yield f"DG1|{number}||{_coded(code)}|||W{'|' * 9}{priority}{'|' * 5}{name}|A"
    # The day is required; two quotes say that there is none.
    day = note.day.strftime("%Y%m%d") if note.day is not None else '""'
    for number, code in enumerate((one for one in codes if one.kind == "procedure"), start=1):
        name = f"{escaped(note.id)}#{escaped(code.code)}^{_PROGRAM}"
        yield f"PR1|{number}||{_coded(code)}||{day}{'|' * 14}{name}|A"


def _coded(code: NoteCode) -> str:
    parts = (code.code, code.title or "", standard_names(code.edition).hl7)
    return "^".join(map(escaped, parts))


def _identifier(value: str | None) -> str:
    """Return an id: a complete identifier of HL7 as it is, the last part of a FHIR reference."""
    if value is None:
        return ""
    if is_fhir_reference(value):
        return escaped(value.rpartition("/")[2])
    return value if "^" in value else escaped(value)


def write_dg1(model: ModelName, path: Path, block: CodedBlock) -> None:
    """Write a part of a file of messages."""
    recorded = block.started.strftime("%Y%m%d%H%M%S%z")
    messages = (
        suggestion_message(note, coded, model, recorded)
        for note, coded in zip(block.notes, block.coded, strict=True)
    )
    write_lines(path, (f"{segment}\r" for message in messages for segment in message))
