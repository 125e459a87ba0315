"""Sums of gradients during the backward pass."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from icdcli.config.loading import to_yaml
from icdcli.distributed.gradient_sums import GradientSums, divide, sums_in_backward
from icdcli.distributed.launcher import free_port
from icdcli.distributed.process_group import ProcessGroup
from icdcli.run_dir import read_rows

ROOT = Path(__file__).parents[2]
FULL = {"freeze_backbone": False, "pooling_mode": "mean", "batch_size": 23, "steps": 10}
FULL |= {"principal": True, "metrics": "[f1_micro, principal_mrr]"}


class Transfers:
    """Adds what another process has, and counts what is on its way."""

    def __init__(self, others=0.0):
        self.others, self.started, self.waited = others, [], 0

    def start(self, flat):
        self.started.append(flat.clone())
        flat.add_(self.others)
        return self

    def wait(self):
        self.waited += 1


@pytest.fixture
def layers():
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(4, 4, bias=False) for _ in range(4)))


def watched(layers, transfers, numbers_per_bucket=16):
    sums = GradientSums(4 * numbers_per_bucket, transfers.start)
    sums.watch(list(layers.parameters()))
    return sums


def test_buckets_go_from_the_last_weight_to_the_first_and_are_full():
    weights = [nn.Parameter(torch.zeros(size)) for size in (5, 100, 3, 4, 6, 1)]
    sizes = [[len(weight) for weight in bucket] for bucket in divide(weights, 40)]
    assert sizes == [[1, 6, 4], [3, 100], [5]]
    assert divide([], 40) == []


def test_a_sum_starts_while_the_backward_pass_is_under_way(layers):
    transfers, seen = Transfers(), []
    sums = watched(layers, transfers)
    layers[1].register_full_backward_hook(lambda *_: seen.append(len(transfers.started)))
    layers(torch.ones(2, 4)).sum().backward()  # not the last one of the step
    assert transfers.started == []
    sums.listen()
    layers(torch.ones(2, 4)).sum().backward()
    assert seen[1] in (2, 3)  # those of the two last layers, of four
    assert len(transfers.started) == 4
    assert transfers.waited == 0
    sums.complete()
    assert transfers.waited == 4


@pytest.mark.parametrize("numbers_per_bucket", [1, 16, 17, 33, 1000])
@pytest.mark.parametrize("listening", [True, False])
def test_sums_are_of_all_micro_batches_whatever_the_buckets(layers, numbers_per_bucket, listening):
    def micro_batch(number):
        layers(torch.full((2, 4), 1.0 + number)).square().sum().backward()

    for number in range(3):
        micro_batch(number)
    expected = [weight.grad + 0.25 for weight in layers.parameters()]
    layers.zero_grad()
    sums = watched(layers, Transfers(0.25), numbers_per_bucket)
    for _ in range(2):  # a second step starts anew
        layers.zero_grad()
        for number in range(3):
            if number == 2 and listening:
                sums.listen()
            micro_batch(number)
        sums.complete()
        assert all(
            torch.equal(weight.grad, sum_)
            for weight, sum_ in zip(layers.parameters(), expected, strict=True)
        )


def test_the_gradient_of_a_large_weight_is_summed_where_it_is(layers):
    sums = watched(layers, Transfers(0.5), numbers_per_bucket=1)
    layers(torch.ones(2, 4)).sum().backward()
    before = [weight.grad.data_ptr() for weight in layers.parameters()]
    sums.complete()
    assert [weight.grad.data_ptr() for weight in layers.parameters()] == before


def test_weights_without_gradient_and_a_process_without_documents_add_zeros(layers):
    transfers = Transfers(0.5)
    sums = watched(layers, transfers)
    sums.listen()
    layers[:2](torch.ones(2, 4)).sum().backward()
    assert transfers.started == []  # in the same order in all processes: the last layer first
    sums.complete()
    assert [bool(flat.any()) for flat in transfers.started] == [False, False, True, True]
    assert torch.equal(layers[3].weight.grad, torch.full((4, 4), 0.5))
    layers.zero_grad()
    sums.complete()
    assert all(torch.equal(w.grad, torch.full((4, 4), 0.5)) for w in layers.parameters())


def test_after_memory_ran_out_the_others_get_zeros_and_none_is_lost(layers):
    transfers = Transfers()
    sums = watched(layers, transfers)

    def out_of_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    handle = layers[1].register_full_backward_pre_hook(out_of_memory)
    sums.listen()
    with pytest.raises(torch.OutOfMemoryError):
        layers(torch.ones(2, 4)).sum().backward()
    assert 1 <= len(transfers.started) <= 2
    sums.discard()
    assert all(weight.grad is None for weight in layers.parameters())
    sums.complete()
    assert [flat.any().item() for flat in transfers.started][2:] == [False, False]
    handle.remove()
    layers.zero_grad()
    layers(torch.ones(2, 4)).sum().backward()
    assert len(transfers.started) == 4  # nothing starts before it is announced again
    sums.complete()
    assert len(transfers.started) == 8


def test_other_weights_are_watched_from_the_next_stage_on(layers):
    transfers = Transfers()
    sums = watched(layers, transfers)
    for weight in layers[:3].parameters():
        weight.requires_grad_(False)
    sums.watch([layers[3].weight])
    sums.listen()
    layers(torch.ones(2, 4)).sum().backward()
    sums.complete()
    assert [len(flat) for flat in transfers.started] == [16]


def test_half_precision_weights_get_sums_of_float32(layers):
    transfers = Transfers(2.0**-12)
    layers = layers.bfloat16()
    sums = watched(layers, transfers)
    sums.listen()
    layers(torch.ones(2, 4).bfloat16()).sum().backward()
    sums.complete()
    assert {flat.dtype for flat in transfers.started} == {torch.float32}
    assert {weight.grad.dtype for weight in layers.parameters()} == {torch.bfloat16}


def test_a_gradient_that_changes_after_its_sum_started_is_refused(layers):
    sums = watched(layers, Transfers())
    sums.listen()
    layers(torch.ones(2, 4)).sum().backward()
    with pytest.raises(RuntimeError, match="reached a weight twice"):
        layers(torch.ones(2, 4)).sum().backward()


def test_only_the_many_gradients_of_several_processes_are_summed_early():
    one, two = (ProcessGroup(0, size) for size in (1, 2))
    assert sums_in_backward(one, few=False) is None
    assert sums_in_backward(two, few=True) is None
    assert isinstance(sums_in_backward(two, few=False), GradientSums)


def end_of(place, config, mode):
    """Train with two processes; return the weights and the losses."""
    path = place / f"{config.run.name}.yaml"
    path.write_text(to_yaml(config))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    done = subprocess.run(
        [
            *command,
            f"--master-port={free_port(0)}",
            Path(__file__).with_name("early_sums.py"),
            mode,
            "train",
            path,
        ],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    run = config.run.project / config.run.name
    weights = {}
    for file in sorted((run / "weights/last").rglob("*.safetensors")):
        weights |= {f"{file.name} {name}": part for name, part in load_file(file).items()}
    assert weights
    rows = [
        {name: row[name] for name in row if name != "seconds"}
        for row in read_rows(run / "results.csv")
    ]
    assert len(rows) == 2
    return weights, rows, done.stderr + done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"head_steps": 5}], ids=["one stage", "head first"])
def test_two_processes_come_to_the_same_bits_also_short_of_memory(config, tmp_path, changes):
    # The fifth and the last step have one document, so that one process has none.
    ends = {}
    for mode in ("after", "tiny", "short"):
        settings = config(name=mode, micro_batch_tokens=40, **FULL, **changes)
        ends[mode] = end_of(tmp_path, settings, mode)
    weights, rows, _ = ends["after"]
    assert ends["tiny"][1] == rows
    assert ends["tiny"][0].keys() == weights.keys()
    for name, weight in weights.items():
        assert torch.equal(ends["tiny"][0][name], weight), name
    # Where memory ran out, micro-batches are smaller, and sums are of other parts.
    short, _, text = ends["short"]
    assert "ran out of memory; continuing with micro_batch_tokens" in text
    for name, weight in weights.items():
        torch.testing.assert_close(short[name], weight, rtol=1e-3, atol=1e-4)
