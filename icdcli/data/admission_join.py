"""Joining notes and codes per admission without holding the notes.

An admission's notes may stand far apart in a file, so none is complete before the file's end. Notes are put aside in a
private file as they stream by; what stays in memory is where they lie and which codes each admission has.
"""

import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import compress
from pathlib import Path

import numpy as np

from icdcli.data.admission import Admission, Code
from icdcli.data.protocols import CodeFilter
from icdcli.data.rows import Reading

_BUFFER = 1 << 20


class AdmissionCodes:
    """Which codes each admission has, in a few bytes a row."""

    def __init__(self) -> None:
        self._codes: dict[Code, int] = {}
        self._admissions: dict[str, int] = {}
        self._pairs = array("q")  # admission << 32 | code; the same pair may stand in it more than once

    def add(self, admission: str, code: Code) -> None:
        """Note that an admission has a code."""
        admissions, codes = self._admissions, self._codes
        self._pairs.append(admissions.setdefault(admission, len(admissions)) << 32 | codes.setdefault(code, len(codes)))

    def __contains__(self, admission: str) -> bool:
        return admission in self._admissions

    def __len__(self) -> int:
        """The number of admissions."""
        return len(self._admissions)

    def of(self, admissions: Iterable[str], keep: CodeFilter | None = None) -> dict[str, frozenset[Code]]:
        """The codes of some admissions.

        Args:
            admissions: Those that have a note; the codes are counted over them.
            keep: Chooses codes by the number of these admissions that have them; None: all.

        Returns:
            Admission to codes, without those admissions that are left with none.
        """
        names, codes = list(self._admissions), list(self._codes)
        wanted = np.zeros(len(names), dtype=bool)
        wanted[[self._admissions[admission] for admission in admissions if admission in self._admissions]] = True
        pairs = np.unique(np.frombuffer(self._pairs, dtype=np.int64)) if self._pairs else np.empty(0, dtype=np.int64)
        pairs = pairs[wanted[pairs >> 32]]
        if keep is not None:
            counts = np.bincount(pairs & 0xFFFFFFFF, minlength=len(codes))
            kept = keep(Counter({code: int(count) for code, count in zip(codes, counts, strict=True) if count}))
            pairs = pairs[np.array([code in kept for code in codes], dtype=bool)[pairs & 0xFFFFFFFF]]
        admission_of, first = np.unique(pairs >> 32, return_index=True)
        groups = np.split(pairs & 0xFFFFFFFF, first[1:]) if len(first) else []
        return {
            names[number]: frozenset(codes[code] for code in group.tolist())
            for number, group in zip(admission_of.tolist(), groups, strict=True)
        }


class NotesAside:
    """Notes written to a private file as they come, and read back admission by admission.

    Attributes:
        subjects: Admission to subject, that of its first note, in the order of the first notes.
    """

    def __init__(self, folder: Path) -> None:
        self.subjects: dict[str, str | None] = {}
        self._path = folder / ".notes"
        self._places: dict[str, list[int]] = {}  # admission to (offset, length) of each note, end to end
        self._offset = 0

    def __enter__(self) -> "NotesAside":
        handle = os.open(self._path, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600)
        self._file = os.fdopen(handle, "w+b", buffering=_BUFFER)
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._file.close()
        finally:
            self._path.unlink(missing_ok=True)

    def add(self, admission: str, subject: str | None, text: str) -> None:
        """Put one note aside."""
        content = text.encode()
        self._file.write(content)
        self.subjects.setdefault(admission, subject)
        self._places.setdefault(admission, []).extend((self._offset, len(content)))
        self._offset += len(content)

    def text(self, admission: str) -> str:
        """An admission's notes in the order that they came in, a line break between them."""
        places, file = self._places[admission], self._file.fileno()
        notes = zip(places[::2], places[1::2], strict=True)
        return "\n".join(os.pread(file, length, offset).decode() for offset, length in notes)

    def finish(self) -> None:
        """Make what was added readable."""
        self._file.flush()


def join_admissions(
    reading: Reading,
    notes: Iterator[tuple[str, str, str]],
    codes: AdmissionCodes,
    keep: CodeFilter | None,
    work: Path,
) -> Iterator[Admission]:
    """Join notes and codes, in the order of the admissions' first notes.

    Args:
        reading: Counts what is dropped.
        notes: Subject, admission and text of each note, in file order; those without admission or text are dropped.
        codes: The admissions' codes.
        keep: Chooses codes by the number of admissions with a note that have them; None: all.
        work: A private folder to put notes aside in.

    Yields:
        Admissions with at least one note and one code that was kept.
    """
    dropped = reading.dropped
    with NotesAside(work) as aside:
        for subject, admission, text in notes:
            if not admission:
                dropped["discharge notes without an admission's id"] += 1
            elif not text or text.isspace():
                dropped["discharge notes without text"] += 1
            else:
                aside.add(admission, subject or None, text)
        aside.finish()
        codes_of = codes.of(aside.subjects, keep)
        with_codes = sum(map(codes.__contains__, aside.subjects))
        reading.drop("admissions with a note but no codes", len(aside.subjects) - with_codes)
        reading.drop("admissions without any of the protocol's codes", with_codes - len(codes_of))
        reading.drop("admissions with codes but no note", len(codes) - with_codes)
        for admission in compress(aside.subjects, map(codes_of.__contains__, aside.subjects)):
            yield Admission(admission, aside.subjects[admission], aside.text(admission), codes_of[admission])
