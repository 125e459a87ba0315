"""A training that is killed at any moment and resumed ends bit for bit as one never stopped."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

DROPOUT = """\
lora_activate: True
lora_r: 4
lora_dropout: 0.3
batch_size: 32
steps: 5
log_every: 1
checkpoint_every: 1
"""


@pytest.fixture
def kill(place, tmp_path):
    """Train, kill and resume at points; return the folders of an undisturbed run and the others."""

    def run(points):
        config = tmp_path / "config.yaml"
        lines = [
            line
            for line in place.config.read_text().splitlines()
            if line.split(":")[0] not in DROPOUT
        ]
        config.write_text("\n".join(lines) + "\n" + DROPOUT)
        command = [
            sys.executable,
            Path(__file__).with_name("killing.py"),
            config,
            tmp_path / "runs",
            json.dumps(points),
        ]
        root = Path(__file__).parents[2]
        environment = {
            **os.environ,
            "PYTHONPATH": str(root),
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        reported = json.loads(done.stdout)
        return (
            reported["operations"],
            Path(reported["complete"]),
            [Path(folder) for folder in reported["killed"]],
        )

    return run


def end_of(run, rows):
    """Return all results of a run that don't depend on the clock."""
    tables = [rows(run / name) for name in ("results.csv", "steps.csv")]
    weights, states = {}, []
    for name in ("metric", "loss", "last"):
        folder = run / "weights" / name
        weights |= {(name, path.name): path.read_bytes() for path in folder.rglob("*.safetensors")}
        state = torch.load(folder / "state.pt", weights_only=True)
        state["run"].pop("seconds")
        moments = [
            value for weight in state["optimizer"]["state"].values() for value in weight.values()
        ]
        states.append((state["run"], [moment.numpy().tobytes() for moment in moments]))
    return tables, weights, states


def same_ends(complete, killed, rows):
    expected = end_of(complete, rows)
    assert len(expected[1]) == 6
    assert len(expected[0][1]) == 5
    for run in killed:
        assert end_of(run, rows) == expected, run
        found = {path.name for path in (run / "weights").iterdir()}
        names = ["last", "loss", "metric", "previous"]
        assert found == {*names, "steps", "names.json"}, run
        links = {name: os.readlink(run / "weights" / name).split("/")[1] for name in names}
        assert json.loads((run / "weights" / "names.json").read_text()) == links, run
        linked = {(run / "weights" / name).resolve() for name in names}
        assert linked == set((run / "weights" / "steps").iterdir())
    return True


@pytest.mark.slow
def test_killed_within_a_checkpoint_and_resumed(kill, rows):
    # After a validation, when `metric` refers to the new checkpoint, but `loss` and `last` don't.
    operations, complete, killed = kill([["weights/loss", 60]])
    assert operations > 700
    assert killed[0].name == "killed-0"
    assert same_ends(complete, killed, rows)


@pytest.mark.slow
def test_killed_at_many_operations_and_resumed(kill, rows):
    # Every few operations, so that each kind occurs: write, flush, rename, link, remove.
    # More of them at the first checkpoint after a validation.
    operations = sorted({*range(5, 740, 61), *range(394, 418, 5)})
    made, complete, killed = kill(
        [[first, 40 + 13 * number % 150] for number, first in enumerate(operations)]
    )
    assert made > operations[-1]
    assert same_ends(complete, killed, rows)


@pytest.mark.slow
def test_killed_at_any_moment_and_resumed(kill, rows):
    _, complete, killed = kill([[share / 20, 0.35] for share in range(5, 20, 2)])
    assert same_ends(complete, killed, rows)
