"""Codes that mean a history are scored by what notes say of relatives and of the past."""

from dataclasses import replace

import numpy as np
import pytest

from icdcli.data.corpus.reader import Labels
from icdcli.data.relabeling import Relabeling
from icdcli.lexical.histories import history_labels
from icdcli.lexical.lexical_model import LexicalModel
from icdcli.lexical.reading import NoteReading
from icdcli.lexical.views import Views

CODES = ("C18.9", "C50.9", "Z80.0", "Z80.3", "Z85.038", "Z85.3")
COLON, BREAST, FAMILY_COLON, FAMILY_BREAST, HAD_COLON, HAD_BREAST = range(6)
HISTORIES = {
    "family": {FAMILY_COLON: ("colon cancer", "gastric cancer"), FAMILY_BREAST: ("breast cancer",)},
    "personal": {HAD_COLON: ("colon cancer",), HAD_BREAST: ("breast cancer",)},
}
TITLES = [
    ("Malignant neoplasm of colon, unspecified",),
    ("Malignant neoplasm of unspecified site of breast",),
    ("Family history of malignant neoplasm of digestive organs",),
    ("Family history of malignant neoplasm of breast",),
    ("Personal history of other malignant neoplasm of large intestine",),
    ("Personal history of malignant neoplasm of breast",),
]
WORDED = {
    "has": ("Admitted with {}.", "CT showed {}.", "{} is treated with chemotherapy."),
    "relative": ("His father had {}.", "Family history: {} in a sister.", "Mother died of {}."),
    "had": ("History of {}.", "Past medical history: {}.", "H/o {}, treated."),
    "not": ("No evidence of {}.", "Denies {}.", "No family history of {}."),
}
LABELS = {
    ("has", "colon cancer"): COLON,
    ("has", "breast cancer"): BREAST,
    ("relative", "colon cancer"): FAMILY_COLON,
    ("relative", "breast cancer"): FAMILY_BREAST,
    ("had", "colon cancer"): HAD_COLON,
    ("had", "breast cancer"): HAD_BREAST,
}


@pytest.fixture(scope="module")
def notes():
    """Return notes that say different things of both cancers, and their labels."""
    rng = np.random.default_rng(5)
    texts, targets = [], []
    for _ in range(200):
        sentences, labels = ["Seen for fever and cough."], []
        for cancer in ("colon cancer", "breast cancer"):
            said = str(rng.choice([*WORDED, "nothing"]))
            if said != "nothing":
                sentences.append(str(rng.choice(WORDED[said])).format(cancer))
                labels += [LABELS[said, cancer]] if said != "not" else []
        rng.shuffle(sentences)
        texts.append("\n".join(sentences))
        targets.append(np.array(sorted(labels), np.int32))
    return texts, targets


@pytest.fixture(scope="module", params=["facts", pytest.param("learned", marks=pytest.mark.slow)])
def fitted(request, notes):
    reading = NoteReading(Views.of(request.param, "en"))
    return LexicalModel.fit(*notes, TITLES, reading=reading, histories=HISTORIES)


@pytest.fixture(scope="module")
def alone(fitted, notes):
    """Return the model that knows nothing of histories."""
    return LexicalModel.fit(*notes, TITLES, reading=fitted.reading)


@pytest.fixture(scope="module")
def scored(fitted, notes):
    """Return the scores of all notes."""
    return fitted.scores(notes[0])


def of_facts(fitted):
    """Return the name of the n-grams that know what a note doesn't affirm."""
    return next(name for name in fitted.parts if name.endswith("_ngrams"))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("His older brother had colon cancer at 50.", FAMILY_COLON),
        ("Family History:\nbreast cancer in an aunt\n", FAMILY_BREAST),
        ("History of breast cancer, treated 2005.", HAD_BREAST),
        ("Admitted for treatment of colon cancer. CT showed a mass.", COLON),
    ],
)
def test_a_history_is_its_own_code(fitted, text, label):
    assert fitted.scores([text])[of_facts(fitted)][0].argmax() == label


def test_the_overlap_with_a_family_history_is_that_of_what_relatives_have(fitted):
    said = (
        "Mother died of a malignant neoplasm of the breast.",
        "Malignant neoplasm of the breast.",
    )
    family, patient = fitted.scores(said)["affirmed_descriptions"]
    assert family[FAMILY_BREAST] > 2 * max(patient[FAMILY_BREAST], 0)
    assert patient[BREAST] > 2 * max(family[BREAST], 0)


def test_the_term_for_a_family_history_is_the_relatives_disease(fitted):
    said = ("Mother died of a malignant neoplasm of breast.", "Malignant neoplasm of breast.")
    family, patient = fitted.scores(said)["affirmed_terms"]
    assert family[FAMILY_BREAST] > 0 == family[BREAST]
    assert patient[BREAST] > 0 == patient[FAMILY_BREAST]


def test_terms_name_diseases_that_training_has_never_seen(fitted):
    family, patient = fitted.scores(["Uncle with gastric cancer.", "Has gastric cancer."])[
        "affirmed_terms"
    ]
    assert family.argmax() == FAMILY_COLON
    assert family[FAMILY_COLON] > 1
    assert not patient[FAMILY_COLON]


def test_without_these_parts_all_relatives_diseases_are_the_same(fitted, alone):
    text = ["His father had colon cancer."]
    mine, others = (model.scores(text)[of_facts(fitted)][0] for model in (fitted, alone))
    assert mine[FAMILY_COLON] > 0.7 > 0.2 > mine[FAMILY_BREAST]
    # Marked words tell relatives' diseases from the patient's, so they learn it without them.
    learns = "marked" in fitted.reading.views.names
    assert (abs(others[FAMILY_COLON] - others[FAMILY_BREAST]) > 0.2) == learns


def test_other_codes_keep_their_scores(fitted, alone, scored, notes):
    for part, scores_NL in alone.scores(notes[0]).items():
        assert np.array_equal(scored[part][:, :2], scores_NL[:, :2])
    assert alone.parts == fitted.parts


def test_a_history_that_is_denied_does_not_count(fitted):
    family, denied = fitted.scores(
        ["Family history of colon cancer.", "No family history of colon cancer."]
    )[of_facts(fitted)]
    assert denied[FAMILY_COLON] < 0.3 * family[FAMILY_COLON]


def test_the_words_add_up_to_the_score(fitted):
    text = "His mother died of breast cancer. History of colon cancer.\nHas breast cancer."
    places_W2, weights_KW = fitted.by_word(text, list(range(6)))[of_facts(fitted)]
    scores_L = fitted.scores([text])[of_facts(fitted)][0]
    np.testing.assert_allclose(weights_KW.sum(axis=1), scores_L, atol=1e-4)
    begin, _ = places_W2[weights_KW[FAMILY_BREAST].argmax()]
    assert text[:begin].count("breast") == 0  # the mother's, not the patient's


def test_a_loaded_model_knows_histories(fitted, scored, notes, tmp_path):
    fitted.save(tmp_path / "lexical")
    loaded = LexicalModel.load(tmp_path / "lexical", 6)
    assert {history: again.labels for history, again in loaded.histories.items()} == {
        "family": (FAMILY_COLON, FAMILY_BREAST),
        "personal": (HAD_COLON, HAD_BREAST),
    }
    for part, scores_NL in loaded.scores(notes[0]).items():
        assert np.array_equal(scores_NL, scored[part])
    loaded.save(tmp_path / "again")
    for path in (tmp_path / "lexical").iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_a_model_of_mentions_has_none(notes, tmp_path):
    plain = LexicalModel.fit(*notes, TITLES, histories=HISTORIES)
    assert not plain.histories
    plain.save(tmp_path)
    assert '"format": 1' in (tmp_path / "lexical.json").read_text()


def test_only_labels_of_a_history_count(notes):
    labels = Labels(CODES, ("diagnosis",) * 6, (None,) * 6, (1,) * 6, (1,) * 6)
    found = history_labels(labels, "icd10", "en")
    assert {history: list(of) for history, of in found.items()} == {
        "family": [FAMILY_COLON, FAMILY_BREAST],
        "personal": [HAD_COLON, HAD_BREAST],
    }
    assert "breast cancer" in found["family"][FAMILY_BREAST]
    assert not any(history_labels(labels, "icd10")["family"].values())
    assert history_labels(labels, None) == {}
    smoking = replace(labels, codes=("Z87.891", "Z92.3", "Z88.0", "Z79.4", "I10", "F17.2"))
    assert history_labels(smoking, "icd10", "en") == {}
    assert history_labels(replace(labels, kinds=("procedure",) * 6), "icd10") == {}
    reading = NoteReading(Views.of("facts", "en"))
    assert not LexicalModel.fit(*notes, TITLES, reading=reading, histories={}).histories


def test_labels_after_a_division_keep_their_histories(fitted, scored, notes):
    sources = np.array([COLON, BREAST, FAMILY_COLON, FAMILY_COLON, HAD_COLON, HAD_BREAST])
    kept = np.array([True, True, False, False, True, True])
    shares = np.array([1, 1, 2, 2, 1, 1])
    described = [("Family history of colon cancer",)] * len(sources)
    relabeling = Relabeling(len(CODES), sources, shares, kept, described)
    after = fitted.relabeled(relabeling, {"family": {2: ("colon cancer",), 3: ("rectal cancer",)}})
    assert {history: parts.labels for history, parts in after.histories.items()} == {
        "family": (2, 3),
        "personal": (4, 5),
    }
    for part, scores_NL in after.scores(notes[0]).items():
        assert np.array_equal(scores_NL[:, kept], scored[part][:, sources[kept]])
    father, had = after.scores(["His father had colon cancer.", "History of colon cancer."])[
        "affirmed_terms"
    ]
    assert father[2] > had[2]
