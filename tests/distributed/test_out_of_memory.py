"""One of two processes runs out of memory in a validation."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from icdcli.config.loading import to_yaml
from icdcli.distributed.launcher import free_port
from icdcli.io.manifest import verify
from icdcli.run_dir import read_rows

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
PLENTY = 10_000


def train(place, config, tokens):
    """Train with two processes; return the result and the run."""
    path = place / f"{config.run.name}.yaml"
    path.write_text(to_yaml(config))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    script = Path(__file__).with_name("short_of_memory.py")
    done = subprocess.run(
        [*command, f"--master-port={free_port(0)}", script, str(tokens), "train", path],
        cwd=place, env=ENVIRONMENT, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    return done, config.run.project / config.run.name


@pytest.mark.slow
def test_a_process_that_runs_out_of_memory_divides_its_own_batches(config, tmp_path):
    results = []
    for tokens in (PLENTY, 20):
        done, run = train(tmp_path, config(name=f"{tokens}", micro_batch_tokens=40), tokens)
        assert done.returncode == 0, done.stderr
        results.append(
            [
                {key: float(row[key]) for key in row if key != "seconds"}
                for row in read_rows(run / "results.csv")
            ]
        )
    assert len(results[0]) == 2
    assert results[0] == [pytest.approx(row, rel=1e-5) for row in results[1]]


@pytest.mark.slow
def test_with_sharded_weights_all_processes_end_with_the_remedy_and_lose_nothing(config, tmp_path):
    options = {"name": "sharded", "strategy": "fsdp", "micro_batch_tokens": 40}
    done, run = train(tmp_path, config(**options), 20)
    assert done.returncode != 0
    text = " ".join(done.stderr.split())
    assert text.count("error: micro_batch_tokens: 40: cpu ran out of memory, and with") == 1
    assert "repeat a forward pass alone. Resume with micro_batch_tokens=20" in text
    assert "/icdcli/" not in done.stderr  # no traceback through our code
    assert verify(run / "weights" / "last")["step"] == 13
    assert not (run / "results.csv").exists()
