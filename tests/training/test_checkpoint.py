import json

import pytest
import torch

from icdcli.errors import DataError, ResumeError
from icdcli.model.saved import verify
from icdcli.run_dir import RunDir, read_rows
from icdcli.training.checkpoint import find_checkpoint, save_checkpoint
from icdcli.training.distributed import World
from icdcli.training.events import Evaluated, Saved, StepDone, Stopped
from icdcli.training.loop import train
from icdcli.training.record import record
from icdcli.training.setup import new_training, resumed_training

ALONE = World(0, 1, torch.device("cpu"))
DROPOUT = {"lora_activate": True, "lora_dropout": 0.3, "lora_r": 4}


def run_it(config, name="run", stop_after=None):
    """A recorded run, interrupted after a step or not."""
    training, corpus = new_training(config, ALONE)
    run = RunDir.create(config.run.project, name)
    return run, follow(training, run, corpus, stop_after)


def follow(training, run, corpus, stop_after=None):
    events = []
    for event in record(train(training), run, training, corpus.folder.name):
        events.append(event)
        if isinstance(event, StepDone) and event.step == stop_after:
            training.stop_requested = lambda: "SIGINT"
    return events


def resume_it(config, run, name="last"):
    checkpoint = find_checkpoint(run, name)
    training, corpus = resumed_training(config, checkpoint, verify(checkpoint), ALONE)
    return follow(training, run, corpus)


def without_times(path):
    times = ("seconds", "tokens_per_second")
    return [{key: value for key, value in row.items() if key not in times} for row in read_rows(path)]


@pytest.mark.parametrize("stop_after", [3, 13, 17, 24])
@pytest.mark.parametrize("options", [{}, DROPOUT])
def test_an_interrupted_run_goes_on_to_the_same_end(config, tmp_path, stop_after, options):
    whole, _ = run_it(config(**options), "whole")
    parts, events = run_it(config(**options), "parts", stop_after)
    assert isinstance(events[-2], Stopped) and events[-1] == Saved("last", stop_after)
    resume_it(config(**options), parts)
    assert without_times(parts.results) == without_times(whole.results)
    assert without_times(parts.steps) == without_times(whole.steps)
    for name in ("metric", "loss", "last"):
        ends = [json.loads((run.checkpoint(name) / "manifest.json").read_text())["files"] for run in (whole, parts)]
        weights = [{file: digest for file, digest in end.items() if file.endswith(".safetensors")} for end in ends]
        assert weights[0] == weights[1]


def test_what_is_written_when(config):
    run, events = run_it(config())
    saved = [event for event in events if isinstance(event, Saved)]
    validated = [event for event in events if isinstance(event, Evaluated)]
    assert [event.step for event in saved if event.name == "last"] == [event.step for event in validated]
    assert [event.step for event in saved if event.name == "metric"] == [e.step for e in validated if e.best_metric]
    assert [event.step for event in saved if event.name == "loss"] == [e.step for e in validated if e.best_loss]
    assert {path.name for path in (run.root / "weights").iterdir()} == {"metric", "loss", "last"}
    rows = read_rows(run.results)
    assert list(rows[0]) == "epoch step seconds train_loss validation_loss lr f1_micro aucroc_micro".split()
    assert [int(row["step"]) for row in rows] == [event.step for event in validated]
    assert [int(row["step"]) for row in read_rows(run.steps)] == [5, 10, 15, 20, 24]
    best = max(validated, key=lambda event: event.monitored)
    manifest = verify(run.checkpoint("metric"))
    assert (manifest["step"], manifest["epoch"], manifest["metrics"]) == (best.step, best.epoch, best.metrics)


def test_the_optimiser_and_the_counters_come_back(config):
    run, _ = run_it(config(), stop_after=17)
    first, corpus = new_training(config(), ALONE)
    for event in train(first):
        if isinstance(event, StepDone) and event.step == 17:
            first.stop_requested = lambda: "SIGINT"
    checkpoint = find_checkpoint(run, "last")
    again, _ = resumed_training(config(), checkpoint, verify(checkpoint), ALONE)
    assert again.state.step == 17 and again.state.best_metric == first.state.best_metric
    assert again.state.epoch_loss == first.state.epoch_loss and again.state.window_documents == first.state.window_documents
    for mine, theirs in zip(first.optimizer.state.values(), again.optimizer.state.values(), strict=True):
        for key in mine:
            torch.testing.assert_close(mine[key], theirs[key], rtol=0, atol=0)


def test_a_finished_run_stays_finished(config):
    run, _ = run_it(config())
    [_, stopped] = resume_it(config(), run)
    assert stopped == Stopped("all 24 steps are done", 24, finished=True)
    run, _ = run_it(config(steps=400, lr0=1e-12, patience=1), "tired")
    [_, stopped] = resume_it(config(steps=400, lr0=1e-12, patience=1), run)
    assert stopped.reason == "no progress in 1 validations" and stopped.finished


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


def test_a_process_that_died_between_the_renames_loses_nothing(config):
    run, _ = run_it(config(steps=5, warmup_steps=1))
    last = run.checkpoint("last")
    last.rename(last.with_name(".previous-last"))
    assert find_checkpoint(run, "last") == last and verify(last)["step"] == 5


def test_a_failed_write_keeps_the_checkpoint_before(config, monkeypatch):
    training, _ = new_training(config(), ALONE)
    run = RunDir.create(config().run.project, "run")
    save_checkpoint(run, ["last"], training, {"corpus": "x"})
    before = verify(run.checkpoint("last"))

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("icdcli.training.checkpoint.torch.save", full)
    training.state.step = 9
    with pytest.raises(DataError, match="step 9 can.t be written .*No space left"):
        save_checkpoint(run, ["metric", "last"], training, {"corpus": "x"})
    assert verify(run.checkpoint("last")) == before
    assert {path.name for path in (run.root / "weights").iterdir()} == {"last"}


def test_a_missing_checkpoint_is_told_with_those_there_are(config, tmp_path):
    training, _ = new_training(config(), ALONE)
    run = RunDir.create(config().run.project, "run")
    with pytest.raises(ResumeError, match="has no checkpoint 'metric'; it ended before its first validation"):
        find_checkpoint(run, "metric")
    save_checkpoint(run, ["last"], training, {})
    with pytest.raises(ResumeError, match="it has last: choose one with --load"):
        find_checkpoint(run, "metric")
