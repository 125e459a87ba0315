"""`benchmarks/prepare.py` on small tables."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [["--short"], [], ["--gzip"]],
)
def test_sides_make_the_same_documents(tmp_path, options):
    result = tmp_path / "result.json"
    done = subprocess.run(
        [
            *(sys.executable, BENCHMARKS / "prepare.py", "--gigabytes", "0.005", "--runs", "1"),
            *("--sides", "pandas, in chunks", "--json", result, "--folder", tmp_path, *options),
        ],
        capture_output=True,
        text=True,
    )
    if "not installed" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    made = json.loads(result.read_text())
    assert made["agree"]
    assert list(made["best"]) == ["icdcode", "pandas, in chunks"]
    assert made["runs"]["icdcode"][0]["made"]["documents"] > 0
