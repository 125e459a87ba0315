"""A window onto a CSV file, which moves from front to back in bounded memory."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icdcli.errors import DataError
from icdcli.io.byte_stream import PIECE, Block, ByteStream
from icdcli.io.csv_scan import Examined, Examiner, Parsed, find_separator, joined, parse
from icdcli.io.encodings import refuse_other_format

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NAMED_SEPARATOR = re.compile(rb'"?sep=([,;\t|])"?\r?\n')  # the first line of Excel's own CSV
_USUAL_HEADER = 1 << 14  # bytes in which a header usually ends
# Bytes. A quote that is never closed must not load the rest of the file into memory.
_LONGEST_NAMED = 16  # bytes of such a line
_LONGEST_ROW = 256 << 20


class CsvWindow:
    """The bytes of a table that are being parsed: blocks are appended, and parsed rows dropped.

    Usually it is a block, with the end of the one before in the room in front of it. Only a row
    that doesn't fit there is collected in memory of the window's own, which is reused.
    """

    def __init__(self, path: Path, blocks: Iterator[Block], encoding: str | None = None) -> None:
        self.path = path
        self._encoding = encoding
        self.usual_separator = "\t" if _is_tsv(path) else ","
        self.separator = self.usual_separator  # that of the columns, once the header is read
        self.last = False  # whether it reaches the end of the file
        self.examined = Examined(np.empty(0, dtype=np.int64), True)
        self._named: str | None = None
        self._blocks = blocks
        self._examiner = Examiner()
        self._offset = 0  # of its first byte in the decompressed file
        self._own = self._memory = np.empty(0, dtype=np.uint8)
        self._start = self._stop = 0

    @property
    def data(self) -> NDArray[np.uint8]:
        """Return the bytes, valid until the window changes."""
        return self._memory[self._start : self._stop]

    @property
    def _length(self) -> int:
        return self._stop - self._start

    def grow(self) -> None:
        """Read until the window is twice as long, so that a long row is parsed only a few times."""
        if self._length > _LONGEST_ROW:
            raise DataError(
                f"{self.path}, line {self.line()}: a row of more than {_LONGEST_ROW >> 20} MB "
                "begins here. Close the quoted text, or copy the file again."
            )
        goal = max(2 * self._length, 1)
        pieces = [(self._length, self.examined)]
        if self._memory is not self._own:  # the next block may take the memory of this one
            self._move(0)
        while self._length < goal and not self.last:
            try:
                block = next(self._blocks, None)
            except DataError as error:
                if self._offset + self._length == 0:
                    raise
                path = str(self.path)
                raise DataError(
                    f"{path}, near line {self.line()}: {str(error).removeprefix(path + ': ')}"
                ) from error
            if block is None:
                self.last = True
            else:
                pieces += self._examined(block)
                self._append(block, goal)
        self.examined = joined(pieces)

    def _examined(self, block: Block) -> list[tuple[int, Examined]]:
        if block.examined is not None:
            return block.examined
        parts = [block.data[at : at + PIECE] for at in range(0, len(block), PIECE)]
        return [(len(part), self._examiner(part)) for part in parts]

    def _append(self, block: Block, goal: int) -> None:
        start = block.start - self._length
        if start >= 0 and block.stop - start >= goal:
            block.memory[start : block.start] = self.data
            self._memory, self._start, self._stop = block.memory, start, block.stop
        else:
            self._move(len(block))
            self._memory[self._stop : self._stop + len(block)] = block.data
            self._stop += len(block)

    def _move(self, room: int) -> None:
        """Move the window to the front of its own memory, with room for more bytes behind it."""
        length = self._length
        if length + room > len(self._own):
            own = np.empty(2 * (length + room), dtype=np.uint8)
        elif self._memory is self._own and self._start == 0:
            return
        else:
            own = self._own
        own[:length] = self.data
        self._own = self._memory = own
        self._start, self._stop = 0, length

    def drop(self, length: int) -> None:
        """Drop bytes from the front."""
        self._offset += length
        self._start += length
        quotes, is_ascii = self.examined
        self.examined = Examined(quotes[np.searchsorted(quotes, length) :] - length, is_ascii)

    def line(self, within: int = 1) -> int:
        """Return the line of the file that is a line of the window, both from 1.

        This reads the file again, up to the window.
        """
        left, lines = self._offset, 0
        if left == 0:
            return within
        with ByteStream(self.path, encoding=self._encoding).blocks() as blocks:
            for block in blocks:
                lines += block.data[:left].tobytes().count(b"\n")
                left -= len(block)
                if left <= 0:
                    break
        return lines + within

    def header(self) -> list[str]:
        """Return the header and drop it from the front.

        Raises:
            DataError: If the file is empty or isn't CSV.
        """
        while self._length < len(_BYTE_ORDER_MARK) and not self.last:
            self.grow()
        if self.data[: len(_BYTE_ORDER_MARK)].tobytes() == _BYTE_ORDER_MARK:
            self.drop(len(_BYTE_ORDER_MARK))
        while self._length < _LONGEST_NAMED and not self.last:
            self.grow()
        if not self._length:
            raise DataError(f"{self.path}: is empty. Copy or download it again.")
        refuse_other_format(self.path, self.data[:_LONGEST_NAMED].tobytes())
        while (first := self._first_row()) is None:
            if self.last:
                raise DataError(f"{self.path}: is empty. Copy or download it again.")
            self.grow()
        if not self.data[: first.consumed].all():
            raise DataError(
                f"{self.path}: is binary, or UTF-16 without a byte order mark. Export the table as "
                "CSV in UTF-8."
            )
        if first.fields is None:
            raise DataError(f"{self.path}, line {first.line}: {first.problem}.")
        self.drop(first.consumed)
        return first.fields

    def _first_row(self) -> Parsed | None:
        """Return the header, or None if the window doesn't reach its end."""
        named = _NAMED_SEPARATOR.match(self.data[:_LONGEST_NAMED].tobytes())
        if named is not None:
            self.drop(named.end())
            self._named = named[1].decode()
        for length in (min(_USUAL_HEADER, self._length), self._length):
            block, last = self.data[:length].tobytes(), self.last and length == self._length
            self.separator = self._named or find_separator(block, self.usual_separator)
            if (first := next(parse(block, None, last, self.separator), None)) is not None:
                return first
        return None


def _is_tsv(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith((".tsv", ".tab"))
