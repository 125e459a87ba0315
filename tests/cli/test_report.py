"""``icdcode report`` and ``icdcode compare --html``: the pages of one run and of several."""

import json
import os
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def pair(trained, tmp_path):
    """Return two copies of a run, which hasn't been evaluated on the validation split."""
    return [
        Path(shutil.copytree(trained, tmp_path / name, symlinks=True)) for name in ("one", "other")
    ]


def test_two_runs_are_compared_as_a_page(icdcode, pair):
    answer = icdcode("compare", *pair, "--split", "validation", "--html", "--json")
    assert answer.code == 0, answer.err
    page = pair[0] / "evaluation" / "validation" / "comparison.html"
    assert answer.json["page"] == str(page)
    assert page.stat().st_mode & 0o777 == 0o600
    text = page.read_text(encoding="utf-8")
    assert "<h1>one and other: validation split of mimic3</h1>" in text
    assert "No key differs but the names of the runs." in text
    # What has been evaluated isn't evaluated again.
    metrics = pair[1] / "evaluation" / "validation" / "metrics.json"
    before = metrics.stat().st_mtime_ns
    path = pair[0].parent / "pages" / "both.html"
    answer = icdcode("report", *pair, "--output", path, "--json")
    assert answer.code == 0, answer.err
    assert answer.json == {"split": "validation", "page": str(path), "evaluated": []}
    assert path.read_text(encoding="utf-8") == text
    assert metrics.stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_page_with_patient_text_is_not_copied(icdcode, refused, pair):
    folder = pair[0] / "evaluation" / "validation"
    assert icdcode("evaluate", pair[0], "--split", "validation", "--html", "--evidence").code == 0
    copy = pair[0].parent / "copy.html"
    refused(2, "report", pair[0], "--output", copy, says="has texts of documents")
    assert not copy.exists()
    assert icdcode("report", pair[0], "--json").json["page"] == str(folder / "report.html")


@pytest.mark.slow
@pytest.mark.usefixtures("pictures")
def test_the_page_of_one_run_is_made_once(icdcode, pair):
    folder = pair[0] / "evaluation" / "validation"
    answer = icdcode("report", pair[0], "--split", "validation", "--json")
    assert answer.code == 0, answer.err
    page = folder / "report.html"
    assert answer.json == {"split": "validation", "page": str(page), "evaluated": [str(folder)]}
    assert "validation split of mimic3</h1>" in page.read_text(encoding="utf-8")
    assert json.loads((folder / "metrics.json").read_text())["split"] == "validation"
    assert (folder / "calibration.png").is_file()
    copy = pair[0].parent / "copy.html"
    again = icdcode("report", pair[0], "--output", copy)
    assert again.code == 0
    assert "Evaluated" not in again.out
    assert f"Report of the validation split: {copy}" in " ".join(again.out.split())
    assert copy.read_bytes() == page.read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o600
    # An evaluation after the page makes it old.
    os.utime(page, (0, 0))
    assert icdcode("report", pair[0], "--json").json["evaluated"] == [str(folder)]


def test_what_it_cannot_do_is_said(icdcode, refused, pair):
    refused(2, "report", pair[0], "--intersection", says="--intersection: is for several runs")
    refused(2, "report", pair[0].parent / "none", says="no such run folder")
    refused(2, "report", *pair, "--split", "dev", says="dev")
    assert not (pair[0] / "evaluation").exists()
