from dataclasses import replace

import numpy as np
import pytest

from icdcli.lexical import ngram_ridge
from icdcli.lexical.ngram_features import FEATURES, counts, inverse_frequencies, weighted
from icdcli.lexical.ngram_ridge import EXACT_PENALTY, EXACT_WORD_SHARE, NgramRidge
from icdcli.lexical.words import words

LABELS = 12
WAYS = {"exact": {}, "sketched": {"exact_documents": 0, "columns": 256}}


def fitted(notes, way="exact", targets=None):
    return NgramRidge.fit(notes.texts, targets or notes.targets, LABELS, **WAYS[way])


def matrix(targets):
    targets_NL = np.zeros((len(targets), LABELS))
    for row, labels in zip(targets_NL, targets, strict=True):
        row[labels] = 1
    return targets_NL


def plain_features(texts):
    counted = counts(texts)
    idf = inverse_frequencies(len(texts), np.bincount(counted.indices, minlength=FEATURES))
    features = weighted(counted, idf, EXACT_WORD_SHARE).astype(np.float64)
    return features[:, np.unique(features.indices)].toarray()


@pytest.fixture(scope="module")
def notes(synthetic_notes):
    return synthetic_notes(40, LABELS)


def test_the_exact_method_solves_the_normal_equations(notes):
    ridge = fitted(notes)
    features = plain_features(notes.texts)
    weights = features.T @ ridge.solution_ML
    # Scores come from weights in half precision.
    np.testing.assert_allclose(ridge.scores(notes.texts), features @ weights, atol=5e-3)
    residual = matrix(notes.targets) - features @ weights
    np.testing.assert_allclose(features.T @ residual, EXACT_PENALTY * weights, atol=1e-4)


def test_a_penalty_replaces_that_of_the_method(notes):
    features = plain_features(notes.texts)
    ridge = NgramRidge.fit(notes.texts, notes.targets, LABELS, penalty=2)
    weights = features.T @ ridge.solution_ML
    residual = matrix(notes.targets) - features @ weights
    np.testing.assert_allclose(features.T @ residual, 2 * weights, atol=1e-4)
    sketched = [
        NgramRidge.fit(notes.texts, notes.targets, LABELS, **WAYS["sketched"], penalty=penalty)
        for penalty in (2, ngram_ridge.SKETCH_PENALTY, None)
    ]
    norms = [np.abs(one.weights_ML).sum() for one in sketched]
    assert norms[0] < 0.8 * norms[1] == 0.8 * norms[2]


@pytest.mark.parametrize("way", WAYS)
def test_a_score_out_of_fold_is_that_of_a_fit_without_the_document(notes, way):
    ridge = fitted(notes, way)
    basis = ridge._basis(ridge._features(notes.texts)).astype(np.float64)
    penalty = EXACT_PENALTY if way == "exact" else ngram_ridge.SKETCH_PENALTY
    products = (
        basis if way == "exact" else basis @ basis.T
    )  # the basis of the exact method is the cosines
    expected = np.zeros((len(notes.texts), LABELS))
    for row in range(len(notes.texts)):
        others = np.delete(np.arange(len(notes.texts)), row)
        inner = products[np.ix_(others, others)] + penalty * np.eye(len(others))
        expected[row] = products[row, others] @ np.linalg.solve(
            inner, matrix(notes.targets)[others]
        )
    np.testing.assert_allclose(ridge.out_of_fold(notes.texts, notes.targets), expected, atol=2e-4)


@pytest.mark.parametrize("way", WAYS)
def test_a_score_out_of_fold_does_not_depend_on_its_own_labels(notes, way):
    other = [np.array([11], np.int32), *notes.targets[1:]]
    before = fitted(notes, way).out_of_fold(notes.texts, notes.targets)
    after = fitted(notes, way, other).out_of_fold(notes.texts, other)
    np.testing.assert_allclose(after[0], before[0], atol=2e-4)
    assert np.abs(after[1:] - before[1:]).max() > 0.01


@pytest.mark.parametrize("way", WAYS)
def test_scores_out_of_fold_can_be_computed_in_parts(notes, way):
    ridge = fitted(notes, way)
    whole = ridge.out_of_fold(notes.texts, notes.targets)
    np.testing.assert_allclose(
        ridge.out_of_fold(notes.texts[5:9], notes.targets[5:9], 5), whole[5:9], atol=1e-5
    )


@pytest.mark.parametrize("way", WAYS)
def test_codes_are_found_in_new_documents(notes, synthetic_notes, way):
    scores = fitted(notes, way).scores([f"{name} and more" for name in notes.names])
    assert (scores.argmax(axis=1) == np.arange(LABELS)).mean() > 0.9


def test_the_number_of_documents_decides_the_method(notes):
    def way(limit):
        return (
            NgramRidge.fit(
                notes.texts, notes.targets, LABELS, exact_documents=limit, columns=64
            ).documents_FN
            is None
        )

    assert (way(40), way(39)) == (False, True)


def test_the_number_of_features_decides_it_too(notes, monkeypatch):
    monkeypatch.setattr(ngram_ridge, "EXACT_VALUES", 1000)
    assert NgramRidge.fit(notes.texts, notes.targets, LABELS, columns=64).documents_FN is None


def test_a_sketch_grows_with_neither_documents_nor_words(synthetic_notes):
    shapes = {
        NgramRidge.fit(
            *synthetic_notes(size)[:2], LABELS, exact_documents=0, columns=64
        ).weights_ML.shape
        for size in (20, 40)
    }
    assert shapes == {(64, LABELS)}


def test_frequent_words_have_columns_of_their_own():
    texts = ["fever cough", "fever cough", "fever"]
    ridge = NgramRidge.fit(texts, [np.array([0], np.int32)] * 3, 1, exact_documents=0, columns=8)
    assert set(ridge.own_words) == set(counts(["fever cough"]).indices[-2:])


@pytest.mark.parametrize("way", WAYS)
def test_a_label_of_no_document_scores_nothing(notes, way):
    ridge = NgramRidge.fit(notes.texts, notes.targets, LABELS + 1, **WAYS[way])
    assert not ridge.scores(notes.texts)[:, LABELS].any()


@pytest.mark.parametrize("way", WAYS)
def test_fitting_again_gives_the_same_bytes(notes, way):
    first, second = (fitted(notes, way).weights_ML.tobytes() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("way", WAYS)
def test_a_text_without_words_scores_nothing(notes, way):
    assert not fitted(notes, way).scores(["", "…"]).any()


def test_no_text_gives_no_row(notes):
    assert fitted(notes).scores([]).shape == (0, LABELS)


def test_an_iterator_is_enough_for_the_exact_method(notes):
    once = NgramRidge.fit(iter(notes.texts), notes.targets, LABELS)
    assert np.array_equal(once.weights_ML, fitted(notes).weights_ML)


def test_an_iterator_is_refused_if_texts_are_read_twice(notes):
    with pytest.raises(ValueError, match="read twice"):
        NgramRidge.fit(iter(notes.texts), notes.targets, LABELS, exact_documents=0)


@pytest.mark.parametrize(
    ("texts", "targets"), [([], []), (["a"], []), (["a", "b"], [np.zeros(0, np.int32)])]
)
def test_texts_and_targets_must_have_the_same_number(texts, targets):
    with pytest.raises(ValueError, match="need the same number"):
        NgramRidge.fit(texts, targets, 1)


@pytest.mark.parametrize("way", WAYS)
def test_a_saved_model_gives_the_same_scores(notes, way):
    ridge = fitted(notes, way)
    again = NgramRidge.from_arrays(ridge.arrays(), LABELS)
    assert np.array_equal(again.scores(notes.texts), ridge.scores(notes.texts))


def test_a_lean_fit_keeps_half_precision_until_it_is_used(notes):
    full, lean = (
        NgramRidge.fit(notes.texts, notes.targets, LABELS, **WAYS["sketched"], lean=lean)
        for lean in (False, True)
    )
    assert (full.weights_ML.dtype, lean.weights_ML.dtype) == (np.float32, np.float16)
    for _ in range(2):
        for name, array in full.arrays().items():
            assert array.tobytes() == lean.arrays()[name].tobytes()
            assert lean.arrays()[name].flags.c_contiguous
        assert full.scores(notes.texts).tobytes() == lean.scores(notes.texts).tobytes()
    document = words(notes.texts[0])
    assert full.by_word(document, [3, 1]).tobytes() == lean.by_word(document, [3, 1]).tobytes()


def test_a_loaded_model_has_no_scores_out_of_fold(notes):
    with pytest.raises(ValueError, match="not a lean or loaded one"):
        NgramRidge.from_arrays(fitted(notes).arrays(), LABELS).out_of_fold(
            notes.texts, notes.targets
        )


@pytest.mark.parametrize(
    "change",
    [
        {"weights": np.zeros(3)},
        {"known": np.array([FEATURES])},
        {"starts": np.zeros(2, np.int64)},
        {"columns": np.array([FEATURES])},
    ],
)
def test_arrays_that_do_not_fit_are_refused(notes, change):
    with pytest.raises(ValueError):  # noqa: PT011
        NgramRidge.from_arrays(fitted(notes).arrays() | change, LABELS)


@pytest.mark.parametrize("way", WAYS)
def test_a_bounded_fit_scores_short_notes_as_parts_of_longer_ones(notes, way):
    bounded = NgramRidge.fit(notes.texts, notes.targets, LABELS, bounded=True, **WAYS[way])
    plain = fitted(notes, way)
    name = notes.names[3]
    others = " ".join(notes.texts[0].split()[:4])
    of_bounded, of_plain = (
        ridge.scores([name, f"{name} {others}"])[:, 3] for ridge in (bounded, plain)
    )
    assert of_plain[1] < 0.8 * of_plain[0]  # a few words more, and the name counts less
    assert abs(of_bounded[1] - of_bounded[0]) < 0.5 * abs(of_plain[1] - of_plain[0])
    assert of_bounded[0] < of_plain[0]
    # Documents as long as those of training keep their scores.
    np.testing.assert_allclose(bounded.scores(notes.texts), plain.scores(notes.texts), atol=0.02)
    again = NgramRidge.from_arrays(bounded.arrays(), LABELS)
    assert np.array_equal(again.scores([name]), bounded.scores([name]))
    assert "least" not in plain.arrays()


@pytest.mark.parametrize("way", WAYS)
def test_contributions_of_words_sum_to_the_score(notes, way):
    ridge = fitted(notes, way)
    text = f"{notes.texts[0]} {notes.names[1]} neverseen {notes.names[1]}"
    document, labels = words(text), [3, 1]
    found = ridge.by_word(document, labels)
    np.testing.assert_allclose(found.sum(axis=1), ridge.scores([text])[0, labels], atol=1e-5)
    first, last = (place for place, word in enumerate(document) if word == words(notes.names[1])[0])
    assert found[1, first] == found[1, last] > 0.05
    assert ridge.by_word([], labels).shape == (2, 0)


def test_scores_do_not_depend_on_the_other_texts_to_the_last_bit():
    words = [f"word{number}" for number in range(90)]
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(words, 12)) for _ in range(300)]
    targets = [draw.choice(400, 3, replace=False).astype(np.int32) for _ in texts]
    ridge = NgramRidge.fit(texts, targets, 400)
    together_NL = ridge.scores(texts[:40])
    alone_NL = np.concatenate([ridge.scores([text]) for text in texts[:40]])
    pairs_NL = np.concatenate([ridge.scores(texts[at : at + 7]) for at in range(0, 40, 7)])
    assert np.array_equal(together_NL, alone_NL)
    assert np.array_equal(together_NL, pairs_NL[:40])


def test_scores_do_not_depend_on_the_other_codes_to_the_last_bit():
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice([f"word{one}" for one in range(90)], 12)) for _ in range(300)]
    targets = [draw.choice(400, 3, replace=False).astype(np.int32) for _ in texts]
    ridge = NgramRidge.fit(texts, targets, 400)
    kept = np.sort(draw.choice(400, 233, replace=False))
    fewer = replace(ridge, weights_ML=np.ascontiguousarray(ridge.weights_ML[:, kept]))
    assert np.array_equal(fewer.scores(texts[:40]), ridge.scores(texts[:40])[:, kept])
