import os
import shutil
import stat

import pytest

from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import DataError, ResumeError
from icdcli.io.manifest import verify
from icdcli.run_dir import RunDir, find_checkpoint
from icdcli.training.checkpointing import (
    find_intact_checkpoint,
    make_last,
    save_checkpoint,
)
from icdcli.training.setup import new_training

ALONE = ProcessGroup(0, 1)
DROPOUT = {"lora_activate": True, "lora_dropout": 0.3, "lora_r": 4}


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
    return {path.name for path in (run.root / "weights").iterdir()} - {"names.json"}, {
        path.name for path in (run.root / "weights" / "steps").iterdir()
    }


def as_before(run):
    """The layout of older versions: folders in the place of links."""
    weights = run.root / "weights"
    for path in [path for path in weights.iterdir() if path.is_symlink()]:
        folder = path.resolve()
        path.unlink()
        if path.name != "previous":
            shutil.copytree(folder, path)
    shutil.rmtree(weights / "steps")


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


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


def test_only_the_user_can_read_a_checkpoint(saving):
    run, save = saving
    before = os.umask(0o022)
    try:
        save(1, "metric", "last")
    finally:
        os.umask(before)
    folder = run.checkpoint("last").resolve()
    modes = {
        path.relative_to(folder).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in folder.rglob("*")
    }
    assert modes.pop("backbone") == 0o700
    assert {"state.pt", "manifest.json", "backbone/tokenizer.json"} <= modes.keys()
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


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
        ResumeError,
        match=r"state.pt is missing|is not a checkpoint|can't be read|no checkpoint 'last'",
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


def test_a_missing_checkpoint_is_reported_with_those_there_are(saving):
    run, save = saving
    with pytest.raises(
        ResumeError, match=r"has no checkpoint 'metric'\. The run ended before its first checkpoint"
    ):
        find_checkpoint(run, "metric")
    save(5)
    with pytest.raises(ResumeError, match="It has last; choose one with --load"):
        find_checkpoint(run, "metric")
