import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.distributed import run

from icdcli.config.loading import to_yaml
from icdcli.distributed.devices import find_device
from icdcli.distributed.launcher import (
    first_host,
    free_port,
    launch,
    must_launch,
    read_slurm_environment,
)
from icdcli.errors import ConfigError
from icdcli.run_dir import read_rows

ROOT = Path(__file__).parents[2]
PORT = 29_500


@pytest.mark.parametrize(
    ("gpus", "device", "message"),
    [
        (
            0,
            [0],
            r"device: \[0\]: this machine has no GPU that PyTorch can use. Run with device=cpu",
        ),
        (2, [1, 3], "there is no GPU 3 on this machine. It has 0, 1"),
    ],
)
def test_a_device_that_is_not_there(monkeypatch, gpus, device, message):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(ConfigError, match=message):
        find_device(device)


def test_each_process_takes_its_own_gpu(monkeypatch):
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "")  # keeps the allocator's settings as they are
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert [find_device([1, 3], local) for local in (0, 1)] == [
        torch.device("cuda:1"),
        torch.device("cuda:3"),
    ]
    with pytest.raises(ConfigError, match="3 processes were started for 2 GPUs"):
        find_device([1, 3], 2)


def test_without_metal_there_is_no_mps(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"device: mps: .*device=cpu"):
        find_device("mps")


def test_processes_are_started_once(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert must_launch([0, 1])
    assert not must_launch([0])
    assert not must_launch("cpu")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not must_launch([0, 1])


def test_a_taken_port_is_replaced_by_a_free_one():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = taken.getsockname()[1]
        assert free_port(wanted) not in (0, wanted)
    assert free_port(wanted) == wanted


@pytest.mark.parametrize(
    ("nodes", "host"),
    [
        ("gpu003", "gpu003"),
        ("gpu[003-005,9],big1", "gpu003"),
        ("big1,gpu[1-2]", "big1"),
        ("n[7,9]-ib", "n7-ib"),
    ],
)
def test_the_first_host_of_a_slurm_list(nodes, host):
    assert first_host(nodes) == host


def test_the_tasks_of_srun_are_a_process_group_and_a_batch_script_is_not():
    task = {
        "SLURM_PROCID": "3",
        "SLURM_LOCALID": "1",
        "SLURM_STEP_NODELIST": "gpu[1-2]",
        "SLURM_JOB_ID": "41234567",
    }
    environment = {**task, "SLURM_STEP_NUM_TASKS": "4"}
    read_slurm_environment(environment)
    process_group = {
        name: environment[name]
        for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    }
    assert process_group == {
        "RANK": "3",
        "WORLD_SIZE": "4",
        "LOCAL_RANK": "1",
        "MASTER_ADDR": "gpu1",
        "MASTER_PORT": "34567",
    }
    for other in ({**task, "SLURM_NTASKS": "4"}, {**task, "SLURM_STEP_NUM_TASKS": "1"}):
        before = dict(other)
        read_slurm_environment(other)
        assert other == before
    started = {**task, "SLURM_STEP_NUM_TASKS": "4", "WORLD_SIZE": "2"}
    read_slurm_environment(started)
    assert "RANK" not in started  # torchrun under srun has set the variables already


def test_signals_that_end_a_launcher_end_its_processes_too_unless_ignored(monkeypatch):
    names = []
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TORCH")}
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(
        run, "main", lambda _: names.append(environment["TORCHELASTIC_SIGNALS_TO_HANDLE"])
    )
    # The first four are those that torch passes on if nothing else is set.
    passed_on = {"SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1"}
    numbers = [signal.Signals[name] for name in passed_on]
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    try:
        assert launch(["train"], 2, PORT) == 0
        assert {*names[0].split(",")} == passed_on
        del environment["TORCHELASTIC_SIGNALS_TO_HANDLE"]
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        assert launch(["train"], 2, PORT) == 0
        assert {*names[1].split(",")} == passed_on - {"SIGHUP"}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.slow
def test_what_a_process_ends_with_is_what_the_launch_returns(tmp_path):
    assert launch(["train", str(tmp_path / "none.yaml")], 2, free_port(PORT)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 3])
def test_several_processes_come_to_the_same_numbers(config, tmp_path, ranks):
    """Two processes as `device: [0,1]` starts them, and three by torchrun, against one."""
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config(batch_size=7)))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        f"--nproc-per-node={ranks}",
        f"--master-port={free_port(PORT)}",
    ]
    ours = (
        "import sys; from icdcli.distributed.launcher import launch; "
        "sys.exit(launch(sys.argv[2:], 2, int(sys.argv[1])))"
    )
    several = (
        [sys.executable, "-c", ours, str(free_port(PORT))]
        if ranks == 2
        else [*torchrun, "-m", "icdcli"]
    )
    for name, start in (("one", [sys.executable, "-m", "icdcli"]), ("several", several)):
        command = [*start, "train", str(path), f"name={name}"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("run        ") == 1  # rank 0 alone speaks
    alone, together = (
        read_rows(tmp_path / "runs" / name / "results.csv") for name in ("one", "several")
    )
    assert len(alone) == len(together) > 1
    for mine, theirs in zip(alone, together, strict=True):
        for column in set(mine) - {"seconds"}:
            assert float(theirs[column]) == pytest.approx(float(mine[column]), rel=1e-4, abs=1e-6)
