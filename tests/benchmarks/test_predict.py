"""The prediction benchmark: its arguments and, in seconds, all sides."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("bit", ["32", "16"])
def test_all_sides_give_the_same_scores(tmp_path: Path, bit: str) -> None:
    figures = tmp_path / "predict.json"
    arguments = ["--size", "tiny", "--bit", bit, "--lengths", "codiesp", "--notes", "20"]
    done = subprocess.run(
        [sys.executable, "benchmarks/predict.py", *arguments, "--profile", "--json", str(figures)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text())
    sides = found["sides"]
    assert list(sides) == ["a", "b8", "b16", "s8", "s16"]
    assert 0 < found["largest_difference"] < (1e-4 if bit == "32" else 2e-2)
    assert sides["a"]["padding"] == 0
    assert sides["b8"]["padding"] > sides["s8"]["padding"] > 0
    assert sides["a"]["restarts"] == 0
    assert sum(sides["a"]["profile"]["shares"].values()) == pytest.approx(1)
    assert sides["b8"]["a_times"] == pytest.approx(
        sides["a"]["notes_per_second"] / sides["b8"]["notes_per_second"]
    )


@pytest.mark.parametrize("arguments", [["--only", "a,c"], ["--notes", "0"], ["--size", "9b"]])
def test_unknown_sides_sizes_and_no_notes_are_refused(
    script: Callable[[str], ModuleType], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        script("predict").read_arguments(arguments)
    assert refused.value.code == 2
