"""Locks between processes: one holder at a time, also when lock files come and go."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from icdcli.io import locks
from icdcli.io.locks import HeldElsewhere, exclusive

HOLD = (
    "import sys, time; from pathlib import Path; from icdcli.io.locks import exclusive\n"
    "with exclusive(Path(sys.argv[1])):\n"
    "    print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "work.lock")],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_message_names_the_process_that_holds_the_lock(holder, tmp_path):
    for _ in range(2):  # trying to lock it does not erase the name
        with pytest.raises(HeldElsewhere) as raised, exclusive(tmp_path / "work.lock"):
            pass
        started = f"process {holder.pid} on host {socket.gethostname()} since 20"
        assert str(raised.value).startswith(started)
        assert raised.value.pid == holder.pid


def test_a_killed_process_releases_its_lock(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "work.lock").exists()
    with exclusive(tmp_path / "work.lock") as locked:
        assert locked
    assert list(tmp_path.iterdir()) == []


def test_a_lock_whose_file_was_deleted_is_free_and_leaves_the_next_one_alone(tmp_path):
    path = tmp_path / "lock"
    with ExitStack() as stack:
        stack.enter_context(exclusive(path))
        path.unlink()  # by a user who knows that the holder's host is gone
        with exclusive(path):
            stack.close()
            with pytest.raises(HeldElsewhere), exclusive(path):
                pass


def test_waiting_is_reported_once_and_ends_with_the_lock(tmp_path):
    waits, done = [], []

    def wait():
        with exclusive(tmp_path / "lock", lambda: waits.append(1)):
            done.append(1)

    with exclusive(tmp_path / "lock"):
        thread = threading.Thread(target=wait)
        thread.start()
        while not waits:
            time.sleep(0.001)
        assert not done
    thread.join()
    assert (waits, done) == ([1], [1])


def test_one_holder_at_a_time_although_each_removes_the_file(tmp_path):
    inside, together, rounds = [], [], 0

    def work(number):
        nonlocal rounds
        for _ in range(60):
            with exclusive(tmp_path / "parts" / "lock", lambda: None):
                inside.append(number)
                time.sleep(0.0002)
                together.append(len(inside))
                inside.remove(number)
                rounds += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (rounds, max(together)) == (360, 1)


def test_without_locks_of_the_file_system_the_work_is_done_anyway(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with exclusive(tmp_path / "lock") as locked:
        assert not locked
