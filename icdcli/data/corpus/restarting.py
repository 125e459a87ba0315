"""Texts that are read several times: those of a corpus, and texts that are changed only once."""

import os
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from icdcli.data.corpus.reader import Corpus

KEPT_CHARACTERS = 1 << 25
"""The characters of texts that are kept in memory: three thousand discharge summaries."""

_FREE_BYTES = 1 << 30
"""Free space of the disk for temporary files below which no more texts are kept there."""


class TrainingTexts:
    """The training texts of a corpus, which can be iterated over any number of times."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus

    def __iter__(self) -> Iterator[str]:
        return self._corpus.texts("train")


class Restarting:
    """Changed texts that can be iterated over as often as the original ones.

    The first of them are kept in memory, the others, compressed, in a temporary file that has no
    name and ends with the process, so that each is changed only once. Those that don't fit on the
    disk are changed again.
    """

    def __init__(
        self, texts: Iterable[str], change: Callable[[str], str], most: int = KEPT_CHARACTERS
    ) -> None:
        """Change texts while they are iterated over.

        Args:
            texts: The texts, always in the same order.
            change: Changes one of them.
            most: The characters of changed texts that are kept in memory.
        """
        self._texts, self._change = texts, change
        self._kept: list[str] = []
        self._room = most
        self._stored = _Stored()

    def __iter__(self) -> Iterator[str]:
        return self.every(1)

    def every(self, step: int) -> Iterator[str]:
        """Yield every ``step``-th changed text, without changing the others."""
        for place, text in enumerate(self._texts):
            if place % step == 0:
                yield self._changed(place, text)

    def _changed(self, place: int, text: str) -> str:
        if place < len(self._kept):
            return self._kept[place]
        stored = place - len(self._kept)
        if stored < len(self._stored):
            return self._stored[stored]
        changed = self._change(text)
        if place == len(self._kept) and len(changed) <= self._room:
            self._kept.append(changed)
            self._room -= len(changed)
        elif stored == len(self._stored):
            self._room = 0  # the texts in memory are the first ones
            self._stored.append(changed)
        return changed


class _Stored:
    """Texts in a temporary file."""

    def __init__(self) -> None:
        self._file: BinaryIO | None = None
        self._ends: list[int] = []
        self._full = False

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, place: int) -> str:
        assert self._file is not None
        begin = self._ends[place - 1] if place else 0
        packed = os.pread(self._file.fileno(), self._ends[place] - begin, begin)
        return zlib.decompress(packed).decode("utf-8", "surrogatepass")

    def append(self, text: str) -> None:
        """Add a text, unless the disk has no more room."""
        if len(self._ends) % 1_000 == 0:
            self._full = shutil.disk_usage(tempfile.gettempdir()).free < _FREE_BYTES
        if self._full:
            return
        if self._file is None:
            file = tempfile.TemporaryFile(prefix="icdcode-", buffering=0)  # noqa: SIM115
            weakref.finalize(self, file.close)
            self._file = file
        packed = zlib.compress(text.encode("utf-8", "surrogatepass"), 1)
        end = self._ends[-1] if self._ends else 0
        try:
            whole = os.pwrite(self._file.fileno(), packed, end) == len(packed)
        except OSError:  # the disk is full: the others are changed again
            whole = False
        if whole:
            self._ends.append(end + len(packed))
        else:
            self._full = True
