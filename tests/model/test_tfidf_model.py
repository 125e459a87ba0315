import json

import numpy as np
import pytest

import icdcli
from icdcli.data.corpus.reader import Labels
from icdcli.data.notes.text import Note
from icdcli.errors import ResumeError
from icdcli.explain.evidence import evidence_finder, explain_codes
from icdcli.io.manifest import write_manifest
from icdcli.lexical.tfidf import Tfidf
from icdcli.model.checkpoint import load_model
from icdcli.model.section import ModelConfig
from icdcli.model.tfidf_model import TfidfModel
from icdcli.model.threshold import Threshold
from icdcli.predict.batches import NotePredictor, Selection

LABELS = Labels(
    ("I10", "J18.9", "R05"),
    ("diagnosis",) * 3,
    ("Hypertension", None, "Cough"),
    (20, 15, 0),
    (20, 15, 0),
)
WORDS = (["hypertension", "stable"], ["pneumonia", "infiltrate"])
TEXTS = [" ".join(WORDS[n % 2]) + (" seen" if n % 3 else " patient") for n in range(40)]
NOTES = ["hypertension", "", "patient with pneumonia"]


@pytest.fixture(scope="module")
def model():
    words = Tfidf.fit(TEXTS, [np.array([n % 2], np.int32) for n in range(40)], 3)
    per_code = Threshold(0.4, "auto_per_code", "validation", (0.4, 0.3, 0.6))
    return TfidfModel(words, LABELS, ModelConfig(model="tfidf", word_ngrams=2), per_code, "caml")


@pytest.fixture
def folder(model, tmp_path):
    model.save(tmp_path)
    write_manifest(tmp_path, {"step": 1})
    return tmp_path


def test_a_saved_model_is_loaded_unchanged(model, folder):
    found = load_model(folder)
    assert isinstance(found, TfidfModel)
    for name in ("labels", "config", "threshold", "text_cleaning"):
        assert getattr(found, name) == getattr(model, name)
    assert np.array_equal(found.logits(NOTES), model.logits(NOTES))


def test_the_files_are_the_contracts(folder):
    files = {path.name for path in folder.iterdir()}
    assert files == {
        "tfidf.npz",
        "vocabulary.json",
        "labels.parquet",
        "coder.json",
        "manifest.json",
    }
    assert json.loads((folder / "coder.json").read_text())["model"]["model"] == "tfidf"


@pytest.mark.parametrize("name", ["tfidf.npz", "vocabulary.json", "labels.parquet", "coder.json"])
def test_a_changed_or_missing_file_is_refused(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(
        content.replace(b"}\n", b"} ") if name == "coder.json" else content[:-1] + b"?"
    )
    with pytest.raises(ResumeError, match="was changed or is damaged"):
        load_model(folder)
    (folder / name).unlink()
    with pytest.raises(ResumeError, match="is missing"):
        load_model(folder)


def test_another_format_is_refused(folder):
    about = json.loads((folder / "coder.json").read_text())
    (folder / "coder.json").write_text(json.dumps(about | {"format": 99}))
    write_manifest(folder, {})
    with pytest.raises(ResumeError, match="written by another version"):
        load_model(folder)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(ResumeError, match="is not a checkpoint"):
        load_model(tmp_path)


def test_notes_are_coded_from_python(model, folder):
    found = icdcli.load_model(folder)
    assert next([code.code for code in note] for note in found.predict(NOTES)) == ["I10"]
    assert found.predict(NOTES)[2][0].title is None
    assert found.predict([]) == []
    assert found.scores([]).shape == (0, 3)
    scored = found.score_notes(NOTES)
    scores, windows = scored.scores_NL, scored.window_counts
    np.testing.assert_array_equal(scores, found.scores(NOTES))
    np.testing.assert_allclose(scores[::2], 1 / (1 + np.exp(-model.logits(NOTES[::2]))), rtol=1e-6)
    assert windows == [1, 0, 1]
    assert not scores[1].any()
    assert found.predict(NOTES)[1] == []
    together = found.predict(NOTES)
    assert [found.predict([note])[0] for note in NOTES] == together


def test_notes_are_cleaned_as_the_texts_were_that_it_learned_from(folder):
    found = icdcli.load_model(folder)
    assert np.array_equal(found.scores(["HYPERTENSION 120 80"]), found.scores(["hypertension"]))
    found.text_cleaning = "none"
    words = set(found.words.vectorizer.vocabulary_)
    assert "hypertension" in words
    assert "120" not in words


def test_the_evidence_is_the_words_that_raise_a_codes_score(model):
    text = "Patient seen: PNEUMONIA, hypertension 120/80"
    pneumonia, cough = explain_codes(model, text, ["J18.9", "R05"])
    assert [text[span.begin : span.end] for span in pneumonia.spans] == ["PNEUMONIA"]
    assert pneumonia.score == pytest.approx(model.scores([text])[0, 1])
    assert cough.spans == ()  # no training document has it: every note has the same score
    assert [found.spans for found in explain_codes(model, " \n", ["J18.9"])] == [()]
    notes = [Note("1", text), Note("2", "")]
    coded = NotePredictor(model, Selection(top=3), evidence_finder(model)).predict(notes)
    assert {code.code: code.evidence for code in coded[0].codes}["J18.9"] == pneumonia.spans
    assert coded[1].codes == ()
