"""Runs that were copied by programs that don't keep symbolic links."""

import json
import os
import shutil

import pytest

from icdcli.run_dir import CHECKPOINTS, RunDir, find_checkpoint


def as_nothing(link):
    """As `rsync -r` and object stores copy a link."""


def as_empty_folder(link):
    """As Python's shutil unpacks a link."""
    link.mkdir()


def as_text(link):
    """As git checks a link out on Windows."""
    link.write_text("steps/12")


@pytest.fixture
def copies(run_copy):
    """Return a function that makes a copy of the run whose links became something else."""

    def make(replace, names=True):
        copy = shutil.copytree(run_copy, run_copy.with_name("copy"), symlinks=True)
        for link in [path for path in (copy / "weights").iterdir() if path.is_symlink()]:
            link.unlink()
            replace(link)
        if not names:  # a run of an earlier version
            (copy / "weights" / "names.json").unlink()
        return copy

    return make


@pytest.fixture(scope="module")
def results(icdcode, trained, tmp_path_factory, without_pictures):
    """Return the results of the run itself."""
    folder = tmp_path_factory.mktemp("original")
    with without_pictures():
        return results_of(icdcode, shutil.copytree(trained, folder / "run", symlinks=True), folder)


@pytest.fixture(scope="module")
def resumed(icdcode, trained, tmp_path_factory, without_pictures):
    """Return a resumed copy of the run with all its links, and its new weights."""
    run = shutil.copytree(trained, tmp_path_factory.mktemp("resumed") / "run", symlinks=True)
    with without_pictures():
        return run, weights_after(icdcode, run)


def results_of(icdcode, run, tmp_path):
    note = tmp_path / "note.txt"
    note.write_text("Known congestive heart failure.")
    evaluation = icdcode("evaluate", run, "--split", "validation", "--json")
    codes = icdcode("predict", run, note, "--top", 3, "--device", "cpu", "--json")
    assert (evaluation.code, codes.code) == (0, 0), (evaluation.err, codes.err)
    return evaluation.json["metrics"], evaluation.json["step"], codes.json["codes"]


def weights_after(icdcode, run):
    answer = icdcode("resume", run, "steps=14")
    assert answer.code == 0, answer.err
    folder = find_checkpoint(RunDir(run), "last")
    return folder.name, (folder / "head.safetensors").read_bytes()


@pytest.mark.parametrize("names", [True, False], ids=["this version", "earlier version"])
@pytest.mark.parametrize(
    "replace", [as_nothing, as_text, pytest.param(as_empty_folder, marks=pytest.mark.slow)]
)
def test_a_copy_without_links_gives_the_same_results(
    icdcode, copies, run_copy, tmp_path, results, replace, names
):
    copy = copies(replace, names)
    for name in CHECKPOINTS:
        found = find_checkpoint(RunDir(copy), name).name
        assert found == find_checkpoint(RunDir(run_copy), name).name
    if names:
        assert results_of(icdcode, copy, tmp_path) == results


@pytest.mark.parametrize(
    "names",
    [True, pytest.param(False, marks=pytest.mark.slow)],
    ids=["this version", "earlier version"],
)
def test_a_copy_without_links_is_resumed_and_gets_its_links(icdcode, copies, resumed, names):
    copy = copies(as_empty_folder, names)
    original, weights = resumed
    assert weights_after(icdcode, copy) == weights
    for name in (*CHECKPOINTS, "previous"):
        link = RunDir(original).checkpoint(name)
        assert os.readlink(RunDir(copy).checkpoint(name)) == os.readlink(link)


@pytest.mark.slow
def test_a_copy_with_folders_for_links_is_complete(icdcode, run_copy, tmp_path):
    copy = shutil.copytree(run_copy, tmp_path / "copy")  # follows links, as `cp -rL` does
    assert results_of(icdcode, copy, tmp_path) == results_of(icdcode, run_copy, tmp_path)
    assert weights_after(icdcode, copy)[1] == weights_after(icdcode, run_copy)[1]


def test_the_best_checkpoint_is_recognized_by_the_monitored_metric(config_run):
    assert [find_checkpoint(config_run, name).name for name in CHECKPOINTS] == ["4", "8", "12"]


@pytest.fixture
def config_run(tmp_path):
    """Return a run of an earlier version without links: the second of three is best by loss."""
    run = RunDir(tmp_path / "run")
    for step, metric, loss in ((4, 0.5, 0.3), (8, 0.4, 0.2), (12, 0.3, 0.4)):
        folder = run.checkpoint("steps") / str(step)
        folder.mkdir(parents=True)
        about = {"step": step, "metrics": {"map": metric, "f1_micro": 0}, "validation_loss": loss}
        (folder / "manifest.json").write_text(json.dumps({**about, "files": {"a": "b"}}))
    run.args.write_text("monitor: map\nmetrics: [map, f1_micro]\n")
    return run


def test_the_link_of_a_checkpoint_alone_is_no_copy(refused, run_copy, tmp_path):
    (tmp_path / "note.txt").write_text("text")
    shutil.copy(run_copy / "weights" / "last", tmp_path / "model", follow_symlinks=False)
    says = ["model: is a link to steps/12", "cp -rL RUN_DIR/weights/last model"]
    for command in ("predict", "evaluate", "resume"):
        words = [tmp_path / "note.txt"] if command == "predict" else []
        refused(2, command, tmp_path / "model", *words, says=says)


def test_links_without_their_folders_are_explained(refused, run_copy):
    shutil.rmtree(run_copy / "weights" / "steps")
    says = "Its link leads to steps/12-2, which isn't there: copy the run with its folder"
    refused(4, "evaluate", run_copy, says=says)
