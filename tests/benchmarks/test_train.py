"""The training benchmark, in seconds: all sides run and learn the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_side_runs_and_learns_the_same():
    command = [sys.executable, "benchmarks/train.py", "--lengths", "mimic", "--max-len", "32"]
    sizes = ["--steps", "10", "--documents", "8", "--batch-size", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *sizes], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line[:3] in ("a  ", "b  ", "c  ", "d  ")]
    assert len(rows) == 4
    assert "largest difference on the same documents" in done.stdout
