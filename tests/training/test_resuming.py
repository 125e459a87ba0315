"""Interrupted runs that are resumed, with all that a checkpoint holds."""

import shutil
import signal

import pytest
import torch

from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import ResumeError
from icdcli.io.manifest import verify
from icdcli.model.checkpoint import load_model
from icdcli.run_dir import RunDir, find_checkpoint, read_rows
from icdcli.training.events import Evaluated, Saved, StepDone, Stopped
from icdcli.training.loop import train
from icdcli.training.recorder import recording
from icdcli.training.setup import new_training, resumed_training

ALONE = ProcessGroup(0, 1)
WINDOWS = {"max_len": 10, "long_notes": "windows"}
DROPOUT = {"lora_activate": True, "lora_dropout": 0.3, "lora_r": 4}


class Collected:
    """A handler that keeps the events."""

    def __init__(self):
        self.events = []

    def handle(self, event):
        self.events.append(event)

    def close(self):
        pass


def run_it(config, name="run", stop_after=None):
    """A recorded run, interrupted after a step or not."""
    training, corpus = new_training(config, ALONE)
    run = RunDir.create(config.run.project, name)
    return run, follow(training, run, corpus, stop_after)


def follow(training, run, corpus, stop_after=None):
    events = Collected()
    with recording(training, run, corpus, [events]) as publish:
        for event in train(training):
            publish(event)
            if isinstance(event, StepDone) and event.step == stop_after:
                training.stop_requested = lambda: signal.SIGINT
    return events.events


def resume_it(config, run, name="last"):
    checkpoint = find_checkpoint(run, name)
    training, corpus = resumed_training(config, checkpoint, verify(checkpoint), ALONE)
    return follow(training, run, corpus)


def steps_of(run, *names):
    return {
        name: verify(run.checkpoint(name))["step"]
        for name in names or ("metric", "loss", "last", "previous")
    }


def without_times(path):
    times = ("seconds", "tokens_per_second")
    return [
        {key: value for key, value in row.items() if key not in times} for row in read_rows(path)
    ]


def weights_of(run):
    """The hashes of the weights of each checkpoint."""
    files = {name: verify(run.checkpoint(name))["files"] for name in ("metric", "loss", "last")}
    return {
        name: {file: digest for file, digest in own.items() if file.endswith(".safetensors")}
        for name, own in files.items()
    }


@pytest.mark.parametrize(
    ("options", "stops"),
    [
        ({}, (13, 24)),
        pytest.param(DROPOUT, (3, 17), marks=pytest.mark.slow),
        pytest.param(WINDOWS, (17,), marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_run_goes_on_to_the_same_end(config, options, stops):
    complete, _ = run_it(config(**options), "complete")
    for stop_after in stops:
        parts, events = run_it(config(**options), f"stopped after {stop_after}", stop_after)
        assert isinstance(events[-2], Stopped)
        assert events[-1] == Saved("last", stop_after)
        resume_it(config(**options), parts)
        assert without_times(parts.results) == without_times(complete.results)
        assert without_times(parts.steps) == without_times(complete.steps)
        assert weights_of(parts) == weights_of(complete)


def test_what_is_written_when(config):
    run, events = run_it(config())
    saved = [event for event in events if isinstance(event, Saved)]
    validated = [event for event in events if isinstance(event, Evaluated)]
    # Before each validation and after it.
    assert [event.step for event in saved if event.name == "last"] == [
        event.step for event in validated for _ in range(2)
    ]
    assert [event.step for event in saved if event.name == "metric"] == [
        e.step for e in validated if e.best_metric
    ]
    assert [event.step for event in saved if event.name == "loss"] == [
        e.step for e in validated if e.best_loss
    ]
    last = [event.step for event in validated]
    assert steps_of(run, "last", "previous") == {"last": last[-1], "previous": last[-1]}
    rows = read_rows(run.results)
    assert (
        list(rows[0])
        == "epoch step seconds train_loss validation_loss lr f1_micro aucroc_micro".split()
    )
    assert [int(row["step"]) for row in rows] == [event.step for event in validated]
    assert [int(row["step"]) for row in read_rows(run.steps)] == [5, 10, 15, 20, 24]
    best = max(validated, key=lambda event: event.monitored)
    manifest = verify(run.checkpoint("metric"))
    assert (manifest["step"], manifest["epoch"], manifest["metrics"]) == (
        best.step,
        best.epoch,
        best.metrics,
    )


def test_the_optimizer_and_the_counters_come_back(config):
    run, _ = run_it(config(), stop_after=17)
    first, _corpus = new_training(config(), ALONE)
    for event in train(first):
        if isinstance(event, StepDone) and event.step == 17:
            first.stop_requested = lambda: signal.SIGINT
    checkpoint = find_checkpoint(run, "last")
    again, _ = resumed_training(config(), checkpoint, verify(checkpoint), ALONE)
    assert again.state.step == 17
    assert again.state.best_metric == first.state.best_metric
    assert again.state.epoch_loss == first.state.epoch_loss
    assert again.state.window_documents == first.state.window_documents
    for mine, theirs in zip(
        first.optimizer.state.values(), again.optimizer.state.values(), strict=True
    ):
        for key in mine:
            torch.testing.assert_close(mine[key], theirs[key], rtol=0, atol=0)


def test_a_finished_run_stays_finished(config):
    run, _ = run_it(config())
    [_, stopped] = resume_it(config(), run)
    assert stopped == Stopped("all 24 steps are done", 24, finished=True)
    run, _ = run_it(config(steps=400, lr0=1e-12, patience=1), "tired")
    [_, stopped] = resume_it(config(steps=400, lr0=1e-12, patience=1), run)
    assert stopped.reason == "no improvement in 1 validations"
    assert stopped.finished


def test_more_steps_go_on(config):
    run, _ = run_it(config())
    events = resume_it(config(steps=30), run)
    assert [event.step for event in events if isinstance(event, StepDone)] == list(range(25, 31))


def test_other_data_is_refused(config, tmp_path, notes):
    run, _ = run_it(config(steps=5, warmup_steps=1))
    other = tmp_path / "other.jsonl"
    other.write_text("".join(notes.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ResumeError, match="the tables or the data options have changed"):
        resume_it(config(data_path=other), run)


def as_before(run):
    """The layout of older versions: folders in the place of links."""
    weights = run.root / "weights"
    for path in [path for path in weights.iterdir() if path.is_symlink()]:
        folder = path.resolve()
        path.unlink()
        if path.name != "previous":
            shutil.copytree(folder, path)
    shutil.rmtree(weights / "steps")


@pytest.mark.slow
def test_a_run_of_the_older_layout_goes_on(config):
    run, _ = run_it(config(), stop_after=17)
    as_before(run)
    assert load_model(run.root).labels == load_model(run.root, "last").labels
    resume_it(config(), run)
    assert steps_of(run, "last", "previous") == {"last": 24, "previous": 24}
    assert run.checkpoint("last").is_symlink()
    complete, _ = run_it(config(), "complete")
    assert without_times(run.results) == without_times(complete.results)
