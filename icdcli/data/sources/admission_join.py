"""Joining notes and codes per admission without keeping the notes in memory.

The notes are put aside as they stream by (`icdcli.data.encounters.notes_aside`); memory holds only
their positions, and the codes of each admission.
"""

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icdcli.data.benchmarks.protocols import CodeFilter
from icdcli.data.encounters.boundaries import BETWEEN
from icdcli.data.encounters.joining import EncounterNote, NoteAbout, join_notes
from icdcli.data.encounters.notes_aside import NotesAside
from icdcli.data.sources.admission import Admission, AnnotatedSpan, Code
from icdcli.errors import DataError
from icdcli.io.arrow import values_of
from icdcli.io.csv_reader import Reading

_BEGINNING = 64  # bytes; for nearly all texts enough to see that they aren't blank
_ADMISSIONS_BETWEEN_REPORTS = 256
_CODE = 0xFFFFFFFF  # the bits of a pair that are the code's number


class AdmissionCodes:
    """The codes of each admission, in a few bytes per row."""

    def __init__(self) -> None:
        self._codes: dict[Code, int] = {}
        self._admissions: dict[str, int] = {}
        # admission << 32 | code; a pair may occur more than once.
        self._pairs: list[NDArray[np.int64]] = []
        self._single = array("q")  # pairs that are added one by one

    def read(
        self,
        reading: Reading,
        table: Path,
        columns: tuple[str, str],
        spell: Callable[[str], Code | str],
        where: Mapping[str, str] | None = None,
    ) -> set[str]:
        """Add the rows of a table.

        Args:
            reading: Reads it, and counts dropped rows.
            table: The raw table.
            columns: The columns of the admission's id and of the code.
            spell: Returns the code of a raw string, or the reason to drop its rows; called once per
                string.
            where: Column to exact value; other rows are skipped.

        Returns:
            The raw strings of all codes, without blanks around them.
        """
        spelled: dict[str, int] = {}
        reasons: list[str] = []
        for ids, raws in reading.arrays(table, columns, where):
            ids, raws = ids.dictionary_encode(), raws.dictionary_encode()
            for raw in raws.dictionary.to_pylist():
                if raw not in spelled:
                    spelled[raw] = self._number(spell(raw), reasons)
            codes = np.array([spelled[raw] for raw in raws.dictionary.to_pylist()])[
                values_of(raws.indices, np.int32)
            ]
            numbers = [
                self._admissions.setdefault(whole_id(id), len(self._admissions)) if id else -1
                for id in ids.dictionary.to_pylist()
            ]
            admissions = np.array(numbers)[values_of(ids.indices, np.int32)]
            for place, reason in enumerate(reasons):
                reading.drop(reason, int((codes == -1 - place).sum()))
            reading.drop(
                f"rows of {table.name.split('.')[0]} without {columns[0]}",
                int(((codes >= 0) & (admissions < 0)).sum()),
            )
            self._add(admissions, codes)
        return {raw.strip() for raw in spelled if raw.strip()}

    def add(self, admission: str, codes: Iterable[Code]) -> None:
        """Add codes of an admission."""
        number = self._admissions.setdefault(admission, len(self._admissions)) << 32
        self._single.extend(
            number | self._codes.setdefault(code, len(self._codes)) for code in codes
        )

    def _add(self, admissions: NDArray[np.int64], codes: NDArray[np.int64]) -> None:
        """Add rows in the order of the file; negative numbers are missing ids and codes."""
        kept = (codes >= 0) & (admissions >= 0)
        self._pairs.append(admissions[kept] << 32 | codes[kept])

    def _number(self, code: Code | str, reasons: list[str]) -> int:
        """Return the number of a code; of a reason, -1 for the first, -2 for the next."""
        if isinstance(code, str):
            if code not in reasons:
                reasons.append(code)
            return -1 - reasons.index(code)
        return self._codes.setdefault(code, len(self._codes))

    @cached_property
    def _unique_pairs(self) -> NDArray[np.int64]:
        return _distinct(np.sort(self._all_pairs()))

    def _all_pairs(self) -> NDArray[np.int64]:
        return np.concatenate([np.array(self._single, dtype=np.int64), *self._pairs])

    @cached_property
    def admissions(self) -> frozenset[str]:
        """Return the admissions with a code; to be used after all tables are read."""
        names = list(self._admissions)
        return frozenset([names[number] for number in _distinct(self._unique_pairs >> 32).tolist()])

    def of(
        self,
        admissions: Iterable[str],
        keep: CodeFilter | None = None,
        count_rows: bool = False,
    ) -> Mapping[str, frozenset[Code]]:
        """Return the codes of some admissions; to be used after all tables are read.

        Args:
            admissions: The admissions with a note, over which the codes are counted.
            keep: Chooses codes by the number of these admissions that have them; None: all codes.
            count_rows: Choose by the number of their rows instead.

        Returns:
            Admission to codes, without the admissions that have none of them.
        """
        codes = list(self._codes)
        wanted = self._chosen(admissions)
        pairs = self._unique_pairs[wanted[self._unique_pairs >> 32]]
        if keep is not None:
            counted = pairs
            if count_rows:
                counted = self._all_pairs()
                counted = counted[wanted[counted >> 32]]
            counts = np.bincount(counted & _CODE, minlength=len(codes))
            kept = keep(
                Counter(
                    {code: int(count) for code, count in zip(codes, counts, strict=True) if count}
                )
            )
            pairs = pairs[np.array([code in kept for code in codes], dtype=bool)[pairs & _CODE]]
        return _CodesOfSome(self._admissions, codes, pairs)

    def _chosen(self, admissions: Iterable[str]) -> NDArray[np.bool_]:
        """Return for the number of each admission whether it is one of these."""
        chosen = np.zeros(len(self._admissions), dtype=bool)
        numbers = [self._admissions[id] for id in admissions if id in self._admissions]
        chosen[numbers] = True
        return chosen


def whole_id(id: str) -> str:
    """Return a numeric id as MIMIC writes it.

    pandas writes ``145834.0`` if a column has empty cells, and R writes ``1e+05`` for 100000.
    """
    if id.endswith(".0") and id[:-2].isdecimal():
        return id[:-2]
    if "e+" in id and (found := re.fullmatch(r"(\d)e\+(\d\d)", id)):
        return found[1] + "0" * int(found[2])
    return id


class _CodesOfSome(Mapping[str, frozenset[Code]]):
    """Admission to codes; each set is made on access, because all of them would fill the memory."""

    def __init__(
        self, admissions: Mapping[str, int], codes: list[Code], pairs: NDArray[np.int64]
    ) -> None:
        self._admissions, self._codes = admissions, codes
        self._code_of_pair = (pairs & _CODE).astype(np.int32)
        # The first pair of each admission, and the one after its last; equal if it has none.
        edges = np.searchsorted(pairs >> 32, np.arange(len(admissions) + 1))
        self._edges = array("i", edges.astype(np.int32).tobytes())
        self._length = int(np.count_nonzero(np.diff(edges)))

    def _edges_of(self, admission: str) -> tuple[int, int]:
        number = self._admissions.get(admission)
        return (0, 0) if number is None else (self._edges[number], self._edges[number + 1])

    def __getitem__(self, admission: str) -> frozenset[Code]:
        begin, end = self._edges_of(admission)
        if begin == end:
            raise KeyError(admission)
        codes = self._code_of_pair[begin:end].tolist()
        return frozenset(map(self._codes.__getitem__, codes))

    def __contains__(self, admission: object) -> bool:
        begin, end = self._edges_of(str(admission))
        return begin < end

    def __iter__(self) -> Iterator[str]:
        return filter(self.__contains__, self._admissions)

    def __len__(self) -> int:
        return self._length


def _changes(ordered: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each value differs from the one before it."""
    return np.concatenate((np.ones(min(len(ordered), 1), dtype=bool), ordered[1:] != ordered[:-1]))


def _distinct(ordered: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the distinct values of a sorted array, several times as fast as np.unique."""
    return ordered[_changes(ordered)]


def is_blank(content: bytes) -> bool:
    """Return whether a text in UTF-8 has only white space."""
    beginning = content[:_BEGINNING].decode(errors="ignore")
    return not beginning.strip() and not content.decode().strip()


AdmissionNote = tuple[str, str, NoteAbout, bytes]
"""The subject and the admission of a note, what is known of it, and its text as UTF-8 bytes."""


def join_admissions(
    reading: Reading,
    notes: Iterator[AdmissionNote],
    codes: AdmissionCodes,
    keep: CodeFilter | None,
    work: Path,
    count_rows: bool = False,
    *,
    published: bool = False,
) -> Iterator[Admission]:
    """Join notes and codes, in the order of the admissions' first notes.

    Args:
        reading: Counts dropped notes and admissions.
        notes: The notes.
        codes: The codes of the admissions.
        keep: Chooses codes by the number of admissions that have them; None: all codes.
        work: A private folder for the temporary file.
        count_rows: Choose codes by the number of their rows instead.
        published: Join notes as the published benchmarks do: in the order of the file, without a
            blank line between them, for the patient of the first one.

    Yields:
        The admissions with at least one note and at least one code that was kept.

    Raises:
        DataError: If an admission has notes of two patients, unless `published`.
    """
    dropped = reading.dropped
    with NotesAside(work) as aside:
        for subject, admission, about, text in notes:
            if not admission:
                dropped["discharge notes without an admission's id"] += 1
            elif is_blank(text):
                dropped["discharge notes without text"] += 1
            else:
                id = whole_id(admission)
                # Benchmarks have the patient of the first note.
                follows = published and id in aside.subjects
                patient = None if follows else whole_id(subject) or None
                try:
                    aside.add(id, patient, text, about)
                except ValueError as error:
                    raise DataError(f"admission {id}: {error}.") from None
        aside.finish()
        codes_of = codes.of(aside.subjects, keep, count_rows)
        with_codes = len(aside.subjects.keys() & codes.admissions)
        reading.drop("admissions with a note but no codes", len(aside.subjects) - with_codes)
        reading.drop("admissions without any of the protocol's codes", with_codes - len(codes_of))
        reading.drop("admissions with codes but no note", len(codes.admissions) - with_codes)
        complete = compress(aside.subjects, map(codes_of.__contains__, aside.subjects))
        for number, admission in enumerate(complete, start=1):
            notes_of = aside.notes(admission)
            subject_of, codes_here = aside.subjects[admission], codes_of[admission]
            yield joined_admission(admission, subject_of, notes_of, codes_here, published=published)
            if reading.on_progress and (
                number % _ADMISSIONS_BETWEEN_REPORTS == 0 or number == len(codes_of)
            ):
                reading.on_progress("joining notes and codes", number, len(codes_of), "admissions")


def joined_admission(
    id: str,
    subject: str | None,
    notes: Sequence[EncounterNote],
    codes: frozenset[Code],
    split: str | None = None,
    day: date | None = None,
    *,
    published: bool = False,
) -> Admission:
    """Return an admission with the joined text of its notes.

    Args:
        id: Its id.
        subject: Its patient's id.
        notes: Its notes in the order of their source. `NoteAbout.more` has the annotated evidence
            of a note, in its own characters.
        codes: Its codes.
        split: Its split.
        day: The day of its discharge.
        published: As `join_admissions` receives it.
    """
    joined = join_notes(notes, "\n" if published else BETWEEN, by_time=not published)
    spans: list[AnnotatedSpan] = []
    for note, more in zip(joined.notes, joined.mores, strict=True):
        if more:
            first = max((span.group + 1 for span in spans), default=0)
            spans += (
                AnnotatedSpan(code, note.begin + begin, note.begin + end, first + group)
                for code, begin, end, group in more
            )
    return Admission(id, subject, joined.text, codes, split, tuple(spans), day, joined.notes)
