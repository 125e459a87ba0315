"""`icdcode behavior`: a table of capabilities, and its JSON."""

import json
import re

import pytest

WORDS = {"I10": "hypertension", "E11.9": "diabetes", "J18.9": "pneumonia", "N39.0": "urosepsis"}


@pytest.fixture(scope="module")
def run(icdcode, tmp_path_factory):
    """Return a TF-IDF model of facts."""
    folder = tmp_path_factory.mktemp("behavior")
    with (folder / "notes.jsonl").open("w", encoding="utf-8") as file:
        for number in range(60):
            codes = [code for place, code in enumerate(WORDS) if number >> place & 1] or ["I10"]
            text = "Admitted with " + ", ".join(WORDS[code] for code in codes)
            split = ("train", "train", "validation")[number % 3]
            row = {"id": f"n{number}", "text": text, "codes": codes, "split": split}
            file.write(json.dumps(row) + "\n")
    options = ("model=tfidf", f"data_path={folder}/notes.jsonl", "code_system=icd10")
    (folder / "config.yaml").write_text(f"project: {folder}\nname: run\nassertion: facts\n")
    answer = icdcode("train", folder / "config.yaml", *options, f"cache_dir={folder}/cache")
    assert answer.code == 0, answer.err
    return folder / "run"


def test_each_capability_has_its_share_and_interval(icdcode, run):
    answer = icdcode("behavior", run, "--json")
    assert answer.code == 0, answer.err
    shares = {one["name"]: one["rate"] for one in answer.json["capabilities"]}
    assert shares["affirmed"] > 0.5
    denied = ("negated", "family", "unchecked box", "list of negatives")
    assert min(shares[name] for name in denied) > 0.6
    assert answer.json["notes"] == sum(one["notes"] for one in answer.json["capabilities"])
    table = icdcode("behavior", run, "--codes", 2, "--failures")
    assert "notes about 2 conditions" in table.out
    assert "list of negatives" in table.out


def test_held_out_notes_are_tested_alone(icdcode, run):
    whole, held_out = (
        icdcode("behavior", run, "--json", *options).json for options in ((), ("--held-out",))
    )
    expected = sum(one["held_out_notes"] for one in whole["capabilities"])
    assert 0 < held_out["notes"] == expected < whole["notes"]


def test_a_page_shows_what_fails(icdcode, run):
    answer = icdcode("behavior", run, "--html", "--codes", 3)
    assert answer.code == 0, answer.err
    assert "behavior.html" in "".join(answer.out.split())
    page = (run / "behavior.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "<title>Behavior of run</title>" in page
    assert "<td class=text>unchecked box</td><td class=text>not coded</td>" in page
    assert "typo (should be coded): " in page
    assert "laterality: not tested" in page
    assert not re.search(r"<(?:script|link|img)|https?:|@import|url\(", page)


def test_bad_templates_are_one_message(icdcode, run, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("negated: 1\n")
    answer = icdcode("behavior", run, "--templates", own)
    assert answer.code == 3
    assert "own.yaml, 'negated': expected the keys" in answer.err
    assert "Traceback" not in answer.err
