"""The report of `icdcode train --dry-run`, which leaves nothing behind but what it names."""

import json
import os
import subprocess
import sys

import pytest

# Ends with the peak memory of the process.
MEASURED = """\
import sys
from icdcli.cli import main
from icdcli.distributed.hardware import peak_memory
try:
    main()
finally:
    print(peak_memory(), file=sys.stderr)
"""


def test_memory_and_time_are_reported(icdcode, place, trained, files):
    before = files(place.project)
    answer = icdcode("train", place.config, "--dry-run", "--json")
    assert answer.code == 0, answer
    reported = answer.json
    estimate = reported["memory"]["estimate"]
    assert reported["dry_run"] is True
    assert reported["steps"].startswith("12, ")
    assert estimate["device"] == "cpu"
    assert estimate["total"] == sum(estimate["parts"].values()) <= reported["memory"]["free"]
    assert {"weights", "head", "optimiser", "libraries"} <= set(estimate["parts"])
    assert reported["seconds"] > 0
    assert files(place.project) == before


def test_what_was_written_is_named_once(icdcode, place, tmp_path, files):
    words = ["train", place.config, f"cache_dir={tmp_path / 'cache'}", "--dry-run"]
    before = files(place.project)
    first = icdcode(*words)
    assert first.code == 0, first
    assert files(place.project) == before
    folders = {path for path in (tmp_path / "cache").glob("**/*") if path.is_dir()}
    assert len(folders) == 2  # the corpus and its tokens
    start = first.out.index("Dry run: nothing was trained. Written")
    assert set(first.out[start:].splitlines()[1:]) == {f"  {folder}" for folder in folders}
    again = icdcode(*words, "--json")
    assert again.json["written"] == []
    assert "Dry run: nothing was trained or written." in again.err


def test_a_person_sees_them_as_a_table_of_80_columns(icdcode, place, trained, monkeypatch):
    from rich.console import Console

    monkeypatch.setattr(
        "icdcli.report.console.Console", lambda **options: Console(**{**options, "width": 80})
    )
    lines = icdcode("train", place.config, "--dry-run").out.splitlines()
    assert "passes     no layer is recomputed; micro-batches of up to 16,384 tokens" in lines
    assert "recomputation: no layer is recomputed" in lines
    [start] = [number for number, line in enumerate(lines) if line.startswith("memory")]
    assert any(line.startswith("total, on cpu") for line in lines[start:])
    assert any(line.startswith("time: about ") for line in lines[start:])
    assert lines[-1] == "Dry run: nothing was trained or written."
    assert max(map(len, lines[start:])) <= 80


def test_a_run_that_does_not_fit_is_not_tried(icdcode, place, monkeypatch):
    def no_steps(*_, **__):
        raise AssertionError("a step was taken")

    monkeypatch.setattr("icdcli.profiling.run_estimate.time_by_running", no_steps)
    monkeypatch.setattr("icdcli.profiling.run_estimate.room", lambda device: 1000)
    reported = icdcode("train", place.config, "--dry-run", "--json").json
    assert reported["memory"]["free"] == 1000
    assert reported["seconds"] > 0


@pytest.mark.slow
def test_the_estimate_is_within_15_percent_of_the_memory_used(place):
    words = [
        str(place.config),
        "max_len=512",
        "batch_size=48",
        "steps=8",
        "name=measured",
        "--json",
    ]

    def run(*command):
        call = [sys.executable, "-c", MEASURED, *command]
        done = subprocess.run(
            call, capture_output=True, text=True, check=True, timeout=600, env=os.environ
        )
        return json.loads(done.stdout), int(done.stderr.splitlines()[-1])

    _, most = run("train", *words)
    dry, _ = run("train", *words, "--dry-run")
    doctor, _ = run("doctor", *words)
    for reported in (dry["memory"], doctor["config"]["memory"]):
        assert reported["estimate"]["total"] == pytest.approx(most, rel=0.15)
