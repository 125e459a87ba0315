"""Sharded weights: the same numbers and files as without sharding."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.fsdp._fully_shard._fsdp_param_group import FSDPParamGroup

from icdcli.config.loading import to_yaml
from icdcli.distributed.fsdp import _gather_ahead
from icdcli.distributed.launcher import free_port
from icdcli.run_dir import read_rows

ROOT = Path(__file__).parents[2]
PART = Path(__file__).with_name("part_of_each.py")
CLOCK = {"seconds", "tokens_per_second"}
WHOLE = {"pooling_mode": "mean", "principal": True, "metrics": "[f1_micro, principal_mrr]"}
HALF = {"pooling_mode": "mean", "bit": 16, "freeze_backbone": False}
ADAPTERS = {
    "lora_activate": True,
    "pooling_mode": "label_attention",
    "label_width": 16,
    "code_system": "icd10",
    "lr0": 1e-3,
    "head_lr_factor": 1,
}


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def launching(*words, processes=2):
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
    return [*command, f"--master-port={free_port(0)}", *map(str, words)]


def torchrun(place, *words, processes=2):
    command = launching(*words, processes=processes)
    done = subprocess.run(
        command, cwd=place, env=ENVIRONMENT, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def killed_after_a_checkpoint(place, run, *words):
    """Kill all processes of a launch after its first checkpoint; False if it had ended."""
    started = subprocess.Popen(
        launching(*words), cwd=place, env=ENVIRONMENT, start_new_session=True
    )
    try:
        while started.poll() is None and not (run / "weights" / "last").exists():
            time.sleep(0.05)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
    return started.wait() == -signal.SIGKILL


def end_of(run):
    """What a run has come to, but for the clock."""
    tables = []
    for name in ("results.csv", "steps.csv"):
        tables.append(
            [{key: row[key] for key in row if key not in CLOCK} for row in read_rows(run / name)]
        )
    files = {
        path.relative_to(run).name: path.read_bytes()
        for path in (run / "weights/last/").rglob("*.safetensors")
    }
    assert len(tables[1]) > 1
    assert files
    return tables, files


def the_same(one, other, relative=1e-3, absolute=1e-4):
    """Whether two runs have the same results and weights, as far as sums in another order allow."""
    rows = [read_rows(run / "results.csv") for run in (one, other)]
    assert len(rows[0]) == len(rows[1]) > 1
    for mine, theirs in zip(*rows, strict=True):
        for column in set(mine) - {"seconds"}:
            assert float(theirs[column]) == pytest.approx(
                float(mine[column]), rel=relative, abs=absolute
            ), column
    files = [
        sorted(path.relative_to(run) for path in (run / "weights/last").rglob("*.safetensors"))
        for run in (one, other)
    ]
    assert files[0] == files[1] != []
    for path in files[0]:
        weights, others = (load_file(run / path) for run in (one, other))
        assert weights.keys() == others.keys()
        for name, weight in weights.items():
            torch.testing.assert_close(
                others[name],
                weight,
                rtol=10 * relative,
                atol=absolute,
                msg=lambda text, name=name: f"{name}: {text}",
            )
    return True


@pytest.fixture
def mesh_of_one():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module")
def test_the_next_weights_are_gathered_before_a_layer_is_computed(mesh_of_one, monkeypatch):
    gathered, unshard = [], FSDPParamGroup.unshard

    def noted(group, *options):
        gathered.append(group._module_fqn)
        unshard(group, *options)

    monkeypatch.setattr(FSDPParamGroup, "unshard", noted)
    layers = nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)))
    for module in (*layers, layers):
        fully_shard(module, mesh=mesh_of_one)
    _gather_ahead(list(layers))
    at = {"forward": {}, "backward": {}}
    for number, layer in enumerate(layers):
        layer.register_forward_hook(lambda *_, n=number: at["forward"].update({n: {*gathered}}))
        layer.register_full_backward_hook(
            lambda *_, n=number: at["backward"].update({n: {*gathered}})
        )
    loss = layers(torch.ones(2, 4, requires_grad=True)).sum()
    gathered.clear()
    loss.backward()
    assert at["forward"] == {0: {"0", "1"}, 1: {"0", "1", "2"}, 2: {"0", "1", "2"}}
    assert at["backward"] == {2: {"2", "1"}, 1: {"2", "1", "0"}, 0: {"2", "1", "0"}}


@pytest.mark.slow
@pytest.mark.parametrize("changes", [WHOLE, HALF, ADAPTERS], ids=["whole", "half", "adapters"])
def test_sharing_out_changes_neither_numbers_nor_files(config, model_folders, tmp_path, changes):
    model = {} if changes == WHOLE else {"model": model_folders["llama"]}
    path = tmp_path / "config.yaml"
    path.write_text(
        to_yaml(config(steps=26, batch_size=7, micro_batch_tokens=100, **model, **changes))
    )
    for strategy in ("ddp", "fsdp"):
        torchrun(
            tmp_path, "-m", "icdcli", "train", path, f"strategy={strategy}", f"name={strategy}"
        )
    runs = tmp_path / "runs"
    # In half precision sums of gradients in another order are other sums.
    assert the_same(
        runs / "ddp",
        runs / "fsdp",
        **({"relative": 1e-2, "absolute": 1e-2} if changes == HALF else {}),
    )


@pytest.mark.slow
def test_a_killed_run_comes_bit_for_bit_to_the_same_end(config, model_folders, tmp_path):
    path, runs = tmp_path / "config.yaml", tmp_path / "runs"
    changes = {
        **ADAPTERS,
        "lora_dropout": 0.3,
        "checkpoint_every": 3,
        "log_every": 1,
        "strategy": "fsdp",
    }
    path.write_text(
        to_yaml(
            config(
                steps=40,
                batch_size=7,
                micro_batch_tokens=100,
                model=model_folders["llama"],
                **changes,
            )
        )
    )
    torchrun(tmp_path, "-m", "icdcli", "train", path, "name=whole")
    assert killed_after_a_checkpoint(
        tmp_path, runs / "killed", "-m", "icdcli", "train", path, "name=killed"
    )
    torchrun(tmp_path, "-m", "icdcli", "resume", runs / "killed", "--load", "last")
    assert end_of(runs / "killed") == end_of(runs / "whole")


@pytest.mark.slow
def test_a_run_goes_on_with_the_other_strategy_and_with_one_process(config, tmp_path):
    path, runs = tmp_path / "config.yaml", tmp_path / "runs"
    path.write_text(to_yaml(config(steps=26, batch_size=7)))
    for before, after, processes in (("fsdp", "ddp", 1), ("ddp", "fsdp", 2)):
        torchrun(tmp_path, "-m", "icdcli", "train", path, f"strategy={before}", f"name={before}")
        torchrun(
            tmp_path,
            "-m",
            "icdcli",
            "resume",
            runs / before,
            "steps=39",
            f"strategy={after}",
            processes=processes,
        )
    assert the_same(runs / "fsdp", runs / "ddp")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "at_most"), [(WHOLE, 0.51), (ADAPTERS, 0.75)], ids=["whole", "adapters"]
)
def test_each_process_keeps_its_part(config, model_folders, tmp_path, changes, at_most):
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config(strategy="fsdp", model=model_folders["llama"], **changes)))
    shares = [float(line) for line in torchrun(tmp_path, PART, path).split()]
    assert len(shares) == 2
    assert max(shares) <= at_most
    assert sum(shares) >= 1
