"""Write predicted codes into a file that survives any interruption: in parts, joined at the end.

The parts of ``F`` are in the folder ``F.parts/`` beside it, with a journal of the inputs that they
were made from. Each part holds one block of notes; a small file beside it counts those that are
longer than the model reads. Parts and ``F`` itself are written under another
name and renamed, so that they are complete or missing. A second call with the same inputs keeps the
parts of the first; one with other inputs starts over. Several processes need no communication
except this folder: each writes the parts of its own blocks.
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from icdcli.data.notes.text import Note
from icdcli.errors import ConfigError, DataError
from icdcli.io.files import flush, replacing, write_json
from icdcli.io.locks import HeldElsewhere, exclusive
from icdcli.io.remote.paths import is_remote, remove_files
from icdcli.predict.batches import CodedNote, CutNotes, note_blocks
from icdcli.predict.formats.blocks import CodedBlock, Format, ModelName
from icdcli.predict.formats.registry import Shape, choose_format

_JOURNAL, _LOCK, _CUT = "journal.json", ".lock", ".cut.json"
_DIGITS = 7
_PART = re.compile(rf"[0-9]{{{_DIGITS}}}\.")  # of any format

PredictBlock = Callable[[Sequence[Note], Callable[[int], None]], list[CodedNote]]
"""Predicts the codes of a block of notes, and calls back with the number of notes that are done."""
OnNotes = Callable[[int, int], None]
"""Called with the notes that are done, and with how many of them an earlier call did."""

ReadNotes = Callable[[Callable[[Note], None] | None], int]
"""Reads all notes, passes each of them to a function, if one is given, and returns their number."""


def changed_inputs(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the inputs that have changed, as messages name them."""
    return [name for name, value in now.items() if before.get(name) != value]


class OutputParts:
    """The parts of an output file while they are written.

    Attributes:
        output: The file.
        folder: The folder of its parts.
        format: Its format.
    """

    def __init__(
        self,
        output: Path,
        made_of: Mapping[str, str],
        model: ModelName | None = None,
        shape: Shape | None = None,
    ) -> None:
        """Describe the file.

        Args:
            output: The file; its name's ending is its format.
            made_of: For each input, how a message says that it changed (``other notes``), and a
                value that changes with it.
            model: The model, which some formats name; None: it isn't known yet.
            shape: What the file has.

        Raises:
            ConfigError: If there can't be such a file.
        """
        self.output = output
        self.folder = output.with_name(f"{output.name}.parts")
        self.format = choose_format(output, model or ModelName("", ""), shape)
        self._made_of = dict(made_of)
        self._time = datetime.now(UTC).isoformat(timespec="seconds")
        if is_remote(output):
            return  # there, folders needn't be made
        if not output.parent.is_dir():
            raise ConfigError(
                f"--output {output}: there is no folder {output.parent}. Make it first."
            )
        if output.is_dir():
            raise ConfigError(f"--output {output}: is a folder. Give the name of a file.")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock on the output file during the block; of several ranks, rank 0 takes it.

        Without it, a second call would delete the parts of the first, or mix its own with them.
        The system releases the lock of a killed process. Files of other machines aren't locked;
        there, a call that finds the journal of another one stops at its next part.

        Raises:
            ConfigError: If another call is writing the file, or the folder can't be written.
        """
        try:
            with ExitStack() as stack:
                try:
                    stack.enter_context(exclusive(self.folder / _LOCK))
                except HeldElsewhere as error:
                    raise ConfigError(
                        f"--output {self.output}: another icdcode is writing it ({error}). Wait, "
                        "or choose another name."
                    ) from None
                except OSError as error:
                    raise ConfigError(
                        f"--output {self.output}: can't be written ({error.strerror}). Choose "
                        "another folder."
                    ) from None
                yield
        finally:
            # Without parts, nothing was started, or everything is done.
            with suppress(OSError):
                self.folder.rmdir()

    @property
    def require(self) -> Callable[[Note], None] | None:
        """Return what raises an error if the format can't hold a note; None: it holds any."""
        return self.format.require

    @property
    def started(self) -> bool:
        """Return whether an earlier call, or rank 0 of this one, has started."""
        return self._journal() is not None

    @property
    def changed(self) -> list[str]:
        """Return the inputs of the earlier call that have changed since, as messages name them."""
        before = self._journal()
        return changed_inputs(before["made_of"], self._made_of) if before else []

    @property
    def notes(self) -> int | None:
        """Return the number of notes, if an earlier call with the same inputs counted them."""
        before = self._journal()
        return int(before["notes"]) if before and not self.changed else None

    def count(self, read: ReadNotes, on_wait: Callable[[], None]) -> int:
        """Read all notes, and return the number of those that the file gets.

        Args:
            read: Reads them.
            on_wait: Called if another process reads them for this one.
        """
        return read(self.require)

    def select(self, notes: Iterable[Note]) -> Iterable[Note]:
        """Return those of all notes that the file gets."""
        return notes

    def finished(self) -> tuple[int, CutNotes] | None:
        """Return the number of notes and the cut ones of a file that need not be written again."""
        return None

    def start(self, notes: int) -> None:
        """Keep the parts that are still valid and remove the others; rank 0 does so first.

        Args:
            notes: The number of notes.
        """
        with self._writing():
            before = self._journal()
            if before is None or self.changed:
                self._clear()
            else:
                self._time = before["started"]
            if not is_remote(self.folder):
                for remains in self.folder.glob(".*.*"):
                    remains.unlink()  # half a part, of a process that was killed
            content = {"made_of": self._made_of, "notes": notes, "started": self._time}
            write_json(self.folder / _JOURNAL, content)

    def write(
        self,
        notes: Iterable[Note],
        predict: PredictBlock,
        shard: tuple[int, int] = (0, 1),
        on_notes: OnNotes | None = None,
    ) -> int:
        """Write the missing parts of this process's shard.

        Args:
            notes: All notes.
            predict: Predicts the codes of a block.
            shard: (rank, ranks): this process writes every ranks-th part.
            on_notes: Receives the progress.

        Returns:
            The number of parts of the file.
        """
        rank, ranks = shard
        done = before = parts = 0
        written, begun = self.written(), self.begun

        def report(more: int) -> None:
            if on_notes is not None:
                on_notes(done + more, before)

        for parts, block in enumerate(note_blocks(notes), start=1):
            if parts - 1 in written:
                before += len(block)
            elif (parts - 1) % ranks == rank:
                coded = predict(block, report)
                content = CodedBlock(block, coded, begun)
                write = partial(_write_block, self.format, content)
                self.store(parts - 1, CutNotes.of(coded), write)
            done += len(block)
            report(0)
        return parts

    @property
    def begun(self) -> datetime:
        """Return when the first call that writes the file began."""
        journal = self._journal()
        return datetime.fromisoformat(journal["started"] if journal else self._time)

    def written(self) -> set[int]:
        """Return the numbers of the parts that are complete, of all calls."""
        names = {path.name for path in self._files()}
        numbers = {int(name[:_DIGITS]) for name in names if _PART.match(name)}
        return {one for one in numbers if {self._part(one).name, self._cut(one).name} <= names}

    def store(self, number: int, cut: CutNotes, write: Callable[[Path], object]) -> None:
        """Store a part.

        Args:
            number: Its number.
            cut: Those of its notes of which the model reads only the beginning.
            write: Writes it to a path.

        Raises:
            ConfigError: If another call has started over since, where files aren't locked.
            DataError: If it can't be written.
        """
        part, beside = self._part(number), self._cut(number)
        with self._writing():
            write_json(beside, asdict(cut))
            with replacing(part, durable=True) as temporary:
                write(temporary)
            self._require_own(part, beside)

    def wait(self, parts: int, on_parts: Callable[[int], None], pause: float = 0.5) -> None:
        """Wait until all parts are written, by whatever process.

        There is no timeout: if a process dies, its launcher ends the others.
        """
        written = 0
        while written < parts:
            while written < parts and self._part(written).exists():
                written += 1
            on_parts(written)
            if written < parts:
                time.sleep(pause)

    def cut_notes(self, parts: int) -> CutNotes:
        """Return the cut notes of all parts, of earlier calls too; call it before `join`."""
        total = CutNotes()
        for number in range(parts):
            with self._writing():
                total += CutNotes(**json.loads(self._cut(number).read_text(encoding="utf-8")))
        return total

    def join(self, parts: int) -> None:
        """Join the parts to the file and remove them.

        Raises:
            DataError: If there is no space for the file; the parts stay.
        """
        # Written in our own folder, where the next call removes the remains.
        with self._writing(), replacing(self.output, durable=True, folder=self.folder) as joined:
            self.format.join(joined, map(self._part, range(parts)))
        flush(self.output.parent)
        self._record(parts)
        # Leftover parts are harmless: without a journal the next call ignores them.
        with suppress(OSError):
            self._clear()

    def _record(self, parts: int) -> None:
        """Record that the file is complete, while its parts are still there."""

    def _require_own(self, *written: Path) -> None:
        """Check that no other call has started over since, where files aren't locked.

        Raises:
            ConfigError: If so. What was just written is removed, for it isn't the other's.
        """
        if not is_remote(self.folder):
            return
        journal = self._journal()
        if journal is None or journal["made_of"] != self._made_of:
            for path in written:
                path.unlink(missing_ok=True)
            raise ConfigError(
                f"--output {self.output}: another icdcode has begun to write it, or has written "
                "it. Choose another name."
            )

    def _part(self, number: int) -> Path:
        return self.folder / f"{number:0{_DIGITS}}{self.format.ending}"

    def _cut(self, number: int) -> Path:
        """Return the file with the number of cut notes of a part."""
        return self.folder / f"{number:0{_DIGITS}}{_CUT}"

    def _journal(self) -> dict[str, Any] | None:
        try:
            content = json.loads((self.folder / _JOURNAL).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        valid = isinstance(content, dict) and content.keys() == {"made_of", "notes", "started"}
        return content if valid else None

    def _clear(self) -> None:
        """Remove our files, the journal first: parts without a journal are of no use."""
        (self.folder / _JOURNAL).unlink(missing_ok=True)
        remove_files(path for path in self._files() if _PART.match(path.name))

    def _files(self) -> list[Path]:
        """Return all files in the folder, which may not exist yet."""
        try:
            return list(self.folder.iterdir())
        except FileNotFoundError:
            return []

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(
                f"{self.folder}: can't be written ({error.strerror or error}). The finished parts "
                "are kept: free some space or correct the permissions, then run the same command "
                "again."
            ) from error


def _write_block(format: Format, block: CodedBlock, path: Path) -> None:
    format.write(path, block)
