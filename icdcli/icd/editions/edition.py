"""An edition of a coding system: a dated table of codes, with the official words about them.

An edition is one Parquet file. It has a row for every chapter, block, category and code, in the
order of the official list, so that what is below a row follows it directly. Titles and structure
are read when an edition is opened; notes (inclusion terms, excludes notes …) at their first use.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from icdcli.errors import DataError
from icdcli.icd.codes import Kind
from icdcli.io.arrow import lists_of_strings, numbers, strings, values_of
from icdcli.io.files import replacing

Level = Literal["chapter", "block", "category", "code"]
"""What a row is. Only some codes can be assigned; a category is a code without a parent code."""

NoteKind = Literal[
    "terms",
    "includes",
    "excludes1",
    "excludes2",
    "code_first",
    "use_additional",
    "code_also",
    "seventh",
    "notes",
]
"""What an edition says about a row. ``terms`` are inclusion terms; ``seventh`` are the definitions
of seventh characters, as ``A: initial encounter``."""

NOTE_KINDS: tuple[NoteKind, ...] = get_args(NoteKind)
LEVELS: tuple[Level, ...] = get_args(Level)

ABOUT = b"icdcode"
"""The key of what is known about an edition in its file's metadata."""

_FORMAT = 1


class Entry(NamedTuple):
    """A row of an edition, as a reader of official files yields it.

    Attributes:
        code: The code as its system writes it, or the identifier of a chapter or block.
        title: Its title; empty: it has none.
        level: What it is.
        parent: The code of the row above it, which came before; None: it is at the top.
        assignable: Whether it can be assigned.
        notes: What the edition says about it.
    """

    code: str
    title: str
    level: Level = "code"
    parent: str | None = None
    assignable: bool = True
    notes: Mapping[NoteKind, Sequence[str]] = {}


@dataclass(frozen=True)
class About:
    """What is known about an edition as a whole.

    Attributes:
        name: Its name, such as ``icd10cm-2026-04``.
        title: Its name for people.
        kinds: The kinds of its codes.
        valid_from: The first day on which its codes are valid; None: unknown.
        valid_to: The last day, when the official source gives one; None: unknown.
        source: Where its content is from.
        license: Its license, or "public domain".
    """

    name: str
    title: str
    kinds: tuple[Kind, ...] = ("diagnosis",)
    valid_from: date | None = None
    valid_to: date | None = None
    source: str = ""
    license: str = ""

    @property
    def system(self) -> str:
        """Return the coding system, with which its name begins."""
        return self.name.partition("-")[0]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        days = {"valid_from": self.valid_from, "valid_to": self.valid_to}
        return {
            **asdict(self),
            **{name: day.isoformat() if day else None for name, day in days.items()},
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "About":
        """Return what `to_json` returned, after a file had it."""
        days = {
            name: date.fromisoformat(stored[name]) if stored[name] else None
            for name in ("valid_from", "valid_to")
        }
        return cls(**{**stored, **days, "kinds": tuple(stored["kinds"])})


@dataclass(frozen=True, eq=False)
class Edition:
    """A dated table of codes.

    Rows are counted from 0; R is their number.

    Attributes:
        about: What is known about it as a whole.
        codes: The code of each row.
        titles: The title of each row; may be empty.
        levels_R: The index of each row's level in `LEVELS`.
        parents_R: The row above each row; -1: none.
        assignable_R: Whether each row is a code that can be assigned.
        sha256: The hash of the content, notes included.
    """

    about: About
    codes: Sequence[str] = field(repr=False)
    titles: Sequence[str] = field(repr=False)
    levels_R: NDArray[np.int8] = field(repr=False)
    parents_R: NDArray[np.int32] = field(repr=False)
    assignable_R: NDArray[np.bool_] = field(repr=False)
    sha256: str
    _notes: Mapping[NoteKind, pa.Array] | Path = field(repr=False)

    @classmethod
    def of(cls, about: About, entries: Iterable[Entry]) -> "Edition":
        """Make an edition of entries in official order.

        Raises:
            DataError: A code occurs twice, or a parent hasn't come before.
        """
        rows = list(entries)
        place: dict[str, int] = {}
        parents = []
        for row, entry in enumerate(rows):
            if entry.code in place:
                first = rows[place[entry.code]].title
                raise DataError(
                    f"{about.name}: {entry.code} occurs twice, as {first!r} and {entry.title!r}. "
                    "Keep one."
                )
            if entry.parent is not None and entry.parent not in place:
                raise DataError(
                    f"{about.name}: {entry.code} is below {entry.parent}, which isn't before it."
                )
            parents.append(-1 if entry.parent is None else place[entry.parent])
            place[entry.code] = row
        notes = {
            kind: lists_of_strings([tuple(entry.notes.get(kind, ())) for entry in rows])
            for kind in NOTE_KINDS
        }
        edition = cls(
            about,
            [entry.code for entry in rows],
            [entry.title for entry in rows],
            np.array([LEVELS.index(entry.level) for entry in rows], np.int8),
            np.array(parents, np.int32),
            np.array([entry.assignable for entry in rows], bool),
            "",
            notes,
        )
        object.__setattr__(edition, "sha256", edition._hash())
        return edition

    @classmethod
    def read(cls, path: Path) -> "Edition":
        """Open an edition that `write` wrote.

        Raises:
            DataError: If it can't be read.
        """
        try:
            # `pq.read_table` imports pyarrow.dataset, which takes longer than the reading.
            file = pq.ParquetFile(path, memory_map=True)
            table = file.read(["code", "title", "level", "parent", "assignable"], use_threads=False)
            stored = json.loads(file.schema_arrow.metadata[ABOUT])
            if stored["format"] != _FORMAT:
                raise ValueError(f"format {stored['format']}, not {_FORMAT}")
            columns = [table.column(name).combine_chunks() for name in table.column_names]
            codes, titles, levels, parents, assignable = columns
            return cls(
                About.from_json(stored["about"]),
                codes.to_pylist(),
                titles.to_pylist(),
                np.asarray(values_of(levels, np.int8), np.int8),
                np.asarray(values_of(parents, np.int32), np.int32),
                np.asarray(values_of(assignable, np.int8), bool),
                stored["sha256"],
                path,
            )
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise DataError(
                f"{path}: the edition can't be read ({error}). Import it again."
            ) from error

    def write(self, path: Path) -> None:
        """Write the edition as a Parquet file, which appears whole."""
        about = {"format": _FORMAT, "about": self.about.to_json(), "sha256": self.sha256}
        arrays: dict[str, pa.Array] = {
            "code": strings(self.codes),
            "title": strings(self.titles),
            "level": numbers(self.levels_R.tolist(), np.int8),
            "parent": numbers(self.parents_R.tolist(), np.int32),
            "assignable": numbers(self.assignable_R.astype(np.int8).tolist(), np.int8),
            **{kind: self._note_array(kind) for kind in NOTE_KINDS},
        }
        table = pa.table(arrays, metadata={ABOUT: json.dumps(about).encode()})
        with replacing(path) as partial:
            pq.write_table(
                table, partial, compression="zstd", compression_level=19, use_dictionary=False
            )

    def __len__(self) -> int:
        """Return R."""
        return len(self.codes)

    def __contains__(self, code: object) -> bool:
        return code in self._rows

    def row(self, code: str) -> int | None:
        """Return the row of a code, written with its dot; None: the edition doesn't have it."""
        return self._rows.get(code)

    def spelled(self, code: str) -> int | None:
        """Return the row of a code however it is spelled: without its dot, in small letters."""
        written = code.strip()
        for one in (written, written.upper()):
            if one in self._rows:
                return self._rows[one]
        bare = written.upper().replace(".", "")
        dotted = (f"{bare[:length]}.{bare[length:]}" for length in (3, 4, 2))
        return next((self._rows[one] for one in dotted if one in self._rows), None)

    def title(self, code: str) -> str | None:
        """Return the title of a code; None: the edition doesn't have the code, or no title."""
        row = self.row(code)
        return self.titles[row] or None if row is not None else None

    def level(self, row: int) -> Level:
        """Return what a row is."""
        return LEVELS[int(self.levels_R[row])]

    def is_code(self, row: int) -> bool:
        """Return whether a row is a code or a category, rather than a group of them."""
        return self.level(row) in ("category", "code")

    def above(self, row: int) -> Iterator[int]:
        """Yield the rows above a row, the nearest first."""
        while (row := int(self.parents_R[row])) >= 0:
            yield row

    def children(self, row: int) -> list[int]:
        """Return the rows directly below a row."""
        below = range(row + 1, int(self.ends_R[row]))
        return [one for one in below if self.parents_R[one] == row]

    def notes(self, row: int, kind: NoteKind) -> tuple[str, ...]:
        """Return what the edition says about a row itself."""
        return tuple(self._note_array(kind)[row].as_py())

    def notes_above(self, row: int, kind: NoteKind) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yield the notes that apply to a row: its own, then those of the rows above it."""
        for place in (row, *self.above(row)):
            if found := self.notes(place, kind):
                yield place, found

    def noted(self, kind: NoteKind) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yield each row that has notes of a kind, with these."""
        array = self._note_array(kind)
        lengths = np.diff(np.asarray(values_of(array.offsets, np.int32), np.int32))
        for row in np.flatnonzero(lengths).tolist():
            yield row, tuple(array[row].as_py())

    def entries(self) -> Iterator[Entry]:
        """Yield the rows as `of` takes them."""
        noted: dict[int, dict[NoteKind, Sequence[str]]] = {}
        for kind in NOTE_KINDS:
            for row, found in self.noted(kind):
                noted.setdefault(row, {})[kind] = found
        for row, code in enumerate(self.codes):
            above = int(self.parents_R[row])
            yield Entry(
                code,
                self.titles[row],
                self.level(row),
                self.codes[above] if above >= 0 else None,
                bool(self.assignable_R[row]),
                noted.get(row, {}),
            )

    @cached_property
    def has_notes(self) -> bool:
        """Return whether the edition has notes; plain lists of codes have none."""
        return any(len(self._note_array(kind).values) for kind in NOTE_KINDS)

    def assigns(self, code: str) -> bool:
        """Return whether it has a code that can be assigned."""
        row = self.row(code)
        return row is not None and bool(self.assignable_R[row])

    def assignable_below(self, row: int) -> list[str]:
        """Return the codes below a row, at any depth, that can be assigned."""
        below = range(row + 1, int(self.ends_R[row]))
        return [self.codes[one] for one in below if self.assignable_R[one]]

    def assignable(self) -> Iterator[tuple[str, str]]:
        """Yield the codes that can be assigned, with their titles."""
        for row in np.flatnonzero(self.assignable_R).tolist():
            yield self.codes[row], self.titles[row]

    @cached_property
    def ends_R(self) -> NDArray[np.int32]:
        """Return the row after the last one below each row."""
        ends = np.arange(1, len(self) + 1, dtype=np.int32)
        parents = self.parents_R.tolist()
        for row in range(len(self) - 1, -1, -1):
            above = parents[row]
            if above >= 0 and ends[above] < ends[row]:
                ends[above] = ends[row]
        return ends

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {code: row for row, code in enumerate(self.codes)}

    def _note_array(self, kind: NoteKind) -> pa.Array:
        return (self._read_notes if isinstance(self._notes, Path) else self._notes)[kind]

    @cached_property
    def _read_notes(self) -> Mapping[NoteKind, pa.Array]:
        assert isinstance(self._notes, Path)
        table = pq.ParquetFile(self._notes, memory_map=True).read(list(NOTE_KINDS))
        return {kind: table.column(kind).combine_chunks() for kind in NOTE_KINDS}

    def _hash(self) -> str:
        digest = sha256(json.dumps(self.about.to_json(), sort_keys=True).encode())
        for row, code in enumerate(self.codes):
            line = [code, self.titles[row], int(self.levels_R[row]), int(self.parents_R[row])]
            digest.update(json.dumps([*line, bool(self.assignable_R[row])]).encode())
        for kind in NOTE_KINDS:
            for row, found in self.noted(kind):
                digest.update(json.dumps([kind, row, found]).encode())
        return digest.hexdigest()
