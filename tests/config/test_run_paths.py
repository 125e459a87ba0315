"""The relative paths in a run's configuration, read from other folders."""

import json
import os
import shutil

import pytest

from icdcli.config.loading import load_config, to_yaml
from icdcli.run_dir import RunDir


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a project folder, the working folder, with data and a run in it."""
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    (home / "models" / "bert").mkdir(parents=True)
    monkeypatch.chdir(home)
    run = RunDir.create(home / "outputs" / "mimic3", "run")
    words = ["data_path=data", "model=models/bert", "cache_dir=cache", "name=run", "lora_r=4"]
    run.write_config(load_config(None, words))
    return home


def args(home):
    return home / "outputs" / "mimic3" / "run" / "args.yaml"


def test_the_file_keeps_what_was_typed(project):
    assert "\ndata_path: data\n" in args(project).read_text()
    assert (
        load_config(args(project)).data.path == load_config(args(project), as_typed=True).data.path
    )
    assert str(load_config(args(project)).data.data_path) == "data"


def test_paths_hold_in_every_folder(project, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()  # of somebody else
    monkeypatch.chdir(tmp_path)
    config = load_config(args(project))
    assert config.data.data_path == project / "data"
    assert config.data.cache_dir == project / "cache"  # it is made again there
    assert config.model.model == str(project / "models" / "bert")
    assert str(config.run.project) == "outputs/mimic3"


def test_a_table_of_codes_is_a_path(project, tmp_path, monkeypatch):
    (project / "kcd.csv").write_text("code,title\nA00,Cholera\n")
    run = RunDir(args(project).parent)
    monkeypatch.chdir(tmp_path)
    for name, found in (
        ("file:kcd.csv", f"file:{project}/kcd.csv"),
        ("file:/all/kcd.csv", "file:/all/kcd.csv"),
        ("icd10cm-2026", "icd10cm-2026"),
    ):
        run.write_config(load_config(None, [f"code_system={name}"]))
        (args(project).parent / "origin.json").write_text(json.dumps({"folder": str(project)}))
        assert load_config(args(project)).data.code_system == found


def test_a_hub_id_is_no_path(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    RunDir(args(project).parent).write_config(load_config(None, ["model=owner/name"]))
    assert load_config(args(project)).model.model == "owner/name"


def test_a_project_that_was_moved_as_a_whole_uses_its_own_data(project, tmp_path, monkeypatch):
    new = shutil.copytree(project, tmp_path / "new")
    monkeypatch.chdir(tmp_path)
    assert load_config(args(new)).data.data_path == new / "data"


def test_a_run_that_was_moved_alone_uses_the_data_it_was_made_with(project, tmp_path, monkeypatch):
    moved = shutil.copytree(args(project).parent, tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    assert load_config(moved / "args.yaml").data.data_path == project / "data"


def test_a_run_of_an_earlier_version_uses_the_folder_that_its_project_is_in(
    project, tmp_path, monkeypatch
):
    (args(project).parent / "origin.json").unlink()
    monkeypatch.chdir(tmp_path)
    assert load_config(args(project)).data.data_path == project / "data"
    moved = shutil.copytree(args(project).parent, tmp_path / "moved")
    assert str(load_config(moved / "args.yaml").data.data_path) == "data"


def test_paths_on_the_command_line_start_in_the_working_folder(project, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    config = load_config(args(project), ["data_path=other"])
    assert config.data.data_path == tmp_path / "other"
    RunDir(args(project).parent).change_config(config, ["data_path"])
    text = args(project).read_text()
    assert f"\ndata_path: {tmp_path / 'other'}\n" in text and "\ncache_dir: cache\n" in text
    monkeypatch.chdir(project)
    assert load_config(args(project)).data.data_path == tmp_path / "other"


def test_other_configurations_start_in_the_working_folder(project, tmp_path, monkeypatch):
    (project / "config.yaml").write_text(to_yaml(load_config(args(project))))
    monkeypatch.chdir(tmp_path)
    assert str(load_config(project / "config.yaml").data.data_path) == "data"


def test_only_the_user_can_read_where_a_run_was_made(project):
    assert os.stat(args(project).parent / "origin.json").st_mode & 0o777 == 0o600
