"""The part ``translations``: notes in Spanish and titles in English."""

import numpy as np
import pytest

from icdcli.data.relabeling import Relabeling
from icdcli.lexical.lexical_model import LexicalModel, fit_out_of_fold
from icdcli.lexical.reading import NoteReading
from icdcli.lexical.views import Views

DESCRIPTIONS = [
    ("Heart failure, unspecified",),
    ("Fracture of left wrist",),
    ("Acute kidney failure",),
    (),
    ("Gout", "hiperuricemia"),
]
TEXTS = [
    "Paciente con insuficiencia cardiaca.",
    "Caída con fractura de la muñeca izquierda.",
    "Tuvo una insuficiencia renal aguda.",
    "Sin hallazgos.",
    "Ingresa con gota.",
]
TARGETS = [np.array([label], np.int32) for label in range(5)]
PARTS = ["translations"]
SPANISH = NoteReading(Views(language="es"))


@pytest.fixture(scope="module")
def fitted():
    return LexicalModel.fit(TEXTS, TARGETS, DESCRIPTIONS, parts=PARTS, reading=SPANISH)


def best(model, texts):
    return model.scores(texts)["translations"].argmax(axis=1).tolist()


def test_notes_find_titles_of_another_language(fitted):
    assert best(fitted, [TEXTS[0], TEXTS[1], TEXTS[2], TEXTS[4]]) == [0, 1, 2, 4]


def test_a_term_in_the_language_of_the_notes_stays(fitted):
    assert best(fitted, ["con hiperuricemia"]) == [4]


def test_a_label_without_a_description_has_no_score(fitted):
    assert not fitted.scores(TEXTS)["translations"][:, 3].any()


@pytest.mark.parametrize("language", ["en", "ko"])
def test_other_languages_have_no_such_part(language):
    reading = NoteReading(Views(language=language))
    assert LexicalModel.fit(TEXTS, TARGETS, DESCRIPTIONS, parts=PARTS, reading=reading).parts == ()


def test_scores_are_the_same_out_of_fold_and_after_loading(fitted, tmp_path):
    expected = fitted.scores(TEXTS)["translations"]
    again, scores = fit_out_of_fold(TEXTS, TARGETS, DESCRIPTIONS, parts=PARTS, reading=SPANISH)
    assert again.parts == ("translations",)
    assert np.array_equal(scores["translations"], expected)
    fitted.save(tmp_path)
    loaded = LexicalModel.load(tmp_path, len(DESCRIPTIONS))
    assert np.array_equal(loaded.scores(TEXTS)["translations"], expected)


def test_evidence_points_to_the_words_of_the_note(fitted):
    weights = fitted.by_word(TEXTS[1], [1])["translations"]
    found = [
        TEXTS[1][begin:end]
        for (begin, end), weight in zip(
            weights.places_W2.tolist(), weights.weights_KW[0].tolist(), strict=True
        )
        if weight > 0
    ]
    assert {"fractura", "muñeca", "izquierda"} <= set(found)


def test_a_new_code_has_its_title_translated(fitted):
    labels = len(DESCRIPTIONS)
    kept = np.arange(labels) != 3
    changed = Relabeling(
        labels,
        np.where(kept, np.arange(labels), -1),
        np.ones(labels, np.int64),
        kept,
        [*DESCRIPTIONS[:3], ("Malignant neoplasm of bladder",), DESCRIPTIONS[4]],
    )
    after = fitted.relabeled(changed)
    assert best(after, ["carcinoma de vejiga"]) == [3]
    before_NL, after_NL = (model.scores(TEXTS)["translations"] for model in (fitted, after))
    assert np.array_equal(after_NL[:, kept], before_NL[:, kept])
