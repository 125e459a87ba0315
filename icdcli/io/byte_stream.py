"""A raw file as a stream of bytes: decompressed, in UTF-8, read ahead and hashed on the way.

A file is read once, and the hash is that of the bytes that were parsed, even if the file changes at
the same time. All passes over a piece of it follow each other while it is in the processor's cache.
ISA-L decompresses about three times as fast as zlib, which is used if ISA-L isn't installed.
"""

import gzip
import io
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128

try:
    from isal.igzip import IGzipFile as GzipFile
    from isal.igzip_lib import IsalError as DecompressionError
except ImportError:  # no wheel for this machine
    from gzip import GzipFile  # type: ignore[assignment]
    from zlib import error as DecompressionError  # type: ignore[assignment]  # noqa: N812

from icdcli.errors import DataError
from icdcli.io.encodings import NotInEncodingError, Utf8Reader, recognized

BLOCK = 1 << 20
ROOM = 1 << 18  # bytes in front of a block, for the end of the row that began in the one before
PIECE = 1 << 20  # a piece and what is computed of it fit the cache
_AHEAD = 4  # blocks read ahead; enough to keep both threads busy

Examine = Callable[[NDArray[np.uint8]], Any]
"""Examines a piece of a block in the thread that reads; it must not keep the piece."""


@dataclass(frozen=True)
class Block:
    """Some bytes of a file, valid until the next block is taken.

    Attributes:
        memory: The memory, with free room in front of the bytes.
        start: The place of the first byte in it.
        stop: The place after the last one.
        examined: The length of each piece and what was found in it; None: nothing was examined.
    """

    memory: NDArray[np.uint8]
    start: int
    stop: int
    examined: list[tuple[int, Any]] | None

    def __len__(self) -> int:
        """Return the number of bytes."""
        return self.stop - self.start

    @property
    def data(self) -> NDArray[np.uint8]:
        """Return the bytes."""
        return self.memory[self.start : self.stop]


class ByteStream:
    """The blocks of one file, from front to back.

    Attributes:
        path: The file; one that ends in ``.gz`` is decompressed, other encodings are converted to
            UTF-8.
        encoding: The file's encoding; ``utf-8`` until other bytes are read.
        position: The bytes of the file read so far; compressed bytes of a ``.gz`` file.
        hash: The XXH3 hash (128 bit) of the complete file after its last block; None before.
    """

    def __init__(
        self, path: Path, examine: Examine | None = None, encoding: str | None = None
    ) -> None:
        """Prepare to read a file.

        Args:
            path: The file.
            examine: Applied to each piece of the file right after it is read. A compressed file
                isn't examined: its decompression already takes longer than the rest.
            encoding: The encoding of a file without a mark; None: found in its content.
        """
        self.path = path
        self.encoding = encoding or "utf-8"
        self._named = encoding
        self.position = 0
        self.hash: str | None = None
        self._examine = None if _is_compressed(path) else examine
        # A few buffers are reused: the page faults of new ones would cost as much as the parsing.
        self._free: SimpleQueue[NDArray[np.uint8]] = SimpleQueue()
        self._full: SimpleQueue[Block | Exception | None] = SimpleQueue()
        self._stopped = threading.Event()

    @contextmanager
    def blocks(self) -> Iterator[Iterator[Block]]:
        """Yield an iterator of blocks, each valid until the next; leaving the context ends it.

        Raises:
            DataError: If the file can't be read or decompressed. The message has no line number,
                because only the parser knows it.
        """
        for _ in range(_AHEAD):
            self._free.put(np.empty(ROOM + BLOCK, dtype=np.uint8))
        thread = threading.Thread(target=self._read, name=f"reading {self.path.name}", daemon=True)
        thread.start()
        try:
            yield self._taken()
        finally:
            self._stopped.set()
            self._free.put(np.empty(0, dtype=np.uint8))  # wakes the thread if it waits for a buffer
            if thread is not threading.current_thread():  # in which garbage may be collected
                thread.join()

    def _taken(self) -> Iterator[Block]:
        while True:
            block = self._full.get()
            if isinstance(block, Exception):
                raise block
            if block is None:
                return
            yield block
            self._free.put(block.memory)

    def _read(self) -> None:
        try:
            with self.path.open("rb", buffering=0) as raw:
                hashed = _Hashed(raw, self)
                content = Utf8Reader(
                    _decompressed(self.path, hashed), self._named, partial(_recognized, self.path)
                )
                while (block := self._block(content, self._free.get())) is not None:
                    self._full.put(block)
                if self._stopped.is_set():
                    return
                self.hash = hashed.hash.hexdigest()
            self._full.put(None)
        except Exception as error:  # raised in the thread that takes the blocks
            self._full.put(_data_error(self.path, error))

    def _block(self, content: Utf8Reader, memory: NDArray[np.uint8]) -> Block | None:
        """Fill a block, unless the file ends; None: it has ended, or nobody waits for more."""
        start = stop = min(ROOM, len(memory))
        examined: list[tuple[int, Any]] = []
        while stop < len(memory) and not self._stopped.is_set():
            length = content.readinto(memory[stop : stop + PIECE].data)
            self.encoding = content.encoding
            if not length:
                break
            if self._examine is not None:
                examined.append((length, self._examine(memory[stop : stop + length])))
            stop += length
        if stop == start or self._stopped.is_set():
            return None
        return Block(memory, start, stop, None if self._examine is None else examined)


class _Hashed(io.RawIOBase):
    """A raw file that hashes and counts the bytes that are read from it."""

    def __init__(self, raw: io.FileIO, stream: ByteStream) -> None:
        super().__init__()
        self.hash = xxh3_128()
        self._raw = raw
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        length = self._raw.readinto(buffer)
        self.hash.update(memoryview(buffer)[:length])
        self._stream.position += length
        return length


def _recognized(path: Path) -> str | None:
    """Return the encoding of a file that isn't UTF-8, for which all of it is read."""
    state = path.stat()
    return _recognized_state(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=16)
def _recognized_state(path: Path, _size: int, _changed: int) -> str | None:
    with path.open("rb", buffering=0) as raw:
        content = _decompressed(path, raw)
        return recognized(iter(lambda: content.read(PIECE), b""))


def _decompressed(path: Path, raw: "io.RawIOBase") -> "io.BufferedIOBase | io.RawIOBase":
    if _is_compressed(path):
        return GzipFile(fileobj=cast(BinaryIO, raw), mode="rb")  # type: ignore[no-untyped-call]  # ISA-L's has no types
    return raw


def _is_compressed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _data_error(path: Path, error: Exception) -> Exception:
    if isinstance(error, EOFError):
        return DataError(f"{path}: the compressed file ends too early. Copy or download it again.")
    if isinstance(error, gzip.BadGzipFile | zlib.error | DecompressionError):
        return DataError(
            f"{path}: not a gzip file, or damaged ({error}). Copy or download it again."
        )
    if isinstance(error, NotInEncodingError):
        return DataError(f"{path}: {error}.")
    if isinstance(error, OSError):
        return DataError(f"{path}: can't be read ({error.strerror or error})")
    return error
