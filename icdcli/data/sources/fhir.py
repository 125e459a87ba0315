"""FHIR R4 and R5: the notes of documents with the codes of the same encounter.

A file or a folder of NDJSON and Bundles. Notes are as `icdcli.data.notes.fhir_notes` reads them,
codes as `icdcli.data.sources.exchange.fhir_codes` does. Notes and codes belong together if they
name the same encounter; if no note or no code names one, if they name the same patient.
"""

from collections.abc import Iterator
from pathlib import Path

from icdcli.data.benchmarks.protocols import Protocol
from icdcli.data.encounters.joining import NoteAbout
from icdcli.data.encounters.note_types import NoteTypes
from icdcli.data.formats.resources import is_fhir, read_resources
from icdcli.data.notes.fhir_notes import FhirNotes
from icdcli.data.sources.admission import Admission
from icdcli.data.sources.admission_join import AdmissionCodes, AdmissionNote, join_admissions
from icdcli.data.sources.exchange.exchanged import Exchanged, register_exchanged
from icdcli.data.sources.exchange.fhir_codes import FhirCodes
from icdcli.data.sources.exchange.named_codes import (
    NamedCodes,
    files_in,
    note_choices,
    with_progress,
)
from icdcli.data.sources.registry import Match
from icdcli.errors import DataError
from icdcli.io.raw_tables import list_folder


class FhirSource(Exchanged):
    """The file or folder; see `Exchanged`."""

    def files(self) -> list[Path]:
        """Return the files that the corpus depends on."""
        return files_in(self.path, is_fhir, "FHIR resources")

    def admissions(self, protocol: Protocol, work: Path) -> Iterator[Admission]:
        """Join notes and codes; see `icdcli.data.sources.admission_join.join_admissions`.

        Args:
            protocol: Decides which codes count.
            work: A private folder for temporary files.

        Raises:
            DataError: If a file can't be read, or no code is of the coding system.
        """
        named = NamedCodes(self.system, self.reading)
        found = FhirCodes(named)
        for path in self.files():
            entries = read_resources(path)
            for entry in with_progress(entries, self.reading, f"reading {path.name}", "resources"):
                found.add(entry, f"{path}, resource {entry.number:,}")
        rows = found.rows()
        named.require(rows, self.path)
        named.finish()
        by_encounter = bool(found.documents[True]) and any(row.encounter for row in rows)
        self.reading.choices["notes and codes"] = (
            "of the same encounter"
            if by_encounter
            else "of the same patient, since no "
            + ("code" if found.documents[True] else "note")
            + " names an encounter"
        )
        codes, without = AdmissionCodes(), 0
        for row in rows:
            key = row.encounter if by_encounter else row.patient
            if key is None:
                without += 1
            else:
                codes.add(key, [row.code])
        what = "encounter" if by_encounter else "patient"
        self.reading.drop(f"codes without {'an' if by_encounter else 'a'} {what}", without)
        notes = self._notes(found, by_encounter)
        return join_admissions(self.reading, notes, codes, protocol.keep_codes, work)

    def _notes(self, found: FhirCodes, by_encounter: bool) -> Iterator[AdmissionNote]:
        files: dict[str, Path] = {}
        remarks: list[str] = []
        types = NoteTypes(self.note_types)
        version: tuple[str, Path] | None = None
        for path in self.files():
            notes, read = FhirNotes(path), False
            for note in notes:
                read, origin = True, note.origin
                assert origin is not None, "a note of FHIR has an origin"
                if (first := files.setdefault(note.id, path)) != path:
                    raise DataError(
                        f"{path}: {note.id} is also in {first}. Keep the newest version of each "
                        "resource."
                    )
                version = version or (origin.version and (origin.version, path)) or None
                if version and origin.version and origin.version != version[0]:
                    raise DataError(
                        f"{path}: is of FHIR {origin.version}, but {version[1]} is of "
                        f"{version[0]}. Give each version as data of its own."
                    )
                patient, encounter = found.name(origin.patient), found.name(origin.encounter)
                key = encounter if by_encounter else patient
                if not types.reads(note.type):
                    self.reading.drop("notes of other types", 1)
                    continue
                about = NoteAbout(note.id, note.type, note.time)
                yield patient or "", key or "", about, note.text.encode()
            remarks += notes.remarks if read else []
            self.reading.choices |= {f"pages of {path.name}": one for one in notes.left_out}
        types.require_known(str(self.path))
        note_choices(self.reading, self.files(), remarks)


def _recognizes(path: Path) -> Match:
    files = sorted(list_folder(path)) if path.is_dir() else [path]
    return Match.CERTAIN if any(map(is_fhir, files)) else Match.NONE


register_exchanged(
    "fhir",
    "FHIR resources (documents, and Condition, Procedure, Claim or Encounter), as "
    ".ndjson or .json, or a folder of them",
    _recognizes,
    FhirSource,
)
