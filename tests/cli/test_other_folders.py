"""A run that was made with relative paths, used from another folder."""

import shutil

import pytest


@pytest.mark.slow
def test_a_run_is_used_from_any_folder(icdcode, place, tmp_path, monkeypatch):
    first, elsewhere = tmp_path / "first", tmp_path / "elsewhere"
    elsewhere.mkdir()
    first.mkdir()
    shutil.copytree(place.tables, first / "tables")
    monkeypatch.chdir(first)
    text = place.config.read_text().replace(str(place.tables), "tables")
    (first / "config.yaml").write_text(text.replace(str(place.project), "runs"))
    assert icdcode("train", "config.yaml", "steps=6").code == 0
    split = ("--split", "validation", "--json")
    metrics = icdcode("evaluate", "runs/run", *split).json["metrics"]
    monkeypatch.chdir(elsewhere)
    assert icdcode("train", "../first/runs/run/args.yaml", "name=other", "seed=1").code == 0
    assert icdcode("evaluate", "../first/runs/run", *split).json["metrics"] == metrics
    assert icdcode("show-predictions", first / "runs" / "run", "-n", "1").code == 0
    both = (first / "runs" / "run", elsewhere / "runs" / "other")
    assert icdcode("compare", *both, *split).code == 0
    assert icdcode("resume", first / "runs" / "run", "steps=8").code == 0
    text = (first / "runs" / "run" / "args.yaml").read_text()
    assert "\ndata_path: tables\n" in text and "\nsteps: 8\n" in text
    assert not (elsewhere / "tables").exists()
