"""Files that hold or describe patient text: private, written whole or not at all, known by their content."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

from xxhash import xxh3_128

from icdcli.errors import DataError

_MEMORY = "sources.json"


class SourceFile(TypedDict):
    """One raw file as the corpus' card names it."""

    name: str
    size: int
    xxh3: str


def private_folder(folder: Path) -> None:
    """Make a folder, and its parents, that only the user can enter (0700).

    Raises:
        OSError: When it can't be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a private (0600) temporary file beside `path` to write into, which takes its place when all went well."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Write a private JSON file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(
            json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def is_writable(folder: Path) -> bool:
    """Whether files can be made in the folder, which is made itself where missing."""
    try:
        private_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def file_states(files: Sequence[Path]) -> dict[Path, str]:
    """What tells that a file is still the same without reading it: its place, size and time of the last change.

    Raises:
        DataError: When a file can't be found.
    """
    states = {}
    for file in files:
        try:
            state = file.stat()
        except OSError as error:
            raise DataError(f"{file}: can't be read ({error.strerror})") from error
        states[file] = f"{file.resolve()}|{state.st_size}|{state.st_mtime_ns}"
    return states


def recall_hashes(memory: Path, states: Mapping[Path, str]) -> dict[Path, str]:
    """The hashes of files that were read before and are in the same state; those unknown are left out.

    What can't be read is forgotten: the files are simply read again.
    """
    known = _remembered(memory)
    return {file: known[state] for file, state in states.items() if state in known}


def remember_hashes(memory: Path, states: Mapping[Path, str], hashes: Mapping[Path, str]) -> None:
    """Remember the hashes of files in their present state, so that gigabytes are read once."""
    write_json(
        memory / _MEMORY,
        _remembered(memory) | {state: hashes[file] for file, state in states.items()},
    )


def file_hash(file: Path) -> str:
    """The XXH3 hash (128 bit) of a file.

    Raises:
        DataError: When it can't be read.
    """
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, xxh3_128).hexdigest()
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror})") from error


def source_files(hashes: Mapping[Path, str], base: Path) -> list[SourceFile]:
    """The raw files as the card names them.

    Args:
        hashes: Each file with its hash.
        base: The folder that their names are relative to.
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
