"""Files of an object store, or of another file system of fsspec, copied to this machine."""

import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from icdcli.errors import DataError
from icdcli.io.progress import Progress
from icdcli.io.remote.paths import any_path, remote

_PIECE = 8 << 20


def copy_remote_files(url: str, folder: Path, on_progress: Progress | None = None) -> None:
    """Copy a file, or the files in and below a folder except hidden ones, to a local folder.

    Args:
        url: The file or folder.
        folder: The folder to copy to.
        on_progress: Called with the bytes that are copied.

    Raises:
        DataError: If it can't be read, has no files, or changes meanwhile; or if the disk is too
            small.
        ConfigError: If a package for the URL is missing, or it has a password in it.
        OSError: If a file can't be written.
    """
    try:
        source = any_path(url)
        files = dict(_files(source))
        sizes = {file: file.stat().st_size for file in files.values()}
    except OSError as error:
        raise DataError(f"{url}: can't be read ({error.strerror}).") from None
    if not files:
        raise DataError(f"{url}: has no files.")
    total, free = sum(sizes.values()), shutil.disk_usage(folder).free
    if total > free:
        raise DataError(
            f"{url}: has {total / 1e9:,.1f} GB, but only {free / 1e9:,.1f} GB are free here. Free "
            "some space, or choose another folder."
        )
    done = 0
    for name, file in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as copy:
            for piece in _pieces(file):
                copy.write(piece)
                done += len(piece)
                if on_progress:
                    on_progress("copying", done, total, "bytes", target.name)


def _files(source: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    """Yield the files of a folder with their paths in it, or the file itself with its name."""
    if not source.is_dir():
        source.stat()  # reports what doesn't exist
        yield PurePosixPath(source.name), source
        return
    for path in source.rglob("*"):
        name = PurePosixPath(path.relative_to(source))
        if not any(part.startswith(".") for part in name.parts):  # nor above it, by ".."
            yield name, path


def _pieces(file: Path) -> Iterator[bytes]:
    """Yield the content of a file.

    Raises:
        DataError: If it can't be read, or is replaced meanwhile.
    """
    try:
        before = remote(file).version()
        with file.open("rb") as stream:
            while piece := stream.read(_PIECE):
                yield piece
        remote(file).forget()
        after = remote(file).version()
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror}).") from None
    if before != after:
        raise DataError(f"{file}: was replaced while it was copied. Run the command again.")
