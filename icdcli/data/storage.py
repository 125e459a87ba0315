"""Files that hold or describe patient text: private, written whole or not at all, known by their content."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

from icdcli.data.progress import Progress
from icdcli.errors import DataError

_MEMORY = "sources.json"
_BLOCK = 1 << 20


class SourceFile(TypedDict):
    """One raw file as the corpus' card names it."""

    name: str
    size: int
    sha256: str


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
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def is_writable(folder: Path) -> bool:
    """Whether files can be made in the folder, which is made itself where missing."""
    try:
        private_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def hash_sources(
    files: Sequence[Path], base: Path, memory: Path | None = None, progress: Progress | None = None
) -> list[SourceFile]:
    """Size and SHA-256 of raw files.

    Args:
        files: The files.
        base: The folder that their names are relative to.
        memory: A folder in which hashes are remembered by path, size and time of the last change, so that 4 GB are read
            once; None: nothing is remembered.
        progress: Told the bytes that are read.

    Raises:
        DataError: When a file can't be read.
    """
    known = _recall(memory)
    keys: dict[Path, str] = {}
    try:
        for file in files:
            state = file.stat()
            keys[file] = f"{file.resolve()}|{state.st_size}|{state.st_mtime_ns}"
        new = [file for file in files if keys[file] not in known]
        total, done = sum(file.stat().st_size for file in new), 0
        for file in new:
            digest = hashlib.sha256()
            with file.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
                    done += len(block)
                    if progress:
                        progress("checking the source files", done, total, "bytes")
            known[keys[file]] = digest.hexdigest()
    except OSError as error:
        raise DataError(f"{error.filename}: can't be read ({error.strerror})") from error
    if new and memory is not None:
        write_json(memory / _MEMORY, known)
    return [
        SourceFile(name=file.relative_to(base).as_posix(), size=int(keys[file].split("|")[-2]), sha256=known[keys[file]])
        for file in files
    ]


def _recall(memory: Path | None) -> dict[str, str]:
    """The remembered hashes. What can't be read is forgotten: the files are simply read again."""
    if memory is None:
        return {}
    try:
        content = json.loads((memory / _MEMORY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in content.items()} if isinstance(content, dict) else {}
