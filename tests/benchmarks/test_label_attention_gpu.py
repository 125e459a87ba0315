"""The benchmark of label attention on GPUs, with small sizes on a CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_all_ways_are_measured_and_split_products_are_the_most_exact(tmp_path):
    out = tmp_path / "measured.json"
    script = ROOT / "benchmarks" / "label_attention_gpu.py"
    subprocess.run(
        [sys.executable, script, "--tiny", "--json", out],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
    )
    rows = json.loads(out.read_text(encoding="utf-8"))
    assert [row["way"] for row in rows] == 2 * ["float32", "split", "bfloat16", "float16"]
    for classes in (False, True):
        exact, split, *half = (row["logits"] for row in rows if row["classes"] is classes)
        assert exact == 0 < split < 1e-4 < min(half)
