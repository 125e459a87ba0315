"""Texts that are read several times: those of a corpus, and texts that are changed only once."""

import os
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import accumulate, islice
from typing import BinaryIO

from icdcli.data.corpus.reader import Corpus
from icdcli.data.processes import in_blocks

KEPT_CHARACTERS = 1 << 24
"""The characters of texts that are kept in memory: two thousand discharge summaries, or a few
hundred with all views of each."""

_BLOCK = 32
_LEAST = 512
"""The texts from which on several processes change them."""

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
            change: Changes one of them. If there are many, it is pickled for other processes.
            most: The characters of changed texts that are kept in memory.
        """
        self._texts, self._version = _Versions(texts, partial(_alone, change), most), 0

    @classmethod
    def together(
        cls, texts: Iterable[str], change: Callable[[str], Sequence[str]], number: int
    ) -> list["Restarting"]:
        """Change texts in several ways at once.

        Args:
            texts: The texts, always in the same order.
            change: Returns the versions of one of them; see `Restarting`.
            number: The number of versions.

        Returns:
            The texts of each version.
        """
        versions, made = _Versions(texts, change, KEPT_CHARACTERS), []
        for version in range(number):
            one = cls.__new__(cls)
            one._texts, one._version = versions, version
            made.append(one)
        return made

    def __iter__(self) -> Iterator[str]:
        return self._texts.each(self._version)

    def every(self, step: int) -> Iterator[str]:
        """Yield every ``step``-th changed text, without changing the others."""
        return self._texts.every(step, self._version)


def _alone(change: Callable[[str], str], text: str) -> tuple[str]:
    return (change(text),)


class _Versions:
    """All versions of texts."""

    def __init__(
        self, texts: Iterable[str], change: Callable[[str], Sequence[str]], most: int
    ) -> None:
        self._texts, self._change, self._room = texts, change, most
        self._kept: list[Sequence[str]] = []
        self._stored = _Stored()
        self._making: Iterator[None] | None = self._make()
        self._all_made = False

    def each(self, version: int) -> Iterator[str]:
        place = 0
        while self._has(place):
            yield self._at(place, version)
            place += 1
        if not self._all_made:
            for text in islice(self._texts, place, None):
                yield self._change(text)[version]

    def every(self, step: int, version: int) -> Iterator[str]:
        for place, text in enumerate(self._texts):
            if place % step == 0:
                made = place < self._number
                yield self._at(place, version) if made else self._change(text)[version]

    @property
    def _number(self) -> int:
        return len(self._kept) + len(self._stored)

    def _has(self, place: int) -> bool:
        """Return whether a changed text is kept, after changing more of them if necessary."""
        while place >= self._number and self._making is not None:
            if next(self._making, self) is self:
                self._making = None
        return place < self._number

    def _at(self, place: int, version: int) -> str:
        if place < len(self._kept):
            return self._kept[place][version]
        return self._stored.text(place - len(self._kept), version)

    def _make(self) -> Iterator[None]:
        """Change and keep the texts, a few at a time, until the disk has no more room."""
        texts = iter(self._texts)
        for text in texts:
            versions = self._change(text)
            self._room -= sum(map(len, versions))
            if self._room < 0:  # the texts in memory are the first ones
                if not self._stored.append(_packed(versions)):
                    return
                break
            self._kept.append(versions)
            yield
        for block in in_blocks(partial(_changed, self._change), texts, _BLOCK, _LEAST):
            for packed in block:
                if not self._stored.append(packed):
                    return
            yield
        self._all_made = True


def _changed(change: Callable[[str], Sequence[str]], texts: Sequence[str]) -> list[list[bytes]]:
    return [_packed(change(text)) for text in texts]


def _packed(versions: Sequence[str]) -> list[bytes]:
    return [zlib.compress(text.encode("utf-8", "surrogatepass"), 1) for text in versions]


class _Stored:
    """Texts in a temporary file, with several versions of each."""

    def __init__(self) -> None:
        self._file: BinaryIO | None = None
        self._ends: list[list[int]] = []
        self._full = False

    def __len__(self) -> int:
        return len(self._ends)

    def text(self, place: int, version: int) -> str:
        """Return a version of a text."""
        assert self._file is not None
        before = self._ends[place][:version] or (self._ends[place - 1] if place else [0])
        begin = before[-1]
        packed = os.pread(self._file.fileno(), self._ends[place][version] - begin, begin)
        return zlib.decompress(packed).decode("utf-8", "surrogatepass")

    def append(self, versions: Sequence[bytes]) -> bool:
        """Add the versions of a text; return False if the disk has no more room."""
        if len(self._ends) % 1_000 == 0:
            self._full = shutil.disk_usage(tempfile.gettempdir()).free < _FREE_BYTES
        if self._full:
            return False
        if self._file is None:
            file = tempfile.TemporaryFile(prefix="icdcode-", buffering=0)  # noqa: SIM115
            weakref.finalize(self, file.close)
            self._file = file
        packed = b"".join(versions)
        end = self._ends[-1][-1] if self._ends else 0
        try:
            whole = os.pwrite(self._file.fileno(), packed, end) == len(packed)
        except OSError:  # the disk is full: the others are changed again
            whole = False
        if whole:
            self._ends.append([end + length for length in accumulate(map(len, versions))])
        else:
            self._full = True
        return whole
