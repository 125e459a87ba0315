"""How files and arrays are recognized: by their state on the disk, or a hash of their content."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from numpy.typing import NDArray
from xxhash import xxh3_128

from icdcli.errors import DataError
from icdcli.io.files import write_json

_MEMORY = "sources.json"


class SourceFile(TypedDict):
    """A source file as the corpus's card names it."""

    name: str
    size: int
    xxh3: str


def file_states(files: Sequence[Path]) -> dict[Path, str]:
    """Return each file's path, size and modification time: if they are the same, so is the file.

    Raises:
        DataError: If a file can't be found.
    """
    states = {}
    for file in files:
        try:
            state = file.stat()
        except OSError as error:
            raise DataError(f"{file}: can't be read ({error.strerror}).") from error
        states[file] = f"{file.resolve()}|{state.st_size}|{state.st_mtime_ns}"
    return states


def recall_hashes(memory: Path, states: Mapping[Path, str]) -> dict[Path, str]:
    """Return the hashes of the files that are known in their present state.

    If the memory can't be read, no file is known, and all of them are read again.
    """
    known = _remembered(memory)
    return {file: known[state] for file, state in states.items() if state in known}


def remember_hashes(memory: Path, states: Mapping[Path, str], hashes: Mapping[Path, str]) -> None:
    """Store the hashes of files in their present state, so that gigabytes are hashed only once."""
    write_json(
        memory / _MEMORY,
        _remembered(memory) | {state: hashes[file] for file, state in states.items()},
    )


def file_hash(file: Path) -> str:
    """Return the XXH3 hash (128 bit) of a file.

    Raises:
        DataError: If it can't be read.
    """
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, xxh3_128).hexdigest()
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror}).") from error


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
