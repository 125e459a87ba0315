"""MEDS: the notes of events with the codes of the same visit, or else of the same patient.

See `icdcli.data.formats.meds` for which events are notes and codes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from icdcli.data.benchmarks.protocols import PATIENT, SUBJECT_SPLITS, Protocol
from icdcli.data.encounters.joining import NoteAbout
from icdcli.data.formats.meds import SPLITS_FILE, MedsEvents, is_meds, subject_splits
from icdcli.data.sources.admission import Admission
from icdcli.data.sources.admission_join import AdmissionCodes, AdmissionNote, join_admissions
from icdcli.data.sources.exchange.exchanged import Exchanged, register_exchanged
from icdcli.data.sources.exchange.named_codes import NamedCodes, with_progress
from icdcli.data.sources.registry import Match
from icdcli.errors import DataError


class MedsSource(Exchanged):
    """The file or folder; see `Exchanged`.

    Its ``note_types`` are the codes of events that are notes, or their first parts; None: those
    whose first part has the word note, report or summary.
    """

    @cached_property
    def events(self) -> MedsEvents:
        """Return the events."""
        return MedsEvents(self.path)

    def files(self) -> list[Path]:
        """Return the files that the corpus depends on."""
        own = self.path / SPLITS_FILE
        return [*self.events.files, *([own] if own.is_file() else [])]

    def admissions(self, protocol: Protocol, work: Path) -> Iterator[Admission]:
        """Join notes and codes; see `icdcli.data.sources.admission_join.join_admissions`.

        Args:
            protocol: Decides which codes count, and whether the splits are those of the data set.
            work: A private folder for temporary files.

        Raises:
            DataError: If a file can't be read, or no event has a code of the coding system.
        """
        splits = subject_splits(self.path) if protocol is SUBJECT_SPLITS else None
        named, codes = NamedCodes(self.system, self.reading), AdmissionCodes()
        some, without = False, 0
        visits = self.events.visit_column
        for one in with_progress(self.events.codes(), self.reading, "reading codes", "events"):
            code = named.read(one.system, one.code, one.kind)
            key = one.subject if visits is None else one.visit
            some = some or code is not None
            if code is not None and key is None:
                without += 1
            elif code is not None and key is not None:
                codes.add(key, [code])
        named.require(some, self.path)
        named.finish()
        self.reading.drop(f"codes without {visits}", without)
        self.reading.choices["notes and codes"] = (
            "of the same patient, since there is no column of visits"
            if visits is None
            else f"of the same {visits}"
        )
        found = join_admissions(self.reading, self._notes(), codes, protocol.keep_codes, work)
        return found if splits is None else self._divided(found, splits)

    def _divided(
        self, admissions: Iterator[Admission], splits: Mapping[str, str]
    ) -> Iterator[Admission]:
        for one in admissions:
            split = splits.get(one.subject_id or "")
            if split is None:
                self.reading.drop(f"documents of patients without a split in {SPLITS_FILE}", 1)
            else:
                yield replace(one, split=split)

    def _notes(self) -> Iterator[AdmissionNote]:
        by_visit, some = self.events.visit_column is not None, False
        for one in self.events.notes(self.note_types):
            some = True
            about = NoteAbout(str(one.number), one.code, one.time)
            key = one.visit if by_visit else one.subject
            yield one.subject, key or "", about, one.text.encode()
        if not some:
            raise DataError(
                f"{self.path}: no event has a text and a code whose first part has the word note, "
                "report or summary. Set note_types to the codes of events with notes."
            )


def _recognizes(path: Path) -> Match:
    return Match.CERTAIN if is_meds(path) else Match.NONE


def _protocols_of(path: Path) -> Sequence[Protocol]:
    return (SUBJECT_SPLITS, PATIENT) if (path / SPLITS_FILE).is_file() else (PATIENT,)


register_exchanged(
    "meds",
    "events of MEDS with text_value and codes of the ICD, as .parquet or a folder with data/",
    _recognizes,
    MedsSource,
    _protocols_of,
)
