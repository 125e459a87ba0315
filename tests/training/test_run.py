"""`run_training` and `resume_training`, as a notebook calls them."""

import errno
import json
import math
import os
import signal
import socket
import threading

import pytest

from icdcli.config.loading import load_config
from icdcli.errors import ConfigError, ResumeError
from icdcli.io import locks
from icdcli.io.manifest import verify
from icdcli.model.checkpoint import load_model
from icdcli.run_dir import read_rows
from icdcli.training import loop
from icdcli.training.checkpointing import make_last
from icdcli.training.events import Evaluated, Prepared, Saved, Started, StepDone, Stopped
from icdcli.training.run import resume_training, run_training
from icdcli.training.validation import Measured, score_validation


class Collected:
    """A handler that keeps the events and calls a function with each."""

    def __init__(self, happens=lambda event: None):
        self.happens, self.events, self.closed = happens, [], 0

    def handle(self, event):
        self.events.append(event)
        self.happens(event)

    def close(self):
        self.closed += 1


def signal_at(step, *numbers):
    def happens(event):
        if isinstance(event, StepDone) and event.step == step:
            for number in numbers:
                os.kill(os.getpid(), number)

    return happens


def test_a_run_from_its_configuration_to_its_result(config):
    seen = Collected()
    before = signal.getsignal(signal.SIGINT)
    result = run_training(config(steps=13), [seen])
    prepared, started, *_, stopped = seen.events
    assert isinstance(prepared, Prepared)
    assert isinstance(started, Started)
    assert stopped == Stopped("all 13 steps are done", 13, finished=True)
    assert (prepared.run, prepared.summary.steps) == (result.run.root, 13)
    assert load_config(result.run.args).flat() == config(steps=13).flat()
    [validated] = [event for event in seen.events if isinstance(event, Evaluated)]
    assert (result.epoch, result.metrics) == (validated.epoch, validated.metrics)
    assert (result.step, result.finished, result.signal) == (13, True, None)
    assert seen.closed == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_checkpoints_are_reported_once_they_are_on_disk(config):
    found = []

    def happens(event):
        if isinstance(event, Saved):
            folder = config().run.project / "run" / "weights" / event.name
            found.append((event.name, (folder / "manifest.json").is_file()))

    run_training(config(steps=13), [Collected(happens)])
    # Before the validation, and after it.
    assert found == [("last", True), ("metric", True), ("loss", True), ("last", True)]


def test_a_signal_ends_the_run_and_is_in_the_result_and_the_run_is_resumed(config):
    result = run_training(config(), [Collected(signal_at(7, signal.SIGTERM))])
    assert (result.step, result.finished, result.signal) == (7, False, signal.SIGTERM)
    assert result.stopped == "interrupted by SIGTERM"
    seen = Collected()
    again = resume_training(result.run.root, ["steps=14"], handlers=[seen])
    assert (again.run, again.step, again.finished) == (result.run, 14, True)
    resumed = seen.events[0].summary.resumed
    assert (resumed.step, resumed.changes) == (7, {"steps": (24, 14)})
    assert [row["step"] for row in read_rows(result.run.results)] == ["13", "14"]
    with pytest.raises(ResumeError, match="start a new run instead"):
        resume_training(result.run, ["seed=1"])


def test_a_second_signal_ends_the_run_at_once(config):
    seen = Collected(signal_at(2, signal.SIGINT, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        run_training(config(), [seen])
    assert seen.closed == 1
    called = []
    run_training(
        config(),
        [Collected(signal_at(2, signal.SIGINT, signal.SIGTERM))],
        on_second_signal=called.append,
    )
    assert called == [signal.SIGTERM]


def test_a_handler_that_fails_ends_the_run_and_all_are_closed(config):
    def fail(event):
        if isinstance(event, StepDone):
            raise RuntimeError("a defect")

    handlers = [Collected(), Collected(fail)]
    with pytest.raises(RuntimeError, match="a defect"):
        run_training(config(), handlers)
    assert [handler.closed for handler in handlers] == [1, 1]


def test_handlers_are_closed_if_the_run_never_starts(config, tmp_path):
    (tmp_path / "file").write_text("")
    seen = Collected()
    with pytest.raises(ConfigError):
        run_training(config(project=tmp_path / "file"), [seen])
    assert (seen.events, seen.closed) == ([], 1)


def test_outside_the_main_thread_a_run_catches_no_signals(config):
    results = []
    thread = threading.Thread(
        target=lambda: results.append(run_training(config(steps=5, warmup_steps=1)))
    )
    thread.start()
    thread.join()
    assert results[0].finished


def test_tfidf_takes_the_same_way(config):
    seen, warned = Collected(), []
    result = run_training(config(model="tfidf"), [seen], on_warning=warned.append)
    assert [type(event) for event in seen.events] == [
        Prepared,
        Started,
        Evaluated,
        *[Saved] * 3,
        Stopped,
    ]
    assert (result.step, result.finished) == (1, True)
    assert "model: tfidf doesn't use" in warned[0]
    again = resume_training(result.run)
    assert (again.metrics, again.finished) == (result.metrics, True)


def validations_give(monkeypatch, values):
    """Let the validations give these monitored values and losses, in this order."""
    left = list(values)

    def score(training, scored):
        yield from score_validation(training, scored)
        scored.losses_N[:] = left[0][1]

    def measure(fused, loss, monitor, metrics):
        value, _ = left.pop(0)
        return Measured(dict.fromkeys(metrics, value), value, tuple(metrics), None)

    monkeypatch.setattr(loop, "score_validation", score)
    monkeypatch.setattr(loop, "configured_metrics", measure)


def in_checkpoint(run, name):
    manifest = verify(run.checkpoint(name))
    return manifest["step"], manifest["metrics"]["f1_micro"], manifest["validation_loss"]


@pytest.mark.slow
def test_a_run_that_goes_back_keeps_its_better_checkpoints(config, monkeypatch):
    # As in overfitting: the loss is lowest first, the metric is highest later.
    validations_give(monkeypatch, [(0.2, 0.1), (0.7, 0.3), (0.6, 0.4)])
    run = run_training(config(steps=39, patience=3)).run
    assert (in_checkpoint(run, "metric"), in_checkpoint(run, "loss")) == (
        (26, 0.7, 0.3),
        (13, 0.2, 0.1),
    )
    seen = Collected()
    # Better than the checkpoint that is loaded, but worse than the one that the run has.
    validations_give(monkeypatch, [(0.3, 0.2), (0.5, 0.2)])
    resume_training(run, load="loss", handlers=[seen])
    assert [event.best_metric for event in seen.events if isinstance(event, Evaluated)] == [
        False,
        False,
    ]
    assert (in_checkpoint(run, "metric"), in_checkpoint(run, "loss")) == (
        (26, 0.7, 0.3),
        (13, 0.2, 0.1),
    )
    # The same after another interruption, until something better comes.
    validations_give(monkeypatch, [(0.65, 0.05), (0.71, 0.06)])
    resume_training(run, ["steps=65"])
    assert (in_checkpoint(run, "metric"), in_checkpoint(run, "loss")) == (
        (65, 0.71, 0.06),
        (52, 0.65, 0.05),
    )


@pytest.mark.slow
def test_patience_counts_on_the_way_that_a_run_takes(config, monkeypatch):
    validations_give(monkeypatch, [(0.2, 0.1), (0.7, 0.3), (0.6, 0.4)])
    run = run_training(config(steps=39, patience=2)).run
    validations_give(monkeypatch, [(0.3, 0.2), (0.4, 0.2), (0.5, 0.2)])
    result = resume_training(run, ["steps=52"], load="loss")
    assert result.stopped == "all 52 steps are done"  # each validation was better than the last


def test_a_run_that_repeats_a_step_replaces_its_checkpoint(config, monkeypatch):
    validations_give(monkeypatch, [(0.2, 0.3), (0.7, 0.1)])
    run = run_training(config(steps=26)).run
    assert os.readlink(run.checkpoint("previous")) == "steps/26"  # before its validation
    make_last(run, run.checkpoint("previous").resolve())
    validations_give(monkeypatch, [(0.7, 0.1)])
    resume_training(run)
    linked = [os.readlink(run.checkpoint(name)) for name in ("metric", "loss", "last")]
    assert linked == ["steps/26-3"] * 3


@pytest.mark.slow
def test_a_broken_checkpoint_is_replaced_with_a_warning(config, monkeypatch):
    validations_give(monkeypatch, [(0.2, 0.1), (0.7, 0.3), (0.6, 0.4)])
    run = run_training(config(steps=39)).run
    (run.checkpoint("metric") / "head.safetensors").write_bytes(b"")
    warnings = []
    validations_give(monkeypatch, [(0.3, 0.2), (0.25, 0.2)])
    resume_training(run, load="loss", on_warning=warnings.append)
    [warning] = [warning for warning in warnings if "weights" in warning]
    assert "26-2/head.safetensors: was changed or is damaged" in warning
    assert "replaces this checkpoint" in warning
    assert in_checkpoint(run, "metric") == (26, 0.3, 0.2)


def test_a_run_in_training_is_not_resumed_but_read(config):
    refused, read = [], []

    def happens(event):
        if isinstance(event, StepDone) and event.step == 7:
            with pytest.raises(ResumeError) as raised:
                resume_training(run, ["steps=30"])
            refused.append(str(raised.value))
        if isinstance(event, Saved):
            read.append(load_model(run, event.name).labels.codes)

    run = config().run.project / "run"
    run_training(config(steps=13), [Collected(happens)])
    here = f"process {os.getpid()} on host {socket.gethostname()} since "
    assert f"{run}: is being trained by {here}" in refused[0]
    assert f"stop it (`kill {os.getpid()}`)" in refused[0]
    assert len(read) == 4
    resume_training(run, ["steps=17"], handlers=[Collected(happens)])
    assert [int(row["step"]) for row in read_rows(run / "steps.csv")] == [5, 10, 13, 15, 17]
    assert not (run / ".lock").exists()


def test_trainings_of_one_name_have_folders_of_their_own(config):
    inner = []

    def happens(event):
        if isinstance(event, StepDone) and event.step == 1:
            inner.append(run_training(config(steps=2, warmup_steps=1)))

    outer = run_training(config(steps=3, warmup_steps=1), [Collected(happens)])
    assert [result.run.root.name for result in (outer, *inner)] == ["run", "run2"]


def test_a_file_system_without_locks_gets_a_warning(config, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    warnings = []
    run_training(config(steps=2, warmup_steps=1), on_warning=warnings.append)
    [warning] = [warning for warning in warnings if "locks" in warning]
    assert "Make sure that no second process trains this run" in warning


@pytest.fixture
def all_have_all_codes(notes, tmp_path):
    """Notes whose validation documents have all codes: no code has an AUROC."""
    rows = [json.loads(line) for line in notes.read_text().splitlines()]
    codes = sorted({code for row in rows for code in row["codes"]})
    for number, row in enumerate(rows):
        row["subject_id"] = row["id"]
        row["split"] = "train" if number % 10 else "validation"
        if row["split"] == "validation":
            row["codes"] = codes if number else codes[:2]
    path = tmp_path / "same.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    only = tmp_path / "one.jsonl"  # one validation document, with some of the codes
    kept = [row for number, row in enumerate(rows) if number == 0 or row["split"] == "train"]
    only.write_text("".join(json.dumps(row) + "\n" for row in kept))
    every = tmp_path / "every.jsonl"
    kept = [row for number, row in enumerate(rows) if number]
    every.write_text("".join(json.dumps(row) + "\n" for row in kept))
    return only, every


def test_undefined_metrics_are_left_out_of_what_is_monitored(config, all_have_all_codes):
    data, _ = all_have_all_codes
    seen, names = Collected(), "[aucroc_macro, aucroc_micro, aucprc_micro]"
    result = run_training(config(data_path=data, metrics=names, steps=42, patience=9), [seen])
    validations = [event for event in seen.events if isinstance(event, Evaluated)]
    assert len(validations) == 3
    for event in validations:
        roc, precision = event.metrics["aucroc_micro"], event.metrics["aucprc_micro"]
        assert math.isnan(event.metrics["aucroc_macro"])
        assert event.monitored == pytest.approx((roc + precision) / 2, abs=1e-12)
        assert event.note.startswith("aucroc_macro: undefined on the validation split")
        assert event.note.endswith("follow the mean of aucroc_micro, aucprc_micro")
    best = max(validations, key=lambda event: event.monitored)
    manifest = json.loads(
        (result.run.checkpoint("metric") / "manifest.json").read_text(), parse_constant=pytest.fail
    )
    assert manifest["step"] == best.step
    assert manifest["metrics"]["aucroc_macro"] is None
    assert manifest["monitored_by"] == ["aucroc_micro", "aucprc_micro"]
    assert result.to_json()["monitored_by"] == ("aucroc_micro", "aucprc_micro")


@pytest.mark.parametrize("model", ["tiny", "tfidf"])
def test_if_nothing_monitored_is_defined_the_loss_is_monitored(config, all_have_all_codes, model):
    _, data = all_have_all_codes
    seen = Collected()
    options = {"metrics": "[aucroc_macro]", "steps": 65, "patience": 2, "lr0": 1e-3}
    result = run_training(config(data_path=data, model=model, **options), [seen])
    validations = [event for event in seen.events if isinstance(event, Evaluated)]
    assert {event.note.split("follow ")[1] for event in validations} == {"validation_loss"}
    assert result.monitored_by == ("validation_loss",)
    assert [event.best_metric for event in validations] == [
        event.best_loss for event in validations
    ]
    lowest = min(validations, key=lambda event: event.validation_loss)
    assert verify(result.run.checkpoint("metric"))["step"] == lowest.step
    if model == "tfidf":
        again = resume_training(result.run)
        assert math.isnan(again.metrics["aucroc_macro"])
