import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icdcli.lexical.evidence_fit import fit_evidence, fit_evidence_out_of_fold
from icdcli.lexical.evidence_lexicon import FEATURES, EvidenceLexicon
from icdcli.lexical.words import words

FEVER, KIDNEY, MASS = 0, 1, 2
LABELS = 4
TEXTS = [
    "Paciente con fiebre alta y con tos.",
    "Refiere fiebre, con escalofríos.",
    "Sin fiebre, con cólico renal.",
    "Con una masa dura en el testículo.",
    "Cólicos renales con fiebre y una masa abdominal.",
]
ANNOTATIONS = [
    [(FEVER, "fiebre alta"), (FEVER, "fiebre")],
    [(FEVER, "fiebre")],
    [(KIDNEY, "cólico renal")],
    [(MASS, "masa testículo")],
    [(KIDNEY, "Cólicos renales"), (FEVER, "fiebre")],
]
TARGETS = [np.array(sorted({label for label, _ in marked}), np.int32) for marked in ANNOTATIONS]


@pytest.fixture(scope="module")
def lexicon():
    return fit_evidence(TEXTS, TARGETS, ANNOTATIONS, LABELS)


def counts(lexicon):
    """Return (k, n) by string and label."""
    return {
        (" ".join(lexicon.strings[string]), label): (int(evidence), int(lexicon.contain_P[string]))
        for string, label, evidence in zip(
            lexicon.string_E, lexicon.label_E, lexicon.evidence_E, strict=True
        )
    }


def exact(lexicon, text):
    matches = lexicon.match(text)
    return {" ".join(lexicon.strings[string]) for string in matches.strings[matches.exact]}


def test_strings_are_counted_by_documents(lexicon):
    # "fiebre" is in four documents and evidence in three. "cólico renal" and "Cólicos renales" are
    # the same string.
    assert counts(lexicon) == {
        ("fiebr alt", FEVER): (1, 1),
        ("fiebr", FEVER): (3, 4),
        ("colic renal", KIDNEY): (2, 2),
        ("mas testicul", MASS): (1, 1),
    }


def test_documents_without_annotations_count_for_nothing(lexicon):
    more = fit_evidence(
        [*TEXTS, "fiebre " * 5], [*TARGETS, np.zeros(0, np.int32)], [*ANNOTATIONS, []], LABELS
    )
    assert counts(more) == counts(lexicon)


def test_short_words_of_most_documents_are_left_out(lexicon):
    assert lexicon.stop_words == {"con"}
    assert exact(lexicon, "cólico con renal") == {"colic renal"}


def test_strings_match_complete_words(lexicon):
    assert exact(lexicon, "FIEBRES altas") == {"fiebr", "fiebr alt"}
    assert exact(lexicon, "febrícula, fiebrecilla") == set()


def test_a_string_in_fragments_matches_partially(lexicon):
    assert exact(lexicon, "masa en testículo") == set()
    assert lexicon.scores(["una masa dura en un testículo"])[0, MASS] > 0.1


def test_the_features_follow_their_definitions(lexicon):
    matches = lexicon.match("fiebre alta")
    labels, features = lexicon.features(matches, lexicon.contain_P, lexicon.evidence_E)
    # fiebre alta: 1 / 2, fiebre: 3 / 5, both exact
    any_right = 1 - (1 - 1 / 2) * (1 - 3 / 5)
    assert labels.tolist() == [FEVER]
    assert features[0, :4] == pytest.approx(
        [1, np.log(0.6 / 0.4), 1, np.log(any_right / (1 - any_right))]
    )
    assert features[0, 5] == pytest.approx(np.log(3))


def test_scores_are_between_0_and_1_and_0_without_a_match(lexicon):
    scores = lexicon.scores([*TEXTS, "", "nada de eso"])
    assert scores.shape == (7, LABELS)
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert not scores[5:].any()
    assert not scores[:, 3].any()
    assert scores[0].argmax() == FEVER
    assert scores[2].argmax() == KIDNEY


def test_no_text_gives_no_row(lexicon):
    assert lexicon.scores([]).shape == (0, LABELS)


def test_better_evidence_scores_higher(lexicon):
    reliable, rare = lexicon.scores(["cólico renal", "masa testículo"])
    assert reliable[KIDNEY] > rare[MASS]


def test_a_score_out_of_fold_does_not_depend_on_its_own_document(synthetic_notes):
    notes = synthetic_notes(30, 6)
    before = fit_evidence_out_of_fold(notes.texts, notes.targets, notes.annotations, 6, folds=4)[1]
    text = notes.texts[7].split()
    annotations = [
        *notes.annotations[:7],
        [(5, text[0]), (0, " ".join(text[3:6]))],
        *notes.annotations[8:],
    ]
    targets = [*notes.targets[:7], np.array([0, 5], np.int32), *notes.targets[8:]]
    after = fit_evidence_out_of_fold(notes.texts, targets, annotations, 6, folds=4)[1]
    assert before[7].any()
    np.testing.assert_allclose(after[7], before[7], atol=1e-6)
    assert np.abs(after - before).max() > 0.001


def test_out_of_fold_documents_without_annotations_get_zero():
    scores = fit_evidence_out_of_fold(TEXTS, TARGETS, [*ANNOTATIONS[:4], []], LABELS)[1]
    assert not scores[4].any()
    assert scores[0].any()


def test_fitting_out_of_fold_gives_the_same_lexicon(lexicon):
    again = fit_evidence_out_of_fold(TEXTS, TARGETS, ANNOTATIONS, LABELS, folds=2)[0]
    assert counts(again) == counts(lexicon)
    assert np.array_equal(again.coefficients_K, lexicon.coefficients_K)


@pytest.mark.parametrize("marked", [[(0, "…")], [(0, "")]])
def test_annotations_without_a_word_are_no_evidence(marked):
    lexicon = fit_evidence(["fiebre", "tos"], [np.array([0], np.int32)] * 2, [marked, marked], 1)
    assert not lexicon.scores(["fiebre y tos"]).any()


def test_one_annotated_document_is_enough():
    lexicon = fit_evidence(["tiene fiebre"], [np.array([0], np.int32)], [[(0, "fiebre")]], 1)
    assert lexicon.scores(["otra fiebre", "nada"]).ravel().tolist() == pytest.approx([0.5, 0])


@pytest.mark.parametrize(
    ("texts", "annotations"), [(TEXTS, ANNOTATIONS[:2]), (TEXTS[:2], ANNOTATIONS)]
)
def test_the_numbers_of_documents_must_be_the_same(texts, annotations):
    with pytest.raises(ValueError, match=r"annotations of 2 documents|annotated documents"):
        fit_evidence(texts, TARGETS, annotations, LABELS)


def test_a_saved_model_gives_the_same_scores(lexicon):
    again = EvidenceLexicon.from_arrays(
        lexicon.arrays(), [list(string) for string in lexicon.strings], ["con"], LABELS
    )
    assert np.array_equal(again.scores(TEXTS), lexicon.scores(TEXTS))


@pytest.mark.parametrize(
    "change",
    [
        {"label": np.array([9, 9, 9, 9])},
        {"string": np.array([-1, 0, 1, 2])},
        {"contain": np.zeros(2)},
        {"coefficients": np.zeros(FEATURES + 1)},
        {"evidence": np.zeros(3)},
        {"weights": np.zeros((5, 1))},
    ],
)
def test_arrays_that_do_not_fit_are_refused(lexicon, change):
    with pytest.raises(ValueError, match=r"out of range|fit"):
        EvidenceLexicon.from_arrays(lexicon.arrays() | change, lexicon.strings, [], LABELS)


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_any_text_can_be_scored(text):
    lexicon = fit_evidence(
        ["tiene fiebre", text], [np.array([0], np.int32)] * 2, [[(0, "fiebre")], [(0, text)]], 1
    )
    assert np.isfinite(lexicon.scores([text])).all()


def test_evidence_counts_at_every_exact_match(lexicon):
    document = words("Con fiebre alta; sin tos. Fiebre con cólico y sin renal.")
    fever, kidney, mass, nothing = lexicon.by_word(document, range(LABELS))
    # fiebre: 3 / 5 in two places; fiebre alta: 1 / 2, divided between its two words
    fiebre, alta = -np.log(2 / 5), -np.log(1 / 2)
    np.testing.assert_allclose(fever[[1, 2, 5]], [fiebre + alta / 2, alta / 2, fiebre], rtol=1e-5)
    assert np.count_nonzero(fever) == 3
    # A partial match, with a word between: both words have the same weight.
    assert {document[place] for place in np.flatnonzero(kidney)} == {"colico", "renal"}
    assert kidney.sum() == pytest.approx(-np.log(1 - 2 / 3), rel=0.01)
    assert not mass.any()
    assert not nothing.any()
    assert lexicon.by_word([], [FEVER]).shape == (1, 0)


def test_a_partial_match_counts_by_the_cube_of_its_coverage(lexicon):
    document = words("dolor abdominal y cólico")
    places, coverage = (
        lexicon.by_word(document, [KIDNEY])[0],
        lexicon.match("cólico").coverage.max(),
    )
    assert coverage < 0.7
    assert np.count_nonzero(places) == 1
    assert places[3] == pytest.approx(-np.log(1 - coverage**3 * 2 / 3), rel=1e-4)


def test_matches_that_count_less_than_a_tenth_of_the_best_are_left_out():
    texts = [*TEXTS, *["Sudor"] * 30]
    annotations = [
        *ANNOTATIONS[:-1],
        [*ANNOTATIONS[-1], (FEVER, "sudor")],
        *[[(KIDNEY, "Sudor")]] * 30,
    ]
    texts[4] += " Sudor."
    targets = [np.array(sorted({label for label, _ in marked}), np.int32) for marked in annotations]
    lexicon = fit_evidence(texts, targets, annotations, LABELS)
    document = words("fiebre y sudor")  # 1 of 32, against 3 of 5
    assert [document[place] for place in np.flatnonzero(lexicon.by_word(document, [FEVER])[0])] == [
        "fiebre"
    ]
