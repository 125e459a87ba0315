"""Coding into a file that survives whatever ends the process: in parts, each of a block of notes, joined when all are there.

The parts of ``F`` lie in ``F.parts/`` beside it, with a journal that says what they are made of. A part is written under
another name and renamed, and so is ``F``: each is there whole or not at all. A second call that is asked for the same finds
the parts of the first; one that is asked for something else begins anew. Several processes need nothing of one another but
this folder: each writes the parts of its own blocks.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from icdcli.data.notes.text import Note
from icdcli.errors import ConfigError, DataError
from icdcli.io.files import flush, private_folder, replacing, write_json
from icdcli.predict.batches import CodedNote, blocks
from icdcli.predict.writers import format_of

_JOURNAL, _LOCK = "journal.json", ".lock"

Code = Callable[[Sequence[Note], Callable[[int], None]], list[CodedNote]]
Told = Callable[[int, int], None]
"""Told how many notes are done, and how many of these were done by an earlier call."""


class CodingParts:
    """The parts of one file while they are written.

    Attributes:
        output: The file that is to be.
        folder: Where its parts lie.
    """

    def __init__(self, output: Path, made_of: Mapping[str, str], evidence: bool = False) -> None:
        """Name a file and what it is made of.

        Args:
            output: Its name's ending says its format.
            made_of: For each thing that the file depends on, how it is told that it changed (``other notes``), and something
                that changes with it.
            evidence: Whether codes have evidence.

        Raises:
            ConfigError: When there can't be such a file.
        """
        self.output = output
        self.folder = output.with_name(f"{output.name}.parts")
        self._format = format_of(output, evidence)
        self._made_of = dict(made_of)
        if not output.parent.is_dir():
            raise ConfigError(
                f"--output {output}: there is no folder {output.parent}; make it first"
            )
        if output.is_dir():
            raise ConfigError(f"--output {output}: is a folder; give a file's name")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only call that writes this file; of several processes of a call the first is it.

        Raises:
            ConfigError: When another call is at it, or the folder can't be written.
        """
        lock = FileLock(self.folder / _LOCK, mode=0o600)
        try:
            private_folder(self.folder)
            lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(
                f"--output {self.output}: another icdcode is writing it; wait, or give another name"
            ) from None
        except OSError as error:
            raise ConfigError(
                f"--output {self.output}: can't be written ({error.strerror}); give another place"
            ) from None
        try:
            yield
        finally:
            if not (self.folder / _JOURNAL).exists():  # nothing has been begun, or all is done
                (self.folder / _LOCK).unlink(missing_ok=True)
                with suppress(OSError):
                    self.folder.rmdir()
            lock.release()

    @property
    def begun(self) -> bool:
        """Whether an earlier call, or the first process of this one, has begun."""
        return self._journal() is not None

    @property
    def changed(self) -> list[str]:
        """What the earlier call had begun with that is no longer so, in words."""
        before = self._journal()
        return [
            name
            for name, now in self._made_of.items()
            if before and before["made_of"].get(name) != now
        ]

    @property
    def notes(self) -> int | None:
        """How many notes there are, where an earlier call has read these very ones to the end."""
        before = self._journal()
        return int(before["notes"]) if before and not self.changed else None

    def begin(self, notes: int) -> None:
        """Keep the parts that are of use and remove the others; the first process does so before any writes one.

        Args:
            notes: How many notes there are.
        """
        with self._writing():
            if not self.begun or self.changed:
                self._clear()
            for left in self.folder.glob(".*.*"):
                left.unlink()  # half a part, of a process that was killed
            write_json(self.folder / _JOURNAL, {"made_of": self._made_of, "notes": notes})

    def code(
        self,
        notes: Iterable[Note],
        code: Code,
        share: tuple[int, int] = (0, 1),
        told: Told | None = None,
    ) -> int:
        """Code the blocks of this process's share that have no part yet.

        Args:
            notes: All notes.
            code: Codes a block; tells how many of its notes are done.
            share: (rank, ranks): this process does every ranks-th block.
            told: Told how far it is.

        Returns:
            How many parts the file has.
        """
        rank, ranks = share
        done = before = parts = 0

        def news(more: int) -> None:
            if told is not None:
                told(done + more, before)

        for parts, block in enumerate(blocks(notes), start=1):
            part = self._part(parts - 1)
            if part.exists():
                before += len(block)
            elif (parts - 1) % ranks == rank:
                coded = code(block, news)
                with self._writing(), replacing(part, durable=True) as temporary:
                    self._format.write(temporary, coded)
            done += len(block)
            news(0)
        return parts

    def wait(self, parts: int, told: Callable[[int], None], pause: float = 0.5) -> None:
        """Return when all parts are there, whoever writes them.

        No time is too long: where a process has died, whoever launched it ends the others.
        """
        there = 0
        while there < parts:
            while there < parts and self._part(there).exists():
                there += 1
            told(there)
            if there < parts:
                time.sleep(pause)

    def finish(self, parts: int) -> None:
        """Join the parts, give the file its name, and remove them.

        Raises:
            DataError: When there is no room for it; the parts stay.
        """
        # In our own folder, whose remains the next call removes.
        with self._writing(), replacing(self.output, durable=True, folder=self.folder) as whole:
            self._format.join(whole, map(self._part, range(parts)))
        flush(self.output.parent)
        with suppress(OSError):  # what is left doesn't matter: the next call looks at the journal
            self._clear()

    def _part(self, number: int) -> Path:
        return self.folder / f"{number:07}{self._format.ending}"

    def _journal(self) -> dict[str, Any] | None:
        try:
            content = json.loads((self.folder / _JOURNAL).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return (
            content
            if isinstance(content, dict) and content.keys() == {"made_of", "notes"}
            else None
        )

    def _clear(self) -> None:
        """Remove what is ours, the journal first: parts without one are of no use to anybody."""
        (self.folder / _JOURNAL).unlink(missing_ok=True)
        for part in self.folder.glob("[0-9]" * 7 + self._format.ending):
            part.unlink()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(
                f"{self.folder}: can't be written ({error.strerror or error}). What is done is kept: make room, or set the "
                "permissions right, then give the same command again"
            ) from error
