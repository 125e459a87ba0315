import json
import os
import shutil
import signal

import pytest
import torch

from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import DataError, ResumeError
from icdcli.io.manifest import verify
from icdcli.model.checkpoint import load_model
from icdcli.run_dir import RunDir, find_checkpoint, read_rows
from icdcli.training.checkpointing import (
    find_intact_checkpoint,
    make_last,
    save_checkpoint,
)
from icdcli.training.events import Evaluated, Saved, StepDone, Stopped
from icdcli.training.loop import train
from icdcli.training.recorder import recording
from icdcli.training.setup import new_training, resumed_training

ALONE = ProcessGroup(0, 1, torch.device("cpu"))
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


@pytest.fixture
def saving(config):
    """A run that has not trained, and a function that saves it as if it were at a step."""
    training, _ = new_training(config(), ALONE)
    run = RunDir.create(config().run.project, "run")

    def save(step, *names):
        training.state.step = step
        save_checkpoint(run, names or ("last",), training, {"corpus": "x"})

    return run, save


@pytest.fixture
def no_links(monkeypatch):
    """A file system without symbolic links."""

    def refuse(*arguments, **options):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)


def steps_of(run, *names):
    return {
        name: verify(run.checkpoint(name))["step"]
        for name in names or ("metric", "loss", "last", "previous")
    }


def in_weights(run):
    return {path.name for path in (run.root / "weights").iterdir()}, {
        path.name for path in (run.root / "weights" / "steps").iterdir()
    }


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def without_times(path):
    times = ("seconds", "tokens_per_second")
    return [
        {key: value for key, value in row.items() if key not in times} for row in read_rows(path)
    ]


@pytest.mark.parametrize("stop_after", [3, 13, 17, 24])
@pytest.mark.parametrize("options", [{}, DROPOUT])
def test_an_interrupted_run_goes_on_to_the_same_end(config, tmp_path, stop_after, options):
    whole, _ = run_it(config(**options), "whole")
    parts, events = run_it(config(**options), "parts", stop_after)
    assert isinstance(events[-2], Stopped)
    assert events[-1] == Saved("last", stop_after)
    resume_it(config(**options), parts)
    assert without_times(parts.results) == without_times(whole.results)
    assert without_times(parts.steps) == without_times(whole.steps)
    for name in ("metric", "loss", "last"):
        ends = [
            json.loads((run.checkpoint(name) / "manifest.json").read_text())["files"]
            for run in (whole, parts)
        ]
        weights = [
            {file: digest for file, digest in end.items() if file.endswith(".safetensors")}
            for end in ends
        ]
        assert weights[0] == weights[1]


def test_what_is_written_when(config):
    run, events = run_it(config())
    saved = [event for event in events if isinstance(event, Saved)]
    validated = [event for event in events if isinstance(event, Evaluated)]
    assert [event.step for event in saved if event.name == "last"] == [
        event.step for event in validated
    ]
    assert [event.step for event in saved if event.name == "metric"] == [
        e.step for e in validated if e.best_metric
    ]
    assert [event.step for event in saved if event.name == "loss"] == [
        e.step for e in validated if e.best_loss
    ]
    last = [event.step for event in validated]
    assert steps_of(run, "last", "previous") == {"last": last[-1], "previous": last[-2]}
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


def test_the_optimiser_and_the_counters_come_back(config):
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


def test_names_are_relative_links_to_the_folders_of_steps(saving):
    run, save = saving
    save(5, "metric", "loss", "last")
    save(9, "loss", "last")
    save(12)
    links = {
        name: os.readlink(run.checkpoint(name)) for name in ("metric", "loss", "last", "previous")
    }
    assert links == {
        "metric": "steps/5",
        "loss": "steps/9",
        "last": "steps/12",
        "previous": "steps/9",
    }
    assert find_checkpoint(run, "last") == run.root / "weights" / "steps" / "12"
    moved = shutil.copytree(run.root, run.root.parent / "moved", symlinks=True)
    assert verify(find_checkpoint(RunDir(moved), "loss"))["step"] == 9


def test_what_no_name_stands_for_is_removed(saving):
    run, save = saving
    (run.root / "weights" / "steps" / ".new" / "half").mkdir(parents=True)
    for step in (1, 2, 3, 4):
        save(step, *(["metric"] if step == 2 else []), "last")
    assert in_weights(run) == ({"metric", "last", "previous", "steps"}, {"2", "3", "4"})


def test_a_step_saved_again_has_a_folder_of_its_own(saving):
    run, save = saving
    save(6)
    save(6, "metric", "last")
    assert (
        os.readlink(run.checkpoint("metric")) == os.readlink(run.checkpoint("last")) == "steps/6-2"
    )
    save(7)
    assert in_weights(run)[1] == {"6-2", "7"}


def test_one_rename_moves_a_name_after_all_is_flushed_and_before_anything_is_removed(
    saving, monkeypatch
):
    run, save = saving
    save(1)
    save(2)
    done = []

    def noting(module, name):
        function = getattr(module, name)

        def note(path, *arguments, **options):
            done.append(
                (
                    name,
                    os.path.relpath(
                        os.fspath(arguments[0] if name == "replace" else path), run.root / "weights"
                    ),
                )
            )
            return function(path, *arguments, **options)

        monkeypatch.setattr(module, name, note)

    monkeypatch.setattr(
        "icdcli.training.checkpointing.flush", lambda path: done.append(("flush", path.name))
    )
    noting(os, "replace")
    noting(shutil, "rmtree")
    save(3, "metric", "loss", "last")
    names = [
        "previous",
        "metric",
        "loss",
        "last",
    ]  # `last` last: killed before, a run does the others again
    renames = [("replace", name) for name in ("steps/3", *names)]
    flushes = [("flush", name) for name in ("manifest.json", ".new", "steps", "weights")]
    order = [*flushes[:2], renames[0], flushes[2], *renames[1:], flushes[3], ("rmtree", "steps/1")]
    places = [done.index(step) for step in order]
    assert places == sorted(places)
    assert all(done.count(rename) == 1 for rename in renames)


def test_a_broken_last_is_skipped_with_a_warning(saving):
    run, save = saving
    save(5, "metric", "last")
    save(9, "metric", "last")
    flip_a_byte(run.checkpoint("last") / "head.safetensors")
    warnings = []
    folder, manifest = find_intact_checkpoint(run, "last", warnings.append)
    assert folder == run.root / "weights" / "steps" / "5"
    assert manifest["step"] == 5
    [warning] = warnings
    assert "9/head.safetensors: was changed or is damaged" in warning
    assert "Resuming from the checkpoint before: " in warning
    with pytest.raises(ResumeError, match=r"head.safetensors: was changed or is damaged"):
        find_intact_checkpoint(run, "metric", warnings.append)
    make_last(run, folder)
    save(7)
    assert steps_of(run, "last", "previous") == {"last": 7, "previous": 5}


@pytest.mark.parametrize("harm", ["missing file", "no manifest", "half a manifest", "no folder"])
def test_a_half_written_last_is_skipped(saving, harm):
    run, save = saving
    save(5)
    save(9)
    last = find_checkpoint(run, "last")
    match harm:
        case "missing file":
            (last / "state.pt").unlink()
        case "no manifest":
            (last / "manifest.json").unlink()
        case "half a manifest":
            (last / "manifest.json").write_text('{"step": 9, "fi')
        case "no folder":
            shutil.rmtree(last)
    warnings = []
    assert find_intact_checkpoint(run, "last", warnings.append)[1]["step"] == 5
    assert len(warnings) == 1
    (run.checkpoint("previous") / "state.pt").unlink()
    with pytest.raises(
        ResumeError, match=r"state.pt is missing|holds no|can't be read|no checkpoint 'last'"
    ):
        find_intact_checkpoint(run, "last", warnings.append)
    assert len(warnings) == 1


def test_going_back_makes_it_the_last(saving):
    run, save = saving
    save(5, "metric", "last")
    save(9)
    save(12)
    left_behind = shutil.copytree(
        find_checkpoint(run, "last"), run.root / "weights" / "steps" / "8"
    )
    make_last(run, find_checkpoint(run, "metric"))
    assert steps_of(run, "metric", "last") == {"metric": 5, "last": 5}
    assert not run.checkpoint("previous").exists()
    assert not left_behind.exists()
    assert in_weights(run)[1] == {"5", "9", "12"}
    save(7)
    assert steps_of(run, "metric", "last", "previous") == {"metric": 5, "last": 7, "previous": 5}
    assert in_weights(run)[1] == {"5", "7"}


def test_a_folder_takes_the_place_of_a_link_where_the_layouts_mix(saving):
    run, save = saving
    save(5, "metric", "last")
    save(9)
    metric = run.checkpoint("metric")
    folder = metric.resolve()
    metric.unlink()
    shutil.copytree(folder, metric)
    make_last(run, find_checkpoint(run, "metric"))
    assert steps_of(run, "metric", "last") == {"metric": 5, "last": 5}
    save(7, "metric", "last")
    assert steps_of(run, "metric", "last", "previous") == {"metric": 7, "last": 7, "previous": 5}
    assert in_weights(run) == ({"metric", "last", "previous", "steps"}, {"7"})


def as_before(run):
    """The layout of older versions: folders in the place of links."""
    weights = run.root / "weights"
    for path in [path for path in weights.iterdir() if path.is_symlink()]:
        folder = path.resolve()
        path.unlink()
        if path.name != "previous":
            shutil.copytree(folder, path)
    shutil.rmtree(weights / "steps")


def test_a_run_of_the_older_layout_goes_on(config):
    run, _ = run_it(config(), stop_after=17)
    as_before(run)
    assert load_model(run.root).labels == load_model(run.root, "last").labels
    resume_it(config(), run)
    assert steps_of(run, "last", "previous") == {"last": 24, "previous": 17}
    assert run.checkpoint("last").is_symlink()
    whole, _ = run_it(config(), "whole")
    assert without_times(run.results) == without_times(whole.results)


@pytest.mark.usefixtures("no_links")
def test_without_symbolic_links_the_names_are_folders(saving):
    run, save = saving
    save(5, "metric", "loss", "last")
    save(9, "loss", "last")
    assert steps_of(run) == {"metric": 5, "loss": 9, "last": 9, "previous": 5}
    assert in_weights(run) == ({"metric", "loss", "last", "previous", "steps"}, set())
    files = [run.checkpoint(name) / "head.safetensors" for name in ("loss", "last")]
    assert files[0].stat().st_ino == files[1].stat().st_ino
    make_last(run, find_checkpoint(run, "metric"))
    assert steps_of(run, "metric", "last") == {"metric": 5, "last": 5}
    assert not any(path.is_symlink() for path in (run.root / "weights").rglob("*"))


def test_a_process_that_died_between_the_renames_loses_nothing(saving):
    run, save = saving
    save(5)
    as_before(run)
    last = run.checkpoint("last")
    aside = last.rename(last.with_name(".previous-last"))
    assert find_checkpoint(run, "last") == aside
    assert verify(aside)["step"] == 5
    save(6)
    assert steps_of(run, "last", "previous") == {"last": 6, "previous": 5}
    assert not aside.exists()


def test_a_failed_write_keeps_the_checkpoint_before(saving, monkeypatch):
    run, save = saving
    save(5)
    before = verify(run.checkpoint("last"))

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("icdcli.training.checkpointing.torch.save", full)
    with pytest.raises(DataError, match=r"step 9 can.t be written .*No space left"):
        save(9, "metric", "last")
    assert verify(run.checkpoint("last")) == before
    assert in_weights(run) == ({"last", "steps"}, {"5"})


def test_a_checkpoint_that_reads_back_otherwise_is_not_made_current(saving, monkeypatch):
    run, save = saving
    save(5)
    monkeypatch.setattr(
        "icdcli.training.checkpointing._flush_all", lambda side: flip_a_byte(side / "state.pt")
    )
    with pytest.raises(
        DataError, match=r"step 9 can.t be written .*state.pt: was changed or is damaged"
    ):
        save(9)
    assert steps_of(run, "last") == {"last": 5}


def test_a_missing_checkpoint_is_told_with_those_there_are(saving):
    run, save = saving
    with pytest.raises(
        ResumeError, match=r"has no checkpoint 'metric'\. The run ended before its first checkpoint"
    ):
        find_checkpoint(run, "metric")
    save(5)
    with pytest.raises(ResumeError, match="It has last; choose one with --load"):
        find_checkpoint(run, "metric")
