"""Classifiers fitted in blocks, against scikit-learn's of one label."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.svm import LinearSVC

from icdcli.lexical.linear import curvature, machines, subspaces
from icdcli.lexical.linear.curvature import Curvature
from icdcli.lexical.linear.machines import Fitting
from icdcli.lexical.linear.subspaces import SharedFeatures, fit_block
from icdcli.lexical.tfidf import FOLDS, Tfidf

DOCUMENTS, FEATURES, LABELS = 400, 900, 40


def texts_like(seed=0):
    """Return features of unit length, and targets that depend on them; most labels are rare."""
    draw = np.random.default_rng(seed)
    features = sparse.random(DOCUMENTS, FEATURES, 0.05, "csr", np.float64, draw)
    # A few features are in all documents, as "the" is.
    features = sparse.hstack([features, sparse.csr_matrix(draw.random((DOCUMENTS, 5)))], "csr")
    lengths = np.sqrt(features.multiply(features).sum(axis=1)).A1
    features = sparse.csr_matrix(features.multiply(1 / lengths[:, None]))
    values = features @ draw.normal(size=(FEATURES + 5, LABELS))
    shares = np.geomspace(0.003, 0.6, LABELS)
    least = [np.quantile(values[:, label], 1 - shares[label]) for label in range(LABELS)]
    targets = values >= least
    targets[0] = True  # none is without a positive
    return features, targets


def objective(features, signs, weights, offset):
    slack = np.maximum(0, 1 - signs * (features @ weights + offset))
    return 0.5 * (weights @ weights + offset**2) + (slack**2).sum()


@pytest.mark.parametrize(("common", "part"), [(1024, 3072), (2, 100), (0, 7)])
def test_a_block_reaches_the_minimum_of_each_label(monkeypatch, common, part):
    monkeypatch.setattr(subspaces, "_MOST_COMMON", common)
    monkeypatch.setattr(subspaces, "_PART", part)
    features, targets = texts_like()
    signs = np.where(targets.T, 1, -1).astype(np.int8)
    every = np.ones(DOCUMENTS, bool)
    found = fit_block(SharedFeatures.of(features), targets.T, every, 1e-4).astype(np.float64)
    for label in range(LABELS):
        best = LinearSVC(dual=False, tol=1e-6, max_iter=10_000).fit(features, targets[:, label])
        least = objective(features, signs[label], best.coef_[0], best.intercept_[0])
        mine = objective(features, signs[label], found[label, :-1], found[label, -1])
        assert mine <= least * (1 + 1e-5)
        np.testing.assert_allclose(
            found[label, :-1], best.coef_[0], atol=0.01 * np.abs(best.coef_).max()
        )


def test_the_tolerance_is_as_good_as_that_of_one_label_at_a_time():
    features, targets = texts_like()
    signs = np.where(targets.T, 1, -1).astype(np.int8)
    every = np.ones(DOCUMENTS, bool)
    found = fit_block(SharedFeatures.of(features), targets.T, every, machines._TOLERANCE)
    for label, weights in enumerate(found.astype(np.float64)):
        best = LinearSVC(dual=False, tol=1e-6, max_iter=10_000).fit(features, targets[:, label])
        least = objective(features, signs[label], best.coef_[0], best.intercept_[0])
        assert objective(features, signs[label], weights[:-1], weights[-1]) <= least * 1.001


def test_the_curvature_is_that_of_vectors_and_of_the_rest_of_the_diagonal():
    draw = np.random.default_rng(0)
    vectors, _ = np.linalg.qr(draw.normal(size=(30, 4)))
    squares, rest, share = np.array([90.0, 30, 8, 0]), draw.random(30) * 5, 0.25
    products = vectors * squares @ vectors.T
    estimate = Curvature.of(vectors.astype(np.float32), squares, np.diag(products) + rest)
    gradient = draw.normal(size=(30, 3)).astype(np.float32)
    found = estimate.solved(gradient, np.array([share, 1, share]) / curvature._FEWER)
    for label, active in enumerate([share, 1, share]):
        full = np.eye(30) + 2 * active * (products + np.diag(rest))
        np.testing.assert_allclose(
            found[:, label], np.linalg.solve(full, gradient[:, label]), rtol=1e-3, atol=1e-4
        )


def test_documents_that_are_left_out_change_nothing():
    features, targets = texts_like()
    some = targets.T[targets[:300].any(axis=0)]
    found = fit_block(SharedFeatures.of(features), some, np.arange(DOCUMENTS) < 300, 1e-4)
    every = np.ones(300, bool)
    of_few = fit_block(SharedFeatures.of(features[:300]), some[:, :300], every, 1e-4)
    np.testing.assert_allclose(found, of_few, atol=0.01 * np.abs(of_few).max())


def test_a_label_does_not_depend_on_the_others_of_its_block():
    features, targets = texts_like()
    documents, every = SharedFeatures.of(features), np.ones(DOCUMENTS, bool)
    together = fit_block(documents, targets.T, every, 1e-3)
    [alone] = fit_block(documents, targets.T[7:8], every, 1e-3)
    np.testing.assert_allclose(together[7], alone, atol=1e-4)


@pytest.mark.parametrize("documents", [2, 3, 14])
def test_a_few_documents_have_few_singular_vectors(documents):
    features = sparse.csr_matrix(np.eye(documents, 20))
    first, every = np.arange(documents)[None] == 0, np.ones(documents, bool)
    [weights] = fit_block(SharedFeatures.of(features), first, every, 1e-3)
    values = features @ weights[:-1] + weights[-1]
    assert values[0] > values[1:].max()


def test_the_method_does_not_change_what_is_fitted(monkeypatch, synthetic_notes):
    notes = synthetic_notes(300, 12)
    one_by_one = Tfidf.fit(notes.texts, notes.targets, 12)
    monkeypatch.setattr(machines, "ONE_BY_ONE_VALUES", 0)
    monkeypatch.setattr(machines, "BLOCK", 5)
    steps = []
    monkeypatch.setattr(
        machines, "fit_block", lambda *inputs: steps.append(1) or subspaces.fit_block(*inputs)
    )
    together = Tfidf.fit(notes.texts, notes.targets, 12, threads=2)
    assert len(steps) == 3 * (1 + FOLDS)
    # A weight close to a tenth of the largest may be dropped by one of them.
    chances = (1 / (1 + np.exp(-model.logits(notes.texts))) for model in (together, one_by_one))
    np.testing.assert_allclose(*chances, atol=0.01)
    again = Tfidf.fit(notes.texts, notes.targets, 12, threads=1)
    assert np.array_equal(together.logits(notes.texts), again.logits(notes.texts))


def test_labels_of_all_documents_or_of_none_have_no_weights(monkeypatch):
    monkeypatch.setattr(machines, "ONE_BY_ONE_VALUES", 0)
    features, targets = texts_like()
    targets[:, 3], targets[:, 4] = True, False
    done = []
    fit = Fitting(features, 1, lambda: done.append(1))
    weights, offsets = fit.fit(sparse.csc_matrix(targets))
    assert (weights[:, [3]].nnz, offsets[3]) == (0, 1.0)
    assert (weights[:, [4]].nnz, offsets[4]) == (0, -1.0)
    assert weights[:, [5]].nnz
    assert len(done) == LABELS
