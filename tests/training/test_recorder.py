import math
import os
import signal

import pytest
import torch

from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import ConfigError, DataError
from icdcli.io.manifest import verify
from icdcli.run_dir import RunDir, read_rows
from icdcli.training.events import CheckpointDue, Evaluated, Evaluating, Saved, StepDone, Stopped
from icdcli.training.loop import train
from icdcli.training.recorder import recording
from icdcli.training.setup import new_training


class Watcher:
    """A handler that keeps the events and calls a function with the training and each event."""

    def __init__(self, training, happens):
        self.training, self.happens, self.events = training, happens, []

    def handle(self, event):
        self.events.append(event)
        self.happens(self.training, event)

    def close(self):
        pass


@pytest.fixture
def recorded(config):
    """Records a run; a function is called with each event."""

    def run_it(happens=lambda training, event: None, **changes):
        training, corpus = new_training(config(**changes), ProcessGroup(0, 1))
        run = RunDir.create(config().run.project, "run")
        watcher = Watcher(training, happens)
        try:
            with recording(training, run, corpus, [watcher]) as publish:
                for event in train(training):
                    publish(event)
        except (ConfigError, DataError) as error:
            return run, watcher.events, error
        return run, watcher.events, None

    return run_it


def break_at(kind, step):
    def happens(training, event):
        if isinstance(event, kind) and event.step == step:
            with torch.no_grad():
                training.model.network.head.output.bias[0] = math.nan

    return happens


def stop_at(kind, step):
    def happens(training, event):
        if isinstance(event, kind) and training.state.step == step:
            training.stop_requested = lambda: signal.SIGTERM

    return happens


def test_checkpoints_between_validations_are_saved_as_last(recorded):
    _, events, _ = recorded(checkpoint_every=10)
    assert [
        event.step for event in events if isinstance(event, Saved) and event.name == "last"
    ] == [10, 13, 13, 20, 24, 24]
    assert sum(isinstance(event, Evaluated) for event in events) == 2


@pytest.mark.parametrize("kind", [Evaluating, Evaluated])
def test_a_stop_about_a_validation_saves_its_state_once(recorded, kind):
    run, events, _ = recorded(stop_at(kind, 13), checkpoint_every=13)
    assert [
        event for event in events if isinstance(event, CheckpointDue | Saved) and event.step == 13
    ][:2] == [
        CheckpointDue(13),
        Saved("last", 13),
    ]
    assert events[-1] == Stopped("interrupted by SIGTERM", 13, finished=False)
    assert len(read_rows(run.results)) == (kind is Evaluated)
    assert os.readlink(run.checkpoint("last")) == f"steps/13{'-2' if kind is Evaluated else ''}"


@pytest.mark.parametrize(
    ("every", "kind", "bad", "last"),
    [
        (1, Saved, "step 8: the training loss", 7),
        (1, StepDone, "step 7: a weight", 6),
        pytest.param(2, StepDone, "step 8: the training loss", 6, marks=pytest.mark.slow),
        (5, StepDone, "step 8: the training loss", 5),
    ],
)
def test_weights_after_a_bad_step_never_reach_a_checkpoint(recorded, every, kind, bad, last):
    run, events, error = recorded(break_at(kind, 7), checkpoint_every=every)
    assert str(error).startswith(f"{bad} is not a finite number. The documents of this step are ")
    folder = run.root / "weights" / "steps" / str(last)
    assert (
        f"The last good checkpoint is {folder}; "
        f"resume from it with `icdcode resume {run.root} lr0=0.001`" in str(error)
    )
    assert verify(run.checkpoint("last"))["step"] == last
    assert not [event for event in events if isinstance(event, Saved) and event.step > last]


def test_a_run_that_diverges_before_its_first_checkpoint_is_to_begin_anew(recorded):
    run, _, error = recorded(break_at(StepDone, 1))
    assert f"There is no checkpoint yet; start over with `icdcode train {run.args} lr0=…`" in str(
        error
    )
    assert not (run.root / "weights").exists()


@pytest.mark.parametrize(("table", "last"), [("steps", 13), ("results", 13)])
def test_a_table_that_cannot_be_written_is_reported_and_leaves_what_was_saved(
    recorded, config, table, last
):
    path = config().run.project / "run" / f"{table}.csv"

    def happens(training, event):
        if event == CheckpointDue(12):
            path.unlink(missing_ok=True)
            path.mkdir()

    run, _, error = recorded(happens, checkpoint_every=12)
    assert isinstance(error, DataError)
    assert str(error).startswith(f"{path}: can't be written (Is a directory). ")
    path.rmdir()
    assert verify(run.checkpoint("last"))["step"] == last


def test_the_tables_are_on_the_disk_before_the_checkpoint_that_belongs_to_them(
    recorded, monkeypatch
):
    done = []
    monkeypatch.setattr("icdcli.training.recorder.flush", lambda path: done.append(path.name))
    monkeypatch.setattr(
        "icdcli.training.recorder.save_checkpoint",
        lambda run, names, *others: done.append(names[-1]),
    )
    recorded(steps=5, warmup_steps=1)
    assert done == ["steps.csv", "last", "results.csv", "steps.csv", "last"]
