"""Folders that are there whole or not at all, made by one process at a time.

A folder is written under another name and renamed when it is whole. Who finds another process at work waits, and then
finds the work done. What a killed process left is cleared away by the next one.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from icdcli.io.files import flush
from icdcli.io.progress import Progress
from icdcli.io.storage import private_folder

_PARTIAL, _LOCK = ".partial", ".lock"


@contextmanager
def alone(home: Path, key: str, on_progress: Progress | None = None) -> Iterator[None]:
    """Do something that no other process does meanwhile; waits for one that does.

    Args:
        home: The folder that it is done in.
        key: What it is called there.
        on_progress: Told that there is something to wait for.
    """
    lock = _lock(home, key)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if on_progress:
            on_progress("waiting for another icdcode that makes the same", 0, 0, "")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def partial_folder(home: Path, key: str) -> Iterator[Path]:
    """An empty private folder to write into, gone afterwards unless `finish` gave it its name.

    Args:
        home: The folder that it is made in.
        key: Whose lock the caller holds, by `alone`.
    """
    _sweep(home)
    partial = home / f".{key}{_PARTIAL}"
    shutil.rmtree(
        partial, ignore_errors=True
    )  # of a process that died: a living one would hold the lock
    private_folder(partial)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def finish(partial: Path, folder: Path) -> None:
    """Give a folder that is whole its name, in place of a damaged one where there is one; it lasts through a power cut."""
    for file in partial.iterdir():
        flush(file)
    flush(partial)
    if folder.exists():
        shutil.rmtree(folder)
    os.rename(partial, folder)
    flush(folder.parent)


def _sweep(home: Path) -> None:
    """Remove what killed processes have left, whatever they were making."""
    for left in home.glob(f".*{_PARTIAL}"):
        lock = _lock(home, left.name.removeprefix(".").removesuffix(_PARTIAL))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue  # its process is at work
        try:
            shutil.rmtree(left, ignore_errors=True)
        finally:
            lock.release()


def _lock(home: Path, key: str) -> FileLock:
    return FileLock(home / f".{key}{_LOCK}", mode=0o600)
