"""Joining notes and codes per admission without keeping the notes in memory.

An admission's notes may be far apart in a file, so no admission is complete before the file's end.
The notes are written to a private temporary file as they stream by; memory holds only their
positions in it, and the codes of each admission.
"""

import os
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icdcli.data.benchmarks.protocols import CodeFilter
from icdcli.data.sources.admission import Admission, Code
from icdcli.io.arrow import values_of
from icdcli.io.csv_reader import Reading

_BUFFER = 1 << 20
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
        return np.concatenate([np.empty(0, dtype=np.int64), *self._pairs])

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


class NotesAside:
    """A private temporary file of notes, which are read back per admission.

    Attributes:
        subjects: Admission to the subject of its first note, in the order of the first notes.
    """

    def __init__(self, folder: Path) -> None:
        self.subjects: dict[str, str | None] = {}
        self._path = folder / ".notes"
        # Admission to offset, length, offset, length … Python's garbage collector skips tuples of
        # numbers, but would visit lists again and again.
        self._places: dict[str, tuple[int, ...]] = {}
        self._offset = self._written = 0
        self._waiting: list[bytes] = []
        self._chunk, self._chunk_offset = memoryview(b""), 0  # read back, one part at a time
        self._under_way: Future[int] | None = None

    def __enter__(self) -> "NotesAside":
        self._file = open(self._path, "w+b", opener=lambda path, flags: os.open(path, flags, 0o600))
        self._background = ThreadPoolExecutor(1)
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._background.shutdown()
            self._file.close()
        finally:
            self._path.unlink(missing_ok=True)

    def add(self, admission: str, subject: str | None, content: bytes) -> None:
        """Add one note, as UTF-8 bytes."""
        self._waiting.append(content)
        self.subjects.setdefault(admission, subject)
        before = self._places.get(admission, ())
        self._places[admission] = (*before, self._offset, len(content))
        self._offset += len(content)
        if self._offset - self._written >= _BUFFER:
            self._write()

    def _write(self) -> None:
        """Write the waiting notes in another thread, while more are collected."""
        self._wait()
        content, self._waiting, self._written = b"".join(self._waiting), [], self._offset
        self._under_way = self._background.submit(self._file.write, content)

    def _wait(self) -> None:
        """Wait for the present write, and raise its error if it failed."""
        if self._under_way is not None:
            self._under_way.result()

    def text(self, admission: str) -> str:
        """Return an admission's notes in the order of the file, joined by line breaks.

        It is fastest if the admissions are read in the order of `subjects`.
        """
        offset, length, *others = self._places[admission]
        start = offset - self._chunk_offset
        if not 0 <= start <= len(self._chunk) - length:
            # The first notes of the next admissions follow it; other notes may be far away.
            self._chunk = memoryview(self._read(offset, max(_BUFFER, length)))
            self._chunk_offset, start = offset, 0
        text = str(self._chunk[start : start + length], "utf-8")
        if not others:
            return text
        notes = zip(others[::2], others[1::2], strict=True)
        return "\n".join([text, *(self._read(*place).decode() for place in notes)])

    def _read(self, offset: int, length: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), length, offset)
        self._file.seek(offset)  # on Windows; only one thread reads
        return self._file.read(length)

    def finish(self) -> None:
        """Write the rest, so that all notes can be read."""
        self._write()
        self._wait()
        self._file.flush()


def is_blank(content: bytes) -> bool:
    """Return whether a text in UTF-8 has only white space."""
    beginning = content[:_BEGINNING].decode(errors="ignore")
    return not beginning.strip() and not content.decode().strip()


def join_admissions(
    reading: Reading,
    notes: Iterator[tuple[str, str, bytes]],
    codes: AdmissionCodes,
    keep: CodeFilter | None,
    work: Path,
    count_rows: bool = False,
) -> Iterator[Admission]:
    """Join notes and codes, in the order of the admissions' first notes.

    Args:
        reading: Counts dropped notes and admissions.
        notes: Subject, admission and text (UTF-8) of each note, in file order. Notes without an
            admission or a text are dropped.
        codes: The admissions' codes.
        keep: Chooses codes by the number of admissions with a note that have them; None: all codes.
        work: A private folder for the temporary file.
        count_rows: Choose codes by the number of their rows instead.

    Yields:
        The admissions with at least one note and at least one code that was kept.
    """
    dropped = reading.dropped
    with NotesAside(work) as aside:
        for subject, admission, text in notes:
            if not admission:
                dropped["discharge notes without an admission's id"] += 1
            elif is_blank(text):
                dropped["discharge notes without text"] += 1
            else:
                aside.add(whole_id(admission), whole_id(subject) or None, text)
        aside.finish()
        codes_of = codes.of(aside.subjects, keep, count_rows)
        with_codes = len(aside.subjects.keys() & codes.admissions)
        reading.drop("admissions with a note but no codes", len(aside.subjects) - with_codes)
        reading.drop("admissions without any of the protocol's codes", with_codes - len(codes_of))
        reading.drop("admissions with codes but no note", len(codes.admissions) - with_codes)
        complete = compress(aside.subjects, map(codes_of.__contains__, aside.subjects))
        for number, admission in enumerate(complete, start=1):
            yield Admission(
                admission, aside.subjects[admission], aside.text(admission), codes_of[admission]
            )
            if reading.on_progress and (
                number % _ADMISSIONS_BETWEEN_REPORTS == 0 or number == len(codes_of)
            ):
                reading.on_progress("joining notes and codes", number, len(codes_of), "admissions")
