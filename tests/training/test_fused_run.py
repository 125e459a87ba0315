"""Runs with fused layers: the same numbers, names and files, sharded or not, resumed without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from icdcli.config.loading import to_yaml
from icdcli.distributed.launcher import free_port
from icdcli.run_dir import read_rows

ROOT = Path(__file__).parents[2]
FUSED = str(Path(__file__).with_name("fused_on_cpu.py"))
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def run(place, *words, processes=1):
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
    words = [*([*launcher, f"--master-port={free_port(29_800)}"] if processes > 1 else []), *words]
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=place,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("bit", [32, 8, 4])
def test_a_fused_run_comes_to_the_same_numbers_and_files(config, model_folders, tmp_path, bit):
    path, runs = tmp_path / "config.yaml", tmp_path / "runs"
    options = {"steps": 24, "batch_size": 6, "lora_activate": True, "lora_dropout": 0.0}
    options |= {
        "pooling_mode": "mean",
        "gradient_checkpointing": True,
        "model": str(model_folders["llama"]),
        "bit": bit,
    }
    path.write_text(to_yaml(config(**options)))
    run(tmp_path, "-m", "icdcli", "train", path, "name=plain")
    said = run(tmp_path, FUSED, "train", path, "name=fused")
    assert "; fused: RMSNorm, activation, rotation\n" in said
    names = ["plain", "fused"]
    if bit == 32:
        run(tmp_path, FUSED, "train", path, "name=sharded", "strategy=fsdp", processes=2)
        names.append("sharded")
    close = {"rtol": 1e-3, "atol": 1e-4} if bit == 32 else {"rtol": 0.05, "atol": 0.02}
    first, *others = ([*read_rows(runs / name / "results.csv")] for name in names)
    for rows in others:
        assert len(rows) == len(first) > 1
        for own, other in zip(rows, first, strict=True):
            for column in set(other) - {"seconds"}:
                assert float(own[column]) == pytest.approx(
                    float(other[column]), rel=close["rtol"], abs=close["atol"]
                )
    saved = [sorted((runs / name / "weights" / "last").rglob("*.safetensors")) for name in names]
    for files in saved[1:]:
        assert [file.name for file in files] == [file.name for file in saved[0]]
        for own, other in zip(files, saved[0], strict=True):
            weights, expected = load_file(own), load_file(other)
            assert weights.keys() == expected.keys()
            for name, weight in expected.items():
                torch.testing.assert_close(weights[name], weight, **close)
    if bit == 32:
        run(tmp_path, "-m", "icdcli", "resume", runs / "fused", "--load", "last", "steps=30")
        assert len(read_rows(runs / "fused" / "results.csv")) > len(first)
