"""HL7 v2: the notes of MDM and ORU messages with the codes of the same visit.

A file or a folder of ``.hl7``. Notes are as `icdcli.data.notes.hl7_notes` reads them; codes are the
DG1 and PR1 segments of any message. They belong together by the number of the visit (PV1-19); a
note without one has only the codes of its own message.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from icdcli.data.benchmarks.protocols import Protocol
from icdcli.data.encounters.joining import NoteAbout
from icdcli.data.encounters.note_types import NoteTypes
from icdcli.data.formats.hl7 import (
    HL7_KINDS,
    Hl7Message,
    field_of,
    is_hl7,
    parse_message,
    read_messages,
)
from icdcli.data.notes.hl7_notes import Hl7Notes
from icdcli.data.sources.admission import Admission, Code
from icdcli.data.sources.admission_join import AdmissionCodes, AdmissionNote, join_admissions
from icdcli.data.sources.exchange.exchanged import Exchanged, register_exchanged
from icdcli.data.sources.exchange.named_codes import (
    NamedCodes,
    files_in,
    note_choices,
    with_progress,
)
from icdcli.data.sources.registry import Match
from icdcli.errors import DataError
from icdcli.io.raw_tables import list_folder

_SEGMENTS = {"DG1": "diagnosis", "PR1": "procedure"}
_TYPE, _ACTION = 6, {"DG1": 21, "PR1": 20}
_PRELIMINARY = ("A", "W")  # admitting and working diagnoses
_DELETED = "D"


class Hl7Source(Exchanged):
    """The file or folder; see `Exchanged`."""

    def files(self) -> list[Path]:
        """Return the files that the corpus depends on."""
        return files_in(self.path, is_hl7, "HL7 v2 messages")

    def admissions(self, protocol: Protocol, work: Path) -> Iterator[Admission]:
        """Join notes and codes; see `icdcli.data.sources.admission_join.join_admissions`.

        Args:
            protocol: Decides which codes count.
            work: A private folder for temporary files.

        Raises:
            DataError: If a file can't be read, or no code is of the coding system.
        """
        named, codes = NamedCodes(self.system, self.reading), AdmissionCodes()
        visits: dict[str, tuple[Path, str]] = {}
        some = False
        for path in self.files():
            messages = with_progress(
                _messages(path), self.reading, f"reading {path.name}", "messages"
            )
            for message in messages:
                key = _visit(message)
                if message.kind in HL7_KINDS:
                    key = key or f"message {message.id}"
                    if visits.setdefault(message.id, (path, key))[0] != path:
                        raise DataError(
                            f"{path}: has the message {message.id} (MSH-10), as "
                            f"{visits[message.id][0]} has. Keep one of the two."
                        )
                found = list(self._codes(message, named))
                some = some or bool(found)
                if key is None:
                    self.reading.drop("codes without a visit (PV1-19)", len(found))
                elif found:
                    codes.add(key, found)
        named.require(some, self.path)
        named.finish()
        keys = {id: key for id, (_, key) in visits.items()}
        return join_admissions(self.reading, self._notes(keys), codes, protocol.keep_codes, work)

    def _codes(self, message: Hl7Message, named: NamedCodes) -> Iterator[Code]:
        for segment in message.segments:
            kind = _SEGMENTS.get(segment[0])
            if kind is None:
                continue
            written, _, system = [*message.components(field_of(segment, 3)), "", ""][:3]
            if field_of(segment, _ACTION[segment[0]]) == _DELETED:
                self.reading.drop(f"{segment[0]} segments that were deleted", 1)
            elif segment[0] == "DG1" and field_of(segment, _TYPE) in _PRELIMINARY:
                self.reading.drop("admitting and working diagnoses", 1)
            elif written:
                code = named.read(system or field_of(segment, 2) or None, written, kind)
                if code is not None:
                    yield code

    def _notes(self, keys: dict[str, str]) -> Iterator[AdmissionNote]:
        remarks: list[str] = []
        types = NoteTypes(self.note_types)
        for path in self.files():
            notes, read = Hl7Notes(path), False
            for note in notes:
                read = True
                patient = note.origin.patient if note.origin is not None else None
                if not types.reads(note.type):
                    self.reading.drop("notes of other types", 1)
                    continue
                about = NoteAbout(note.id, note.type, note.time)
                yield patient or "", keys[note.id], about, note.text.encode()
            remarks += notes.remarks if read else []
        types.require_known(str(self.path))
        note_choices(self.reading, self.files(), remarks)


def _messages(path: Path) -> Iterator[Hl7Message]:
    try:
        with path.open("rb") as file:
            for number, content in enumerate(read_messages(file, str(path)), start=1):
                yield parse_message(content, f"{path}, message {number:,}")
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}).") from None


def _visit(message: Hl7Message) -> str | None:
    """Return the number of the visit; None: the message has none."""
    number: Sequence[str] = message.components(message.field("PV1", 19))
    return number[0].strip() or None


def _recognizes(path: Path) -> Match:
    if not path.is_dir():
        return Match.CERTAIN if is_hl7(path) else Match.NONE
    there = (file.name.lower().endswith(".hl7") for file in list_folder(path))
    return Match.CERTAIN if any(there) else Match.NONE


register_exchanged(
    "hl7",
    "HL7 v2 messages with notes (MDM, ORU) and codes (DG1, PR1), as .hl7 or a folder of them",
    _recognizes,
    Hl7Source,
)
