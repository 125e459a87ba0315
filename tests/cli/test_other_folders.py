"""A run that was made with relative paths, used from another folder."""

import shutil

import pytest


@pytest.mark.slow
def test_a_run_is_used_from_any_folder(icdcode, place, tmp_path, monkeypatch):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    elsewhere.mkdir()
    home.mkdir()
    shutil.copytree(place.tables, home / "tables")
    monkeypatch.chdir(home)
    text = place.config.read_text().replace(str(place.tables), "tables")
    (home / "config.yaml").write_text(text.replace(str(place.project), "runs"))
    assert icdcode("train", "config.yaml", "steps=6").code == 0
    split = ("--split", "validation", "--json")
    metrics = icdcode("evaluate", "runs/run", *split).json["metrics"]
    monkeypatch.chdir(elsewhere)
    assert icdcode("train", "../home/runs/run/args.yaml", "name=other", "seed=1").code == 0
    assert icdcode("evaluate", "../home/runs/run", *split).json["metrics"] == metrics
    assert icdcode("show-predictions", home / "runs" / "run", "-n", "1").code == 0
    both = (home / "runs" / "run", elsewhere / "runs" / "other")
    assert icdcode("compare", *both, *split).code == 0
    assert icdcode("resume", home / "runs" / "run", "steps=8").code == 0
    text = (home / "runs" / "run" / "args.yaml").read_text()
    assert "\ndata_path: tables\n" in text and "\nsteps: 8\n" in text
    assert not (elsewhere / "tables").exists()
