"""Checkpoints that are read while training replaces and removes them."""

import os

import pytest
import torch

from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import ConfigError, ResumeError
from icdcli.io.manifest import verify
from icdcli.model.checkpoint import load_model
from icdcli.model.files import checkpoint_labels
from icdcli.model.threshold import Threshold
from icdcli.run_dir import RunDir, find_checkpoint
from icdcli.training.checkpointing import save_checkpoint
from icdcli.training.setup import new_training

ALONE = ProcessGroup(0, 1)


@pytest.fixture
def no_links(monkeypatch):
    """A file system without symbolic links."""

    def refuse(*arguments, **options):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)


@pytest.fixture
def two_steps(config):
    """A run, and a function that saves a step whose threshold and weights have its number."""
    training, _ = new_training(config(), ALONE)
    run = RunDir.create(config().run.project, "run")

    def save(step):
        training.state.step = step
        training.model.threshold = Threshold(step / 100)
        with torch.no_grad():
            training.model.network.head.output.bias.fill_(step)
        save_checkpoint(run, ("metric", "last"), training, {"corpus": "x"})

    return run, save


def meanwhile(monkeypatch, happens):
    """Call a function each time that a model's labels are read: after its settings."""
    read = checkpoint_labels.read_labels

    def read_and_more(path):
        happens()
        return read(path)

    monkeypatch.setattr(checkpoint_labels, "read_labels", read_and_more)


def steps_in(model):
    """The step that a model's threshold is of, and the one that its weights are of."""
    return round(model.threshold.value * 100), int(model.network.head.output.bias[0])


@pytest.mark.parametrize(
    "path", [".", pytest.param("weights/metric", marks=pytest.mark.slow), "weights/last"]
)
@pytest.mark.parametrize("links", [True, False])
def test_a_reader_gets_one_whole_checkpoint_while_training_saves(
    two_steps, monkeypatch, path, links, request
):
    if not links:
        request.getfixturevalue("no_links")
    run, save = two_steps
    save(10)
    later = [30, 20]
    # Twice the checkpoint is replaced, and removed, between its settings and its weights.
    meanwhile(monkeypatch, lambda: [save(later[-1]), save(later.pop() + 1)] if later else None)
    model = load_model(run.root / path)
    assert later == []
    assert steps_in(model) == (31, 31)


def test_a_checkpoint_without_a_name_is_read_whole_or_not_at_all(two_steps, monkeypatch):
    run, save = two_steps
    save(10)
    folder = find_checkpoint(run, "metric")
    later = [20, 30]
    meanwhile(monkeypatch, lambda: save(later.pop()) if later else None)
    assert steps_in(load_model(folder)) == (10, 10)  # still there: the one before the last
    later += [40, 50]
    meanwhile(monkeypatch, lambda: [save(later.pop()), save(later.pop())] if later else None)
    with pytest.raises(ConfigError, match="no such run or checkpoint folder"):
        load_model(folder)


def test_a_checkpoint_that_is_replaced_at_each_attempt_is_reported(two_steps, monkeypatch):
    run, save = two_steps
    save(10)
    steps = iter(range(11, 99))
    meanwhile(monkeypatch, lambda: [save(next(steps)), save(next(steps))])
    with pytest.raises(ResumeError, match="faster than it can be read"):
        load_model(run.root)


def test_a_checkpoint_that_stays_broken_is_read_once(two_steps, monkeypatch):
    run, save = two_steps
    save(10)
    (run.checkpoint("metric") / "coder.json").write_text("{}")
    attempts = []
    monkeypatch.setattr(
        "icdcli.model.files.checkpoint_files.verify",
        lambda folder: attempts.append(folder) or verify(folder),
    )
    with pytest.raises(ResumeError, match=r"coder\.json: was changed or is damaged"):
        load_model(run.root)
    assert len(attempts) == 1
