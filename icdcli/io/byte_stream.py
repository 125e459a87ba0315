"""A raw file as a stream of bytes: unpacked where compressed, read ahead and hashed while whoever asked works on it.

A file is read once. Its hash is that of the very bytes that were parsed, so that a file which changes meanwhile can't
come out under the hash of another. ISA-L unpacks about three times as fast as zlib, which stands in where there is none.
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
    from isal.igzip_lib import IsalError as UnpackError
except ImportError:  # no wheel for this machine
    from gzip import GzipFile  # type: ignore[assignment]
    from zlib import error as UnpackError  # type: ignore[assignment]  # noqa: N812  (the name that ISA-L's has)

from icdcli.errors import DataError

BLOCK = 1 << 21
_AHEAD = 4  # blocks read ahead; enough to keep both threads busy


class ByteStream:
    """The blocks of one file, from front to back.

    Attributes:
        path: The file; one that ends in ``.gz`` is unpacked.
        position: Bytes of the file (compressed, where compressed) that are read.
        hash: XXH3 (128 bit) of the whole file, once all blocks were taken; None before.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = 0
        self.hash: str | None = None
        # The same few buffers go round: fresh ones would cost as much in page faults as all the work on them.
        self._free: Queue[bytearray] = Queue()
        self._full: Queue[memoryview | Exception] = Queue()
        self._stopped = threading.Event()

    @contextmanager
    def blocks(self) -> Iterator[Iterator[memoryview]]:
        """Give the blocks, each valid until the next is asked for; leaving the context stops the reading.

        Raises:
            DataError: When the file can't be read or unpacked; its message has no line, which only the parser knows.
        """
        for _ in range(_AHEAD):
            self._free.put(bytearray(BLOCK))
        thread = threading.Thread(target=self._read, name=f"reading {self.path.name}", daemon=True)
        thread.start()
        try:
            yield self._taken()
        finally:
            self._stopped.set()
            self._free.put(bytearray())  # so that it doesn't wait for one
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
                unpacked = _unpacked(self.path, hashed)
                while length := unpacked.readinto(buffer := self._free.get()):
                    if self._stopped.is_set():
                        return
                    self._full.put(memoryview(buffer)[:length])
                if not self._stopped.is_set():
                    self.hash = hashed.hash.hexdigest()
            self._full.put(memoryview(b""))
        except Exception as error:  # goes on in the thread that takes the blocks
            self._full.put(_told(self.path, error))


class _Hashed(io.RawIOBase):
    """A raw file that hashes and counts what is read from it."""

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


def _unpacked(path: Path, raw: _Hashed) -> "io.BufferedIOBase | _Hashed":
    if path.name.lower().endswith(".gz"):
        return GzipFile(fileobj=cast(BinaryIO, raw), mode="rb")  # type: ignore[no-untyped-call]  # ISA-L's has no types
    return raw


def _told(path: Path, error: Exception) -> Exception:
    if isinstance(error, EOFError):
        return DataError(f"{path}: the compressed file ends too early; copy or download it again")
    if isinstance(error, gzip.BadGzipFile | zlib.error | UnpackError):
        return DataError(
            f"{path}: not a gzip file, or a damaged one ({error}); copy or download it again"
        )
    if isinstance(error, OSError):
        return DataError(f"{path}: can't be read ({error.strerror or error})")
    return error
