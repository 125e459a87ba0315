import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from icdcli.config_file import to_yaml
from icdcli.errors import ConfigError
from icdcli.run_dir import read_rows
from icdcli.training.distributed import find_device, launch, must_launch

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("gpus", "device", "message"),
    [
        (0, [0], r"device: \[0\]: this machine has no GPU that PyTorch can use; run with device=cpu"),
        (2, [1, 3], "there is no GPU 3 on this machine; it has 0, 1"),
    ],
)
def test_a_device_that_is_not_there(monkeypatch, gpus, device, message):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(ConfigError, match=message):
        find_device(device)


def test_each_process_takes_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert [find_device([1, 3], local) for local in (0, 1)] == [torch.device("cuda:1"), torch.device("cuda:3")]
    with pytest.raises(ConfigError, match="3 processes were started for 2 GPUs"):
        find_device([1, 3], 2)


def test_without_metal_there_is_no_mps(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="device: mps: .*device=cpu"):
        find_device("mps")


def test_processes_are_started_once(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert must_launch([0, 1]) and not must_launch([0]) and not must_launch("cpu")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not must_launch([0, 1])


def free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


@pytest.mark.slow
def test_what_a_process_ends_with_is_what_the_launch_returns(tmp_path):
    assert launch(["train", str(tmp_path / "none.yaml")], 2, free_port()) == 2


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 3])
def test_several_processes_come_to_the_same_numbers(config, tmp_path, ranks):
    """Two processes on the CPU, as `device: [0,1]` starts them, and three, as torchrun does, against one."""
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config(batch_size=7)))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}", f"--master-port={free_port()}"]
    ours = "import sys; from icdcli.training.distributed import launch; sys.exit(launch(sys.argv[2:], 2, int(sys.argv[1])))"
    several = [sys.executable, "-c", ours, str(free_port())] if ranks == 2 else [*torchrun, "-m", "icdcli"]
    for name, start in (("one", [sys.executable, "-m", "icdcli"]), ("several", several)):
        command = [*start, "train", str(path), f"name={name}"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("run        ") == 1  # rank 0 alone speaks
    alone, together = (read_rows(tmp_path / "runs" / name / "results.csv") for name in ("one", "several"))
    assert len(alone) == len(together) > 1
    for mine, theirs in zip(alone, together, strict=True):
        for column in set(mine) - {"seconds"}:
            assert float(theirs[column]) == pytest.approx(float(mine[column]), rel=1e-4, abs=1e-6)
