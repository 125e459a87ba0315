"""MIMIC-III v1.4: five raw tables in, one document an admission out.

Discharge notes are joined per admission in file order. Codes are read as strings, so that no leading zero is lost, and
get their dot by the kind of table they come from, so that diagnoses and procedures can't collide.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from icdcli.data.admission import Admission, Code
from icdcli.data.progress import Progress
from icdcli.data.protocols import Protocol
from icdcli.data.rows import find_tables, read_rows
from icdcli.errors import DataError
from icdcli.icd.codes import System, dotted

CATEGORY = "Discharge summary"
CODE_TABLES = {"diagnosis": "DIAGNOSES_ICD", "procedure": "PROCEDURES_ICD"}
TITLE_TABLES = {"diagnosis": "D_ICD_DIAGNOSES", "procedure": "D_ICD_PROCEDURES"}
TABLES = ("NOTEEVENTS", *CODE_TABLES.values(), *TITLE_TABLES.values())


@dataclass(frozen=True)
class Mimic3Source:
    """The folder of the raw tables, ``.csv`` or ``.csv.gz``, in any case.

    Attributes:
        folder: Where the tables lie.
        chunk_size: Rows of a table in memory at a time.
    """

    folder: Path
    chunk_size: int = 100_000

    system: System | None = "icd9"

    @cached_property
    def tables(self) -> dict[str, Path]:
        """The five tables.

        Raises:
            DataError: Naming all that are missing.
        """
        return find_tables(self.folder, TABLES)

    def files(self) -> list[Path]:
        """The files that the corpus depends on."""
        return list(self.tables.values())

    def titles(self) -> dict[Code, str]:
        """The codes of the data set's own D_ICD tables, each with its long title."""
        found: dict[Code, str] = {}
        for kind, name in TITLE_TABLES.items():
            for chunk in read_rows(self.tables[name], ("ICD9_CODE", "LONG_TITLE"), self.chunk_size):
                for raw, title in chunk:
                    found[self._code(raw, kind, name)] = title.strip()
        return found

    def admissions(self, protocol: Protocol, dropped: Counter[str], progress: Progress | None = None) -> Iterator[Admission]:
        """Join notes and codes.

        The codes and the discharge notes of all admissions are held while they are joined, since an admission's notes
        may stand far apart in the file; no raw table is.

        Args:
            protocol: Decides which notes and codes count.
            dropped: Reason to count, added to while reading.
            progress: Told the bytes of each table that are read.

        Yields:
            Admissions with at least one note and one code, in the order of their first note.

        Raises:
            DataError: When a table can't be read as it should.
        """
        known = set(self.titles()) if protocol.tabled_codes_only else None
        codes = self._codes(known, dropped, progress)
        subjects, notes = self._notes(protocol.note_description, dropped, progress)
        for id, texts in notes.items():
            if id in codes:
                yield Admission(id, subjects[id] or None, "\n".join(texts), frozenset(codes[id]))
        _count(dropped, "admissions with a note but no codes", len(notes.keys() - codes.keys()))
        _count(dropped, "admissions with codes but no note", len(codes.keys() - notes.keys()))

    def _codes(self, known: set[Code] | None, dropped: Counter[str], progress: Progress | None) -> dict[str, list[Code]]:
        """HADM_ID to codes; one that has only codes outside `known` isn't there."""
        found: dict[str, list[Code]] = {}
        for kind, name in CODE_TABLES.items():
            spelled: dict[str, Code | None] = {"": None}  # each raw spelling is worked out once
            rows = read_rows(self.tables[name], ("HADM_ID", "ICD9_CODE"), self.chunk_size, progress=progress)
            for id, raw in (row for chunk in rows for row in chunk):
                if raw not in spelled:
                    spelled[raw] = self._code(raw, kind, name) if raw.strip() else None
                code = spelled[raw]
                if code is None:
                    dropped[f"{kind} rows with an empty ICD9_CODE"] += 1
                elif not id:
                    dropped[f"{kind} rows without a HADM_ID"] += 1
                elif known is not None and code not in known:
                    dropped[f"{kind} rows with a code outside the D_ICD tables"] += 1
                else:
                    found.setdefault(id, []).append(code)
        return found

    def _notes(
        self, description: str | None, dropped: Counter[str], progress: Progress | None
    ) -> tuple[dict[str, str], dict[str, list[str]]]:
        """HADM_ID to SUBJECT_ID, and HADM_ID to its discharge notes in file order."""
        subjects: dict[str, str] = {}
        notes: dict[str, list[str]] = {}
        table = self.tables["NOTEEVENTS"]
        columns = ("SUBJECT_ID", "HADM_ID", "DESCRIPTION", "TEXT")
        for chunk in read_rows(table, columns, self.chunk_size, where={"CATEGORY": CATEGORY}, progress=progress):
            for subject, id, note_description, text in chunk:
                if not id:
                    dropped["discharge notes without a HADM_ID"] += 1
                elif description is not None and note_description != description:
                    dropped[f"discharge notes whose DESCRIPTION isn't {description}"] += 1
                elif not text.strip():
                    dropped["discharge notes without text"] += 1
                else:
                    subjects.setdefault(id, subject)
                    notes.setdefault(id, []).append(text)
        if not notes:
            wanted = f"CATEGORY {CATEGORY!r}" + (f" and DESCRIPTION {description!r}" if description else "")
            raise DataError(f"{table}: no row has {wanted}, a HADM_ID and a text; is this the whole table?")
        return subjects, notes

    def _code(self, raw: str, kind: str, table: str) -> Code:
        try:
            return Code(dotted(raw, kind, "icd9"), kind)
        except ValueError as error:
            raise DataError(f"{self.tables[table]}: column ICD9_CODE: {error}") from error


def _count(dropped: Counter[str], reason: str, count: int) -> None:
    if count:
        dropped[reason] += count
