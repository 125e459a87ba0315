"""The measurements of a GPU: commands, limits of time, tables, and all rows in tiny."""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
Script = Callable[[str], ModuleType]


def gpu(*arguments: str, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["bash", "benchmarks/gpu.sh", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def test_a_dry_run_prints_commands_that_their_scripts_accept(
    script: Script, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = gpu(str(out), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert not out.exists()
    commands = [shlex.split(line) for line in done.stdout.splitlines() if line[0] != "#"]
    rows = script("gpu_rows").ROWS
    assert len(commands) == len(rows)
    for (_, path, *arguments), row in zip(commands, rows, strict=True):
        options = script(Path(path).stem).read_arguments(arguments)
        assert options.size == row.size
        assert options.json == out / f"{row.name}.json"
    expected = sum(row.seconds for row in rows)
    assert rows[0].name == "train-8b-16"
    assert sum(row.seconds for row in rows[:5]) < script("gpu_rows").SECONDS < 540  # nine minutes
    assert f"about {expected} s" in done.stdout


@pytest.mark.slow
def test_rows_of_each_kind_run_in_tiny(tmp_path: Path) -> None:
    # The others differ from these by the size of the network, or by an option that these have.
    rows = ("train-8b-16", "train-8b-4", "train-8b-grouped", "train-1b-label-attention")
    rows += ("predict-8b",)
    done = gpu(str(tmp_path), "--tiny", "--only", ",".join(rows), timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    for row in rows:
        sides = json.loads((tmp_path / f"{row}.json").read_text())["sides"]
        assert sides
    tables = (tmp_path / "tables.md").read_text()
    assert "| Trainer, grouped by length, Liger, 16 bit | not measured |" in tables
    assert tables.strip() in done.stdout


@pytest.mark.parametrize("arguments", [["--only", "train-9b"], ["--seconds", "0"], ["--what"]])
def test_unknown_rows_and_options_are_refused(script: Script, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        script("gpu_rows").read_arguments(["out", *arguments])
    assert refused.value.code == 2


@pytest.fixture
def row(script: Script, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], Any]:
    """Return a function that makes a row of a program and of the seconds that it should take."""
    rows = script("gpu_rows")

    def make(program: str, seconds: int) -> Any:
        monkeypatch.setattr(
            rows.Row, "command", lambda *_: [sys.executable, "-c", f"import time\n{program}"]
        )
        return rows.Row("one", "train", "8b", "", seconds)

    return make


@pytest.mark.parametrize(
    ("program", "seconds", "left", "expected"),
    [
        ("pass", 5, 60, r"\d+ s"),
        ("raise SystemExit(3)", 5, 60, r"exit code 3 after \d+ s; see one\.log"),
        ("time.sleep(60)", 1, 60, r"stopped after \d+ s; see one\.log"),
        ("time.sleep(60)", 30, 10, "left out: 10 s are left, and it takes about 30 s"),
    ],
)
def test_a_row_that_fails_or_takes_too_long_is_reported(
    script: Script,
    row: Callable[[str, int], Any],
    tmp_path: Path,
    program: str,
    seconds: int,
    left: float,
    expected: str,
) -> None:
    options = argparse.Namespace(out=tmp_path, tiny=False)
    began = time.monotonic()
    found = script("gpu_rows").run(row(program, seconds), options, began + left)
    assert re.fullmatch(expected, found)
    assert time.monotonic() - began < 30


def speed(tokens: float, **more: Any) -> dict[str, Any]:
    memory = {
        "device": "H100",
        "utilization": 0.5,
        "peak_mb": 45_300,
        "padding": 0.0,
        "restarts": 0,
    }
    return {"tokens_per_second": tokens, **memory, **more}


def write(out: Path, name: str, sides: dict[str, Any]) -> None:
    about = {"options": {"size": name.split("-")[1]}, "machine": {"torch": "2.11"}}
    (out / f"{name}.json").write_text(json.dumps(about | {"sides": sides}))


def test_tables_have_what_was_measured_and_say_what_was_not(script: Script, tmp_path: Path) -> None:
    ours = speed(
        12_000, micro_batch_tokens=6_144, checkpointing=False, profile={"shares": {"idle": 0.1}}
    )
    liger = speed(8_000, accumulate=4, checkpointing=True)
    found = {
        "train-8b-16": {"a": [ours]},
        "train-8b-liger": {"e": [liger]},
        "train-8b-8": {"a": [{"not_measured": "the GPU ran out of memory"}]},
        "predict-8b": {"a": speed(30_000, notes_per_second=15.0), "b8": {"not_measured": ""}},
    }
    for name, sides in found.items():
        write(tmp_path, name, sides)
    lines = script("gpu_tables").tables(tmp_path).splitlines()
    assert (
        "| icdcode, 16 bit | 12,000 | 50.0% | 45.3 | 0% | 6,144 tokens, without checkpointing "
        "| 0 |  |"
    ) in lines
    assert (
        "| Trainer, grouped by length, Liger, 16 bit | 8,000 | 50.0% | 45.3 | 0% | 4 per step, "
        "with checkpointing | 0 | 1.50 x |"
    ) in lines
    assert "| icdcode, 8 bit | not measured |  |  |  |  |  |  |" in lines
    assert lines[0] == "Measured: 8b, H100, torch 2.11."
    assert "| 8B, 16 bit | 10.0% |" in lines
    assert "| 8B, 8 bit | not measured |" in lines
    assert "| icdcode | 15.0 | 30,000 | 50.0% | 45.3 | 0% |  |" in lines
    assert "| pipeline, batches of 8 padded | not measured | not measured |  |  |  |  |" in lines


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (None, "losses of icdcode and the Trainer: not measured."),
        (speed(1, losses=[2.0, 0.99], first_weights="x"), "on the same documents: 1.0e-02."),
        (speed(1, losses=[2.0, 1.0], first_weights="y"), "did not start from the same weights."),
    ],
)
def test_the_losses_of_the_same_documents_are_compared(
    script: Script, tmp_path: Path, theirs: dict[str, Any] | None, expected: str
) -> None:
    ours = speed(2, losses=[2.0, 1.0], first_weights="x", micro_batch_tokens=1, checkpointing=False)
    write(tmp_path, "train-8b-16", {"a": [ours]})
    if theirs:
        row = theirs | {"accumulate": 1, "checkpointing": False}
        write(tmp_path, "train-8b-padded", {"b": [row]})
    assert expected in script("gpu_tables").tables(tmp_path)
