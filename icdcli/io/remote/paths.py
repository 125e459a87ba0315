"""A file or folder by its URL, with the methods of `pathlib.Path` that readers use.

An object store has no folders: one exists if a file's name begins with it. Files are read piece by
piece, so that they may be larger than the memory and the disk; they are written as a whole by
`icdcli.io.files.replacing`.
"""

import errno
import io
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from icdcli.errors import DataError
from icdcli.io.remote.systems import file_system, storage_errors

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_HERE = ("file", "local")
_PIECE = 8 << 20  # bytes that one request reads
_BUFFER = 1 << 20
_VERSIONS = ("ETag", "etag", "md5Hash", "generation", "LastModified", "mtime", "updated", "created")
"""What file systems report about the content of a file, the most certain first."""


def any_path(name: str | Path) -> Path:
    """Return the path of a file or folder of this machine or, by its URL, of another.

    Args:
        name: A path, or a URL such as ``s3://bucket/notes.parquet``.

    Raises:
        ConfigError: If a package for the URL is missing, or it has a password in it.
        OSError: If the file system can't be reached.
    """
    if not isinstance(name, str) or (found := _URL.match(name)) is None:
        return Path(name)
    if found[1].lower() in _HERE:
        return Path(name[found.end() :])
    path = RemotePath(found[1].lower(), PurePosixPath(name[found.end() :]))
    path.forget()
    return cast(Path, path)  # as far as our readers use it


def path_to_read(name: str) -> Path:
    """Return the path of a file or folder, as `any_path`; of a URL, after a check that it is there.

    Args:
        name: A path or a URL.

    Raises:
        DataError: If it isn't, or can't be reached.
    """
    if not is_url(name):
        return Path(name)
    try:
        path = any_path(name)
        path.stat()
    except OSError as error:
        raise DataError(f"{name}: can't be read ({error.strerror}).") from None
    return path


def is_url(name: str) -> bool:
    """Return whether a name is the URL of a file or folder, as `any_path` accepts it."""
    return _URL.match(name) is not None


def is_remote(path: Path) -> bool:
    """Return whether a path is of another machine."""
    return isinstance(path, RemotePath)


def remote(path: Path) -> "RemotePath":
    """Return a path of another machine as what it is."""
    return cast(RemotePath, path)


@dataclass(frozen=True, order=True)
class RemotePath:
    """A file or folder of another machine.

    Attributes:
        scheme: The file system, such as ``s3``.
        inside: The path in it; of an object store, the bucket and the key.
    """

    scheme: str
    inside: PurePosixPath

    def __str__(self) -> str:
        """Return the URL."""
        return f"{self.scheme}://{self.inside}"

    def __truediv__(self, name: str) -> "RemotePath":
        return self._at(self.inside / name)

    @property
    def name(self) -> str:
        """Return the last part."""
        return self.inside.name

    @property
    def suffix(self) -> str:
        """Return the ending of the name."""
        return self.inside.suffix

    @property
    def suffixes(self) -> list[str]:
        """Return all endings of the name."""
        return self.inside.suffixes

    @property
    def parent(self) -> "RemotePath":
        """Return the folder."""
        return self._at(self.inside.parent)

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the parts."""
        return self.inside.parts

    def as_posix(self) -> str:
        """Return the URL."""
        return str(self)

    def with_name(self, name: str) -> "RemotePath":
        """Return the path with another last part."""
        return self._at(self.inside.with_name(name))

    def relative_to(self, folder: "RemotePath") -> PurePosixPath:
        """Return the path from a folder."""
        return self.inside.relative_to(folder.inside)

    def resolve(self) -> "RemotePath":
        """Return the path itself, since it is complete."""
        return self

    def open(self, mode: str = "rb", buffering: int = -1) -> IO[bytes]:
        """Open the file for reading; without a buffer if `buffering` is 0.

        Raises:
            OSError: If it can't be read.
        """
        if mode != "rb":
            raise io.UnsupportedOperation(mode)
        system, name = self.system
        with storage_errors():
            file = _File(system.open(name, "rb", block_size=_PIECE))
        return cast(IO[bytes], io.BufferedReader(file, _BUFFER) if buffering else file)

    def read_text(self, encoding: str) -> str:
        """Return the content of a text file, in its present version.

        Raises:
            OSError: If it can't be read.
        """
        system, name = self.system
        with storage_errors():
            return cast(bytes, system.cat_file(name)).decode(encoding)

    def stat(self) -> os.stat_result:
        """Return the size and the kind of file; all else is 0.

        Raises:
            OSError: If it doesn't exist or can't be reached.
        """
        about = self._about()
        kind = stat.S_IFDIR if about["type"] == "directory" else stat.S_IFREG
        return os.stat_result((kind, 0, 0, 0, 0, 0, about.get("size") or 0, 0, 0, 0))

    def version(self) -> str:
        """Return a string that is another one if the file's content is, without reading it.

        Raises:
            OSError: If it doesn't exist or can't be reached.
        """
        about = self._about()
        return next((str(about[name]) for name in _VERSIONS if about.get(name)), "")

    def exists(self) -> bool:
        """Return whether there is such a file or folder now.

        Raises:
            OSError: If the file system can't be reached.
        """
        self.forget()
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Return whether it is a folder.

        Raises:
            OSError: If the file system can't be reached.
        """
        try:
            return stat.S_ISDIR(self.stat().st_mode)
        except FileNotFoundError:
            return False

    def is_symlink(self) -> bool:
        """Return False."""
        return False

    def iterdir(self) -> "Iterator[RemotePath]":
        """Yield the files and folders in a folder.

        Raises:
            OSError: If it can't be read.
        """
        system, name = self.system
        with storage_errors():
            found = system.ls(name, detail=False, refresh=True)
        # An empty object that stands for the folder, as web consoles make it, has its name.
        inside = {str(one).strip("/") for one in found} - {name.strip("/")}
        yield from (self / one for one in sorted({PurePosixPath(one).name for one in inside}))

    def glob(self, pattern: str) -> "Iterator[RemotePath]":
        """Yield the files and folders in a folder whose names fit a pattern.

        Raises:
            OSError: If it can't be read.
        """
        with suppress(FileNotFoundError):
            yield from (path for path in self.iterdir() if fnmatchcase(path.name, pattern))

    def rglob(self, pattern: str) -> "Iterator[RemotePath]":
        """Yield the files in and below a folder whose names fit a pattern.

        Raises:
            OSError: If a folder can't be read.
        """
        for path in self.iterdir():
            if path.is_dir():
                yield from path.rglob(pattern)
            elif fnmatchcase(path.name, pattern):
                yield path

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file.

        Raises:
            OSError: If it can't be removed.
        """
        system, name = self.system
        try:
            with storage_errors():
                system.rm_file(name)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rmdir(self) -> None:
        """Remove an empty folder, where there are folders.

        Raises:
            OSError: If it isn't empty, or can't be removed.
        """
        system, name = self.system
        with storage_errors():
            if not system.isdir(name) or has_no_folders(self.scheme):
                return
            if system.ls(name, detail=False, refresh=True):
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
            system.rmdir(name)

    def forget(self) -> None:
        """Ask the file system again for what it listed before."""
        self.system[0].invalidate_cache()

    @property
    def system(self) -> tuple[Any, str]:
        """Return the file system, and the name in it."""
        return file_system(str(self))

    def _about(self) -> dict[str, Any]:
        system, name = self.system
        with storage_errors():
            return cast(dict[str, Any], system.info(name))

    def _at(self, inside: PurePosixPath) -> "RemotePath":
        return RemotePath(self.scheme, inside)


def has_no_folders(scheme: str) -> bool:
    """Return whether a file system is an object store, where a complete upload makes a file."""
    return scheme in ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci")


def remove_files(paths: Iterable[Path]) -> None:
    """Remove files of one folder, of an object store many with one request.

    Raises:
        OSError: If one can't be removed.
    """
    files = list(paths)
    if not files or not is_remote(files[0]):
        for file in files:
            file.unlink()
        return
    system = remote(files[0]).system[0]
    with storage_errors():
        system.rm([remote(file).system[1] for file in files])


class _File(io.RawIOBase):
    """An open file whose errors are those of local files."""

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with storage_errors():
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
