"""A process that is killed at any moment loses nothing that it has acknowledged."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from reviewing import TEXT, ReviewNote, fill

from icdcli.review.notes import import_notes, stored_note
from icdcli.review.readings import read_events
from icdcli.review.store import open_store

# Prints the number of each comment once it is stored.
DECIDING = """
import sys
from icdcli.review.decisions import DecisionDraft
from icdcli.review.readings import append_decisions, read_state
from icdcli.review.store import open_store

store = open_store(sys.argv[1])
seen = read_state(store, "n1").number
print("ready", flush=True)
while True:
    drafts = [DecisionDraft("comment", {"text": str(seen + place)}) for place in (1, 2)]
    seen = append_decisions(store, "n1", drafts, author="ana", seen=seen).state.number
    print(seen, flush=True)
"""
IMPORTING = """
import sys
from icdcli.review.notes import ReviewNote, import_notes
from icdcli.review.store import open_store

def report(stage, done, *_):
    if stage == "importing":
        print(done, flush=True)

notes = (ReviewNote(f"new {number}", f"text {number} " * 50) for number in range(6_000))
import_notes(open_store(sys.argv[1]), notes, report)
print("done", flush=True)
"""

TARGETS = pytest.mark.parametrize(
    "target", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)


def start(program: str, target: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", program, target],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def kill(process: subprocess.Popen) -> list[str]:
    """Kill a process and return the lines that it had printed."""
    os.kill(process.pid, signal.SIGKILL)
    lines = process.communicate(timeout=60)[0].splitlines()
    assert process.returncode == -signal.SIGKILL
    return lines


@TARGETS
def test_acknowledged_decisions_survive(target: str) -> None:
    with open_store(target) as store:
        fill(store)
    moments = random.Random(1)
    for _ in range(4):
        process = start(DECIDING, target)
        process.stdout.readline()
        time.sleep(moments.uniform(0.05, 0.4))
        acknowledged = [int(line) for line in kill(process) if line]
        with open_store(target) as store:
            events = read_events(store, "n1")
        numbers = [one.number for one in events]
        assert numbers == list(range(1, len(events) + 1))
        assert [one.details["text"] for one in events] == [str(number) for number in numbers]
        assert len(events) % 2 == 0  # decisions of one call are stored together
        assert len(events) >= max(acknowledged, default=0)
    assert events


@TARGETS
def test_an_import_that_is_killed_is_completed_by_the_same_call(target: str) -> None:
    with open_store(target) as store:
        import_notes(store, [ReviewNote("old", TEXT)])
    process = start(IMPORTING, target)
    reported = [int(process.stdout.readline())]
    time.sleep(0.05)
    reported += [int(line) for line in kill(process)]  # it wasn't done
    with open_store(target) as store:
        assert stored_note(store, "old").text == TEXT
        notes = (ReviewNote(f"new {number}", f"text {number} " * 50) for number in range(6_000))
        done = import_notes(store, notes)
    # Complete blocks from the beginning, all that were reported and perhaps one more.
    assert done.known in (reported[-1], reported[-1] + 500)
    assert done.new + done.known == 6_000
