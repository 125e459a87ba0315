"""The demo command, and the configurations that come with the package."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from icdcli.cli.demo import _activation, notes_to_review, unfinished
from icdcli.config.loading import find_config, load_config, shipped_configs
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import open_corpus
from icdcli.data.notes.files import find_notes

SMALL = ("steps=6", "warmup_steps=1", "max_len=16", "batch_size=4")


@pytest.mark.slow
def test_a_second_demo_resumes_an_interrupted_run_and_a_third_counts_up(
    icdcode, tmp_path, monkeypatch
):
    first = icdcode("demo", tmp_path, "--json", *SMALL)
    assert first.code == 0, first.err
    run = tmp_path / "outputs" / "demo" / "tiny"
    assert first.json["run"] == str(run)
    assert (run / "evaluation" / "test" / "metrics.json").is_file()
    assert (run / "new_note.jsonl").read_text().count("\n") == 1
    capabilities = {one["name"] for one in first.json["behavior"]["capabilities"]}
    assert {"affirmed", "negated", "family"} <= capabilities
    assert "== Behavior: icdcode behavior" in first.err
    assert "list of negatives" in first.err
    to_review = tmp_path / "outputs" / "demo" / "notes_to_review.jsonl"
    assert len(list(find_notes([str(to_review)]))) == 30
    assert f"icdcode serve {run} --notes {to_review}" in first.err
    monkeypatch.setattr("icdcli.cli.demo._behavior", lambda *_: None)  # once is enough
    note = tmp_path / "outputs" / "demo" / "new_note.txt"
    note.write_text("No evidence of pneumonia.\n")
    args = run / "args.yaml"
    args.write_text(
        args.read_text().replace("steps: 6", "steps: 8")
    )  # as a run that was interrupted at step 6
    notes = (tmp_path / "data" / "demo" / "NOTEEVENTS.csv.gz").stat()
    second = icdcode("demo", tmp_path, "--json", *SMALL)
    assert second.code == 0, second.err
    assert second.json["run"] == str(run)
    assert "step 6" in second.err
    third = icdcode("demo", tmp_path, "--json", *SMALL)
    assert third.json["run"] == f"{run}2"
    assert note.read_text() == "No evidence of pneumonia.\n"  # changed by the user
    assert (
        tmp_path / "data" / "demo" / "NOTEEVENTS.csv.gz"
    ).stat().st_mtime_ns == notes.st_mtime_ns


def test_the_demo_says_how_a_shell_finds_icdcode_unless_it_does(tmp_path, monkeypatch):
    programs = tmp_path / "my notes" / ".venv" / "bin"
    programs.mkdir(parents=True)
    monkeypatch.setattr("sys.executable", str(programs / "python"))
    monkeypatch.setenv("PATH", str(programs))
    assert _activation() == []  # as on systems whose environments have no such script
    (programs / "activate").touch()
    assert _activation() == [f"source '{programs / 'activate'}'"]
    monkeypatch.chdir(tmp_path / "my notes")
    assert _activation() == ["source .venv/bin/activate"]
    (programs / "icdcode").touch(mode=0o700)
    assert _activation() == []


def test_the_demo_offers_notes_of_the_test_split_for_review(config, tmp_path):
    chosen = config()
    corpus = open_corpus(prepare(chosen.data).folder)
    chosen.run.project.mkdir()
    path = notes_to_review(SimpleNamespace(corpus=corpus, config=chosen))
    found = list(find_notes([str(path)]))
    assert [note.id for note in found] == corpus.documents("test").ids[: len(found)]
    assert [note.text for note in found] == list(corpus.texts("test"))[:30]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_project_without_checkpoints_has_nothing_to_resume(tmp_path):
    config = load_config("demo.yaml", [f"project={tmp_path}"])
    assert unfinished(config) is None
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "args.yaml").write_text("steps: 5\n")
    assert unfinished(config) is None


def test_a_shipped_configuration_is_found_by_name_if_there_is_no_such_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config("laptop.yaml").run.name == "laptop"
    assert load_config("configs/laptop.yaml").run.name == "laptop"


@pytest.mark.parametrize("given", ["laptop", "configs/laptop"])
def test_a_shipped_configuration_is_found_without_its_suffix(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    assert find_config(Path(given)) == shipped_configs()["laptop.yaml"]
    Path(given).mkdir(parents=True)  # as a run of this name makes one
    assert find_config(Path(given)) == shipped_configs()["laptop.yaml"]


def test_a_file_without_a_suffix_comes_before_the_shipped_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("laptop").write_text("name: mine\n")
    assert load_config("laptop").run.name == "mine"


def test_a_file_of_ones_own_comes_before_the_shipped_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("laptop.yaml").write_text("name: mine\n")
    assert load_config("laptop.yaml").run.name == "mine"


def test_a_path_elsewhere_is_not_a_shipped_name(tmp_path):
    assert find_config(tmp_path / "laptop.yaml") == tmp_path / "laptop.yaml"


def test_config_list_names_every_shipped_configuration_with_a_line_about_it(icdcode):
    listed = icdcode("config", "list", "--json").json
    assert set(listed) == set(shipped_configs()) >= {"demo.yaml", "laptop.yaml", "config.yaml"}
    assert all(listed.values())


def test_a_missing_configuration_is_an_error_with_a_hint_at_the_shipped_ones(icdcode):
    answer = icdcode("train", "nothing.yaml")
    assert answer.code == 2
    assert "nothing.yaml" in answer.err
    assert "icdcode config list" in answer.err


def test_no_file_of_the_repository_has_a_name_that_windows_refuses():
    root = Path(__file__).parents[2]
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, check=False
    ).stdout.decode()
    names = [name for name in listed.split("\0") if name] or [
        str(path.relative_to(root)) for path in root.glob("*")
    ]
    assert names
    assert [name for name in names if set(name) & set('<>:"\\|?*')] == []


def test_resolving_a_shipped_name_costs_no_heavy_import():
    code = (
        "import sys; from icdcli.config.loading import load_config; "
        "load_config('demo.yaml'); print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    assert not {"torch", "transformers", "pandas", "pyarrow"} & set(loaded.stdout.split())
