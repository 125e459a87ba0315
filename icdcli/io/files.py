"""Files that are published complete: written under another name, flushed if needed, renamed.

A reader sees the file before or the file after, never half of one, whenever the process ends. The
same for folders is in `icdcli.io.folders`.
"""

import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from icdcli.errors import ConfigError, DataError
from icdcli.io.remote.paths import is_remote, remote
from icdcli.io.remote.uploads import uploading

_PRIVATE, _PUBLIC = 0o600, 0o666  # the user's umask narrows the second


def read_own_file(path: Path, name: str) -> str:
    """Return the content of a text file that a user wrote, without a byte order mark.

    Args:
        path: The file.
        name: What messages call it.

    Raises:
        ConfigError: If it can't be read.
        DataError: If it isn't UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} isn't UTF-8. Save it as UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"cannot read {name} {path}: {error.strerror}.") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Report in one message that a file can't be written, e.g. if the disk is full.

    Raises:
        DataError: If the block raises an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path}: can't be written ({error.strerror or error}). Everything written before is "
            "complete. Free space or correct the folder's permissions, then try again."
        ) from error


@contextmanager
def replacing(
    path: Path, *, private: bool = True, durable: bool = False, folder: Path | None = None
) -> Iterator[Path]:
    """Yield a temporary file that replaces `path` if the block succeeds and is deleted if it fails.

    A file of another machine is written to one of this machine, and uploaded.

    Args:
        path: The file to publish.
        private: Only the user can read the file (0600); else the umask decides.
        durable: Flush the content to the disk before the file gets its name.
        folder: The folder of the temporary file, on the same file system; None: the folder of
            `path`.

    Raises:
        OSError: If the file can't be written.
    """
    if is_remote(path):
        with uploading(remote(path)) as temporary:
            yield temporary
        return
    temporary = (folder or path.parent) / f".{path.name}.{os.urandom(4).hex()}.tmp"
    mode = _PRIVATE if private else _PUBLIC
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    try:
        yield temporary
        if durable:
            flush(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file that others may read, flushed to the disk.

    Raises:
        DataError: If it can't be written.
    """
    data = content.encode() if isinstance(content, str) else content
    with writing(path), replacing(path, private=False, durable=True) as temporary:
        temporary.write_bytes(data)


def json_values(value: Any) -> Any:
    """Convert a value to JSON types; NaN and infinity, which JSON lacks, become null."""
    if isinstance(value, Mapping):
        return {str(key): json_values(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_values(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, without importing NumPy
        return json_values(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def json_numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    """Return numbers that were read from JSON: NaN for null, as `json_values` had written it."""
    return {name: math.nan if value is None else value for name, value in values.items()}


def write_json(path: Path, content: object) -> None:
    """Write a private JSON file.

    Args:
        path: The file.
        content: Its content, converted by `json_values`.

    Raises:
        OSError: If it can't be written.
    """
    text = json.dumps(json_values(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def flush(path: Path) -> None:
    """Wait until a file, or the list of a folder's files, is on the disk of this machine."""
    if is_remote(path):  # where it was when its upload ended
        return
    if not path.is_dir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        return
    # Not every system can flush a folder; without it, a power cut may undo the rename.
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def make_private(folder: Path) -> None:
    """Let only the user read a folder and everything in it, whatever wrote it (0700 and 0600)."""
    # Some file systems, mostly those of Windows, don't store permissions.
    with suppress(OSError):
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o700 if path.is_dir() else _PRIVATE)


def private_folder(folder: Path) -> None:
    """Make a folder of this machine that only the user can enter (0700), and its parents.

    Raises:
        OSError: If it can't be made.
    """
    if is_remote(folder):  # where permissions are those of the bucket
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def is_pipe(path: Path) -> bool:
    """Return whether a path is a pipe or a device, which can be read only once."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
