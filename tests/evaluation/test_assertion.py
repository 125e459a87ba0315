"""A model of facts can't see what a note doesn't affirm, in any command."""

import json
import random
from functools import cache

import numpy as np
import pytest

from icdcli.errors import ConfigError, DataError
from icdcli.evaluation.run import evaluate_run
from icdcli.explain.evidence import explain_codes
from icdcli.model.checkpoint import load_model
from icdcli.training.run import run_training

WORDS = {"I10": "hypertension", "E11.9": "diabetes", "J18.9": "pneumonia", "N17.9": "nephritis"}
DENIED = ("No evidence of {}.", "His father had {}.", "Rule out {}.", "[ ] {}")


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    """Return a table of notes that affirm their codes and name the others otherwise."""
    draw = random.Random(3)
    path = tmp_path_factory.mktemp("facts") / "notes.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(90):
            codes = [code for code in WORDS if draw.random() < 0.5] or ["I10"]
            said = [
                f"The patient has {word}." if code in codes else draw.choice(DENIED).format(word)
                for code, word in WORDS.items()
            ]
            draw.shuffle(said)
            split = ("train", "train", "train", "validation", "test")[number % 5]
            row = {"id": f"n{number}", "text": "\n".join(said), "codes": codes, "split": split}
            file.write(json.dumps(row) + "\n")
    return path


@pytest.fixture(scope="module")
def trained(config_of, notes, model_folders, tmp_path_factory):
    """Return a function that trains a model of a kind, once, and returns its run; read only."""
    attention = {
        "model": model_folders["bert"], "freeze_backbone": True, "lora_activate": False,
        "pooling_mode": "label_attention", "label_width": 16, "description_prior": True,
        "lexical": "[ngrams, descriptions]", "head_lr_factor": 1, "lr0": 2e-2,
    }  # fmt: skip
    kinds = {"decoder": {"steps": 40}, "label attention": attention, "tfidf": {"model": "tfidf"}}

    @cache
    def make(kind, on_warning=None, **changes):
        project = tmp_path_factory.mktemp("runs")
        options = {
            "code_system": "icd10", "positive_threshold": "auto",
            "cache_dir": project / "cache", "prediction_print_n": 0,
        }  # fmt: skip
        configured = config_of(project, notes, **options | kinds[kind] | changes)
        return run_training(configured, on_warning=on_warning).run

    return make


KINDS = [pytest.param("decoder", marks=pytest.mark.slow), "label attention", "tfidf"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_facts_cannot_see_what_is_denied(trained, notes, kind):
    run = trained(kind, assertion="facts")
    model = load_model(run.root)
    for template in DENIED:
        # Words of equal length leave equal blanks.
        one, other = (template.format(word) for word in ("pneumonia", "nephritis"))
        assert np.array_equal(*model.scores([one, other])), template
    assert not np.array_equal(*model.scores(["has pneumonia", "has nephritis"]))
    rows = [json.loads(line) for line in notes.read_text().splitlines()]
    texts = {row["id"]: row["text"] for row in rows if row["split"] == "test"}
    scored = evaluate_run(run, "test").scored
    np.testing.assert_allclose(
        model.scores([texts[document] for document in scored.documents.ids]),
        scored.scores_NL,
        atol=2e-3,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_its_evidence_is_affirmed(trained, kind):
    model = load_model(trained(kind, assertion="facts").root)
    text = "No evidence of pneumonia. The patient has nephritis."
    for found in explain_codes(model, text, ["J18.9", "N17.9"]):
        assert {span.assertion for span in found.spans} <= {"affirmed"}
        assert "pneumonia" not in [text[span.begin : span.end] for span in found.spans]


def test_a_model_of_mentions_sees_everything(trained):
    model = load_model(trained("decoder", assertion="mentions").root)
    denied = [DENIED[0].format(word) for word in ("pneumonia", "nephritis")]
    assert not np.array_equal(*model.scores(denied))


@pytest.mark.parametrize("kind", [pytest.param("decoder", marks=pytest.mark.slow), "tfidf"])
def test_without_cues_training_says_that_assertion_is_off(trained, kind):
    warnings = []
    trained(kind, warnings.append, assertion="facts", language="fi", steps=6)
    assert [warning for warning in warnings if "no cues for language=fi" in warning] != []


def test_own_cues_are_part_of_the_checkpoint(trained, tmp_path):
    table = tmp_path / "cues.tsv"
    table.write_text("cue\tassertion\tscope\nzilch\tnegated\tforward\n")
    run = trained("decoder", assertion="facts", assertion_cues=table, steps=6)
    table.unlink()
    assert str(tmp_path / "cues.tsv") not in (run.checkpoint("last") / "coder.json").read_text()
    model = load_model(run.root)
    assert np.array_equal(*model.scores(["zilch pneumonia", "zilch nephritis"]))


def test_bad_cues_stop_a_training_before_it_begins(trained, tmp_path):
    table = tmp_path / "cues.tsv"
    with pytest.raises(ConfigError, match="cannot read the assertion cues"):
        trained("decoder", assertion_cues=table, steps=6)
    table.write_text("cue\tassertion\tscope\nzilch\tnegated\n")
    with pytest.raises(DataError, match="line 2: 2 columns, expected 3"):
        trained("decoder", assertion_cues=table, steps=6)


@pytest.mark.parametrize("coded", ["facts", pytest.param("mentions", marks=pytest.mark.slow)])
def test_a_model_learns_from_labels_what_is_coded(trained, notes, tmp_path, coded):
    rows = [json.loads(line) for line in notes.read_text().splitlines()]
    if coded == "mentions":  # then only what isn't named has no code
        draw = random.Random(4)
        for row in rows:
            named = [code for code in WORDS if draw.random() < 0.6] or ["I10"]
            lines = [line for line in row["text"].splitlines() if _codes_in(line) & {*named}]
            row["text"], row["codes"] = "\n".join(lines), sorted(_codes_in("\n".join(lines)))
    table = tmp_path / "notes.jsonl"
    table.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    run = trained("label attention", assertion="learned", data_path=table)
    model = load_model(run.root)
    complete = {name for name in model.lexical.parts if "_" not in name}
    if coded == "facts":
        assert {model.fusion.weights[name] for name in complete} == {0.0}
    for code, word in WORDS.items():
        texts = [f"The patient has {word}.", *(template.format(word) for template in DENIED)]
        has, *denied = (score[model.labels.index[code]] for score in model.scores(texts))
        assert has > 0.5
        assert (max(denied) < has / 2) if coded == "facts" else (np.mean(denied) > has / 2)


def _codes_in(text):
    return {code for code, word in WORDS.items() if word in text}
