"""Locks between processes: one process at a time writes a run, an output or a corpus.

A lock is a file that its holder locks and writes its name into. The system releases the lock of a
killed process; the file that such a process leaves behind means nothing. The holder removes the
file before it releases the lock. A process that was waiting for this file then holds a lock that
nobody else sees; it notices that the file is gone, and tries again.
"""

import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from icdcli.io.files import private_folder, replacing
from icdcli.io.remote.paths import is_remote

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_WITHOUT_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}
"""Some network file systems have no locks, or have them only if mounted with an option."""
_FAR = 1 << 30
"""The byte that is locked on Windows, after all text, so that others can read the holder's name."""


class HeldElsewhere(Exception):  # noqa: N818  (a state, not an error)
    """Another process holds the lock.

    Its text names the process: ``process 12 on host gpu1 since 2026-01-31 09:30``.

    Attributes:
        pid: The id of the process, if it runs on this host; else None.
    """

    def __init__(self, holder: str, pid: int | None) -> None:
        super().__init__(holder)
        self.pid = pid


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None] | None = None) -> Iterator[bool]:
    """Hold a lock during the block.

    Args:
        path: The file of the lock; its folder is made if it is missing.
        on_wait: If another process holds the lock, it is called once, and this process waits; None:
            an error.

    Yields:
        True; False if the file system has no locks, so that nothing is locked. The file is made all
        the same if the path is of another machine, so that it is known that files can be written.

    Raises:
        HeldElsewhere: If another process holds the lock, and `on_wait` is None.
        OSError: If the file can't be written.
    """
    if is_remote(path):
        with replacing(path) as file:
            file.write_text(_own_name(), encoding="utf-8")
        try:
            yield False
        finally:
            with suppress(OSError):
                path.unlink()
        return
    handle = _acquire(path, on_wait)
    if handle is None:
        yield False
        return
    try:
        yield True
    finally:
        own = _is_at(handle, path)  # not if somebody has removed the file
        if sys.platform == "win32":  # an open file can't be removed, but a locked one can't either
            os.close(handle)
        with suppress(OSError):
            if own:
                path.unlink()
        if sys.platform != "win32":
            os.close(handle)


def _acquire(path: Path, on_wait: Callable[[], None] | None) -> int | None:
    """Return the handle of the locked file; None if the file system has no locks."""
    while True:
        private_folder(path.parent)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # the holder has just removed the folder, too
            continue
        try:
            if not _lock(handle):
                if on_wait is None:
                    raise HeldElsewhere(*_holder(path))
                on_wait()
                on_wait = _do_nothing
                while not _lock(handle, wait=True):
                    pass
            if _is_at(handle, path):
                os.ftruncate(handle, 0)
                os.write(handle, _own_name().encode())
                return handle
            os.close(handle)
        except OSError as error:
            os.close(handle)
            if error.errno in _WITHOUT_LOCKS:
                return None
            raise
        except BaseException:
            os.close(handle)
            raise


def _lock(handle: int, wait: bool = False) -> bool:
    """Lock an open file; return False if another process has locked it."""
    try:
        if sys.platform == "win32":
            os.lseek(handle, _FAR, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Return whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _own_name() -> str:
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    return f"{os.getpid()}\n{socket.gethostname()}\n{now}\n"


def _holder(path: Path) -> tuple[str, int | None]:
    """Return the process that holds a lock, in words, and its id if it runs on this host."""
    try:
        pid, host, since = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):  # it is just starting or ending
        return "another process", None
    here = int(pid) if pid.isdecimal() and host == socket.gethostname() else None
    return f"process {pid} on host {host} since {since}", here


def _do_nothing() -> None:
    pass
