"""Files that are there whole or not at all: written beside their name, flushed to the disk, and renamed into place."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from icdcli.errors import DataError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell in one message that a file can't be written: a full disk, a folder that one may not write in.

    Raises:
        DataError: When it can't.
    """
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path}: can't be written ({error.strerror or error}). What was written before is whole: make room, or set "
            "the folder's permissions right, then go on"
        ) from error


def flush(path: Path) -> None:
    """Wait until a file, or the list of a folder's files, is on the disk itself."""
    if not path.is_dir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        return
    with suppress(
        OSError
    ):  # not every system can do so for a folder; what is lost then is the safety from a power cut
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, and flushed to the disk.

    Raises:
        DataError: When it can't be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    data = content.encode() if isinstance(content, str) else content
    with writing(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
