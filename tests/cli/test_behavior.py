"""`icdcode behavior`: a table of capabilities, and its JSON."""

import json

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
    assert {name: shares[name] for name in denied} == dict.fromkeys(denied, 1.0)
    assert answer.json["notes"] == sum(one["notes"] for one in answer.json["capabilities"])
    table = icdcode("behavior", run, "--codes", 2, "--failures")
    assert "notes about 2 conditions" in table.out
    assert "list of negatives" in table.out


def test_bad_templates_are_one_message(icdcode, run, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("negated: 1\n")
    answer = icdcode("behavior", run, "--templates", own)
    assert answer.code == 3
    assert "own.yaml, 'negated': expected the keys" in answer.err
    assert "Traceback" not in answer.err
