"""A raw file as a stream of bytes: decompressed, in UTF-8, read ahead and hashed on the way.

A file is read once, and the hash is that of the bytes that were parsed, even if the file changes at
the same time. ISA-L decompresses about three times as fast as
zlib, which is used if ISA-L isn't installed.
"""

import gzip
import io
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any, BinaryIO, cast

from xxhash import xxh3_128

try:
    from isal.igzip import IGzipFile as GzipFile
    from isal.igzip_lib import IsalError as DecompressionError
except ImportError:  # no wheel for this machine
    from gzip import GzipFile  # type: ignore[assignment]
    from zlib import error as DecompressionError  # type: ignore[assignment]  # noqa: N812

from icdcli.errors import DataError
from icdcli.io.encodings import NOT_AS_MARKED, Utf8Reader

BLOCK = 1 << 21
_AHEAD = 4  # blocks read ahead; enough to keep both threads busy


class ByteStream:
    """The blocks of one file, from front to back.

    Attributes:
        path: The file; one that ends in ``.gz`` is decompressed, UTF-16 is converted to UTF-8.
        position: The bytes of the file read so far; compressed bytes of a ``.gz`` file.
        hash: The XXH3 hash (128 bit) of the complete file after its last block; None before.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = 0
        self.hash: str | None = None
        # A few buffers are reused: the page faults of new ones would cost as much as the parsing.
        self._free: Queue[bytearray] = Queue()
        self._full: Queue[memoryview | Exception] = Queue()
        self._stopped = threading.Event()

    @contextmanager
    def blocks(self) -> Iterator[Iterator[memoryview]]:
        """Yield an iterator of blocks, each valid until the next; leaving the context ends it.

        Raises:
            DataError: If the file can't be read or decompressed. The message has no line number,
                because only the parser knows it.
        """
        for _ in range(_AHEAD):
            self._free.put(bytearray(BLOCK))
        thread = threading.Thread(target=self._read, name=f"reading {self.path.name}", daemon=True)
        thread.start()
        try:
            yield self._taken()
        finally:
            self._stopped.set()
            self._free.put(bytearray())  # wakes the thread if it waits for a buffer
            thread.join()

    def _taken(self) -> Iterator[memoryview]:
        while True:
            block = self._full.get()
            if isinstance(block, Exception):
                raise block
            if not block:
                return
            yield block
            self._free.put(cast(bytearray, block.obj))

    def _read(self) -> None:
        try:
            with self.path.open("rb", buffering=0) as raw:
                hashed = _Hashed(raw, self)
                content = Utf8Reader(_decompressed(self.path, hashed))
                while length := content.readinto(buffer := self._free.get()):
                    if self._stopped.is_set():
                        return
                    self._full.put(memoryview(buffer)[:length])
                if not self._stopped.is_set():
                    self.hash = hashed.hash.hexdigest()
            self._full.put(memoryview(b""))
        except Exception as error:  # raised in the thread that takes the blocks
            self._full.put(_data_error(self.path, error))


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


def _decompressed(path: Path, raw: _Hashed) -> "io.BufferedIOBase | _Hashed":
    if path.name.lower().endswith(".gz"):
        return GzipFile(fileobj=cast(BinaryIO, raw), mode="rb")  # type: ignore[no-untyped-call]  # ISA-L's has no types
    return raw


def _data_error(path: Path, error: Exception) -> Exception:
    if isinstance(error, EOFError):
        return DataError(f"{path}: the compressed file ends too early. Copy or download it again.")
    if isinstance(error, gzip.BadGzipFile | zlib.error | DecompressionError):
        return DataError(
            f"{path}: not a gzip file, or damaged ({error}). Copy or download it again."
        )
    if isinstance(error, UnicodeError):
        return DataError(f"{path}: {NOT_AS_MARKED}.")
    if isinstance(error, OSError):
        return DataError(f"{path}: can't be read ({error.strerror or error})")
    return error
