"""Folders that are published complete, each made by one process at a time.

A folder is written under another name and renamed when it is complete. A second process that needs
the same folder waits and then finds it. The next process removes the remains of a killed one.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from icdcli.errors import ConfigError, DataError
from icdcli.io.files import flush, make_private, private_folder
from icdcli.io.locks import HeldElsewhere, exclusive
from icdcli.io.progress import Progress

_PARTIAL, _LOCK = ".partial", ".lock"
_NEW, _NEW_LOCK = ".icdcode-partial", ".icdcode-lock"
"""In folders that users choose, where others may have hidden files of the usual names."""


@contextmanager
def locked(home: Path, key: str, on_progress: Progress | None = None) -> Iterator[None]:
    """Hold a lock, so that one process at a time does the work; wait for the process that holds it.

    Args:
        home: The folder of the work.
        key: Names the work within the folder.
        on_progress: Called once if another process holds the lock.
    """

    def on_wait() -> None:
        if on_progress:
            on_progress("waiting for another icdcode process that prepares the same data", 0, 0, "")

    with exclusive(_lock(home, key), on_wait):
        yield


@contextmanager
def partial_folder(home: Path, key: str) -> Iterator[Path]:
    """Yield an empty private folder, which is deleted at the end unless it was published.

    Args:
        home: The folder to make it in.
        key: The key whose lock the caller holds; see `locked`.
    """
    _sweep(home)
    partial = home / f".{key}{_PARTIAL}"
    # Left by a killed process: a living one would hold the lock.
    shutil.rmtree(partial, ignore_errors=True)
    private_folder(partial)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def publish_folder(partial: Path, folder: Path) -> None:
    """Publish a complete folder under its name, which a power cut can't undo."""
    for file in partial.iterdir():
        flush(file)
    flush(partial)
    if folder.exists():
        shutil.rmtree(folder)
    os.rename(partial, folder)
    flush(folder.parent)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty private folder that becomes `folder` if the block succeeds.

    If the process is killed, its remains are hidden, and removed by the next call for `folder`.

    Args:
        folder: The folder to make; it must not exist.

    Raises:
        ConfigError: If it exists or can't be made.
        DataError: If a file can't be written.
    """
    _require_new(folder)
    home = folder.absolute().parent
    if not home.is_dir():
        raise ConfigError(f"{folder}: there is no folder {folder.parent}. Make it first.")
    partial = home / f".{folder.name}{_NEW}"
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(home / f".{folder.name}{_NEW_LOCK}"))
            shutil.rmtree(partial, ignore_errors=True)  # of a killed process
            private_folder(partial)
        except HeldElsewhere as error:
            raise ConfigError(f"{folder}: {error} is writing it. Choose another name.") from None
        except OSError as error:
            raise ConfigError(
                f"{folder}: can't be made ({error.strerror}). Choose another folder."
            ) from None
        stack.callback(shutil.rmtree, partial, ignore_errors=True)
        _require_new(folder)  # since another process may just have made it
        try:
            yield partial
            make_private(partial)
            for path in (*partial.rglob("*"), partial):
                flush(path)
            os.rename(partial, folder)
            flush(home)
        except OSError as error:
            raise DataError(
                f"{folder}: can't be written ({error.strerror or error}). Nothing was left behind; "
                "free some space, or choose another folder."
            ) from error


def _require_new(folder: Path) -> None:
    if folder.exists() or folder.is_symlink():
        raise ConfigError(f"{folder}: exists already. Choose another name, or remove it first.")


@contextmanager
def staging_folder(folder: Path, prefix: str) -> Iterator[Path]:
    """Yield an empty folder within `folder`, which is deleted at the end; see `publish_files`.

    Raises:
        OSError: If it can't be made.
    """
    staged = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
    try:
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def publish_files(staged: Path, folder: Path, replaced: Iterable[str] = ()) -> None:
    """Move every file of a staging folder into `folder`.

    Args:
        staged: The staging folder.
        folder: The folder to move them to.
        replaced: Names of earlier files that the new ones replace, whatever their own names.
    """
    for name in replaced:
        if not (staged / name).exists():
            (folder / name).unlink()
    for path in sorted(staged.iterdir()):
        os.replace(path, folder / path.name)


def is_writable(folder: Path) -> bool:
    """Return whether files can be made in a folder; it is made if it doesn't exist."""
    try:
        private_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _sweep(home: Path) -> None:
    """Remove the partial folders of killed processes, whatever they were making."""
    for left in home.glob(f".*{_PARTIAL}"):
        key = left.name.removeprefix(".").removesuffix(_PARTIAL)
        # Its process may still be working.
        with suppress(HeldElsewhere), exclusive(_lock(home, key)):
            shutil.rmtree(left, ignore_errors=True)


def _lock(home: Path, key: str) -> Path:
    return home / f".{key}{_LOCK}"
