"""How files and arrays are recognized: by a hash of their content, or large files by their state.

Size and modification time aren't enough: an archive that is unpacked, ``rsync -t``, ``cp -p`` and
``touch -r`` set the time, and a corrected code may be as long as the wrong one. Small files are
therefore hashed at every call. Of large ones, whose hash would take seconds, the inode and the time
of the last change of any kind are compared, too; no program can set these.
"""

import json
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from numpy.typing import NDArray
from xxhash import xxh3_128

from icdcli.errors import DataError
from icdcli.io.files import write_json
from icdcli.io.progress import Progress
from icdcli.io.remote.paths import is_remote, remote

HASHED_AT_ONCE = 64 << 20
"""Bytes that are hashed at every call: 0.03 s from an SSD, half a second from a hard disk."""

_BLOCK = 1 << 20
_MEMORY = "sources.json"


class SourceFile(TypedDict):
    """A source file as the corpus's card names it."""

    name: str
    size: int
    xxh3: str


@dataclass(frozen=True, slots=True)
class FileState:
    """What is known about a file without reading gigabytes.

    Attributes:
        path: The absolute path.
        size: The number of bytes.
        hash: The XXH3 hash of the content; None for a large file.
        times: The times of its last changes, and its inode; empty if there is a hash.
    """

    path: str
    size: int
    hash: str | None
    times: str = ""

    @property
    def key(self) -> str:
        """Return a string that is another one if the file is."""
        return f"{self.path}|{self.size}|{self.hash or self.times}"


def file_states(files: Sequence[Path]) -> dict[Path, FileState]:
    """Return the state of each file; files of up to 64 MB altogether are hashed.

    Of a file of another machine, the state is what its file system reports, such as a hash.

    Raises:
        DataError: If a file can't be read.
    """
    left = HASHED_AT_ONCE
    states = {}
    for file in files:
        try:
            found = file.stat()
            if is_remote(file):
                states[file] = FileState(str(file), found.st_size, None, remote(file).version())
                continue
        except OSError as error:
            raise DataError(f"{file}: can't be read ({error.strerror}).") from error
        path = str(file.resolve())
        if stat.S_ISREG(found.st_mode) and found.st_size <= left:
            left -= found.st_size
            states[file] = FileState(path, found.st_size, file_hash(file))
        else:
            times = f"{found.st_mtime_ns}|{found.st_ctime_ns}|{found.st_ino}"
            states[file] = FileState(path, found.st_size, None, times)
    return states


def recall_hashes(
    memory: Path,
    states: Mapping[Path, FileState],
    fresh: bool = False,
    on_progress: Progress | None = None,
) -> dict[Path, str]:
    """Return the hashes of the files, except of large ones that were never read in this size.

    If the memory can't be read, no large file is known, and all of them are read again.

    Args:
        memory: The folder that `remember_hashes` wrote to.
        states: The states of the files.
        fresh: Hash large files again, even if they are known in their present state.
        on_progress: Called with the progress of hashing.

    Raises:
        DataError: If a file can't be read.
    """
    known = _remembered(memory)
    hashes = {}
    for file, state in states.items():
        if state.hash is not None:
            hashes[file] = state.hash
        elif state.key in known and not fresh:
            hashes[file] = known[state.key]
        elif any(key.startswith(f"{state.path}|{state.size}|") for key in known):
            # Perhaps only its times are new. Hashing is faster than parsing.
            hashes[file] = file_hash(file, on_progress)
    return hashes


def remember_hashes(
    memory: Path, states: Mapping[Path, FileState], hashes: Mapping[Path, str]
) -> None:
    """Store the hashes of large files in their present state, so that they are hashed only once."""
    large = {state: hashes[file] for file, state in states.items() if state.hash is None}
    if not large:
        return
    earlier = tuple(f"{state.path}|" for state in large)
    before = _remembered(memory)
    after = {key: digest for key, digest in before.items() if not key.startswith(earlier)}
    after |= {state.key: digest for state, digest in large.items()}
    if after != before:
        write_json(memory / _MEMORY, after)


def file_hash(file: Path, on_progress: Progress | None = None) -> str:
    """Return the XXH3 hash (128 bit) of a file.

    Args:
        file: The file.
        on_progress: Called with the bytes that are read.

    Raises:
        DataError: If it can't be read.
    """
    digest, position = xxh3_128(), 0
    try:
        with file.open("rb", buffering=0) as stream:
            size = file.stat().st_size
            while block := stream.read(_BLOCK):
                digest.update(block)
                position += len(block)
                if on_progress:
                    on_progress(f"comparing {file.name}", position, size, "bytes")
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror}).") from error
    return digest.hexdigest()


def arrays_hash(arrays: Iterable[tuple[str, NDArray[Any]]]) -> str:
    """Return the XXH3 hash (128 bit) of named arrays: of every number, and of names and shapes.

    Args:
        arrays: Names and arrays; the order counts. One array is needed at a time.
    """
    digest = xxh3_128()
    for name, array in arrays:
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.data if array.flags.c_contiguous else array.tobytes())
    return digest.hexdigest()


def source_files(hashes: Mapping[Path, str], base: Path) -> list[SourceFile]:
    """Return the source files as the card lists them.

    Args:
        hashes: File to hash.
        base: The folder that the names in the card are relative to.
    """
    return [
        SourceFile(
            name=Path(os.path.relpath(file, base)).as_posix(), size=file.stat().st_size, xxh3=digest
        )
        for file, digest in hashes.items()
    ]


def _remembered(memory: Path) -> dict[str, str]:
    try:
        content = json.loads((memory / _MEMORY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return (
        {str(key): str(value) for key, value in content.items()}
        if isinstance(content, dict)
        else {}
    )
