"""Fit the classifiers of all labels, or of some of them out of fold.

Few feature values (`ONE_BY_ONE_VALUES`) are fitted by scikit-learn's ``LinearSVC``, one label at a
time, as version 0.1 did. More are fitted by `icdcli.lexical.linear.subspaces` to the same
objective, as precisely, in a tenth of the time or less.

Shapes: N documents, F features, L labels, B labels of a block.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.svm import LinearSVC

from icdcli.lexical.linear.subspaces import BLOCK, SharedFeatures, fit_block

ONE_BY_ONE_VALUES = 250_000
"""The feature values that aren't zero up to which labels are fitted one by one: those of four
hundred discharge summaries."""
MAX_THREADS = 4
"""Each thread of ``LinearSVC`` needs a copy of the features, in the solver's own format."""
WEIGHTS_FROM = 0.1
"""Weights of a label up to this share of its largest are dropped."""
_TOLERANCE = 0.003
"""For blocks. Weights are up to 3 % from the minimum, as those of ``LinearSVC`` are with its
tolerance of 0.01. On CodiEsp, dev MAP is the same with 0.001 and 0.0001, and .001 lower with 0.01.
"""

OnClassifier = Callable[[], None]
Classifier = tuple[NDArray[np.int32], NDArray[np.float32], float]
"""The features with a weight, their weights, and the intercept."""


class Fitting:
    """Documents whose labels classifiers are fitted to."""

    def __init__(
        self, features_NF: sparse.csr_matrix, threads: int, on_classifier: OnClassifier
    ) -> None:
        """Prepare what all labels share.

        Args:
            features_NF: The features of the documents.
            threads: The number of labels, or blocks of them, fitted at a time; it only changes the
                time.
            on_classifier: Called after each classifier.
        """
        self.features_NF = features_NF
        self._threads, self._on_classifier = min(threads, MAX_THREADS), on_classifier
        few = features_NF.nnz <= ONE_BY_ONE_VALUES
        self._documents = None if few else SharedFeatures.of(features_NF)

    def fit(
        self, targets_NL: sparse.csc_matrix, rows: NDArray[np.int64] | None = None
    ) -> tuple[sparse.csr_matrix, NDArray[np.float64]]:
        """Fit one classifier per label.

        Args:
            targets_NL: The targets of all documents.
            rows: The documents to fit to, ascending; None: all.

        Returns:
            weights_FL and offsets_L of the decision values.
        """
        columns, values, offsets = [np.zeros(0, np.int32)], [np.zeros(0, np.float32)], []
        for kept, weights, offset in self._classifiers(targets_NL, rows):
            columns.append(kept)
            values.append(weights)
            offsets.append(offset)
            self._on_classifier()
        starts = np.cumsum([len(kept) for kept in columns])
        shape = (len(offsets), self.features_NF.shape[1])
        weights_LF = sparse.csr_matrix(
            (np.concatenate(values), np.concatenate(columns), starts), shape=shape
        )
        return weights_LF.T.tocsr(), np.array(offsets)

    def _classifiers(
        self, targets_NL: sparse.csc_matrix, rows: NDArray[np.int64] | None
    ) -> Iterator[Classifier]:
        if self._documents is None:
            features_NF = self.features_NF if rows is None else self.features_NF[rows]
            positive_NL = targets_NL if rows is None else targets_NL[rows]
            with ThreadPoolExecutor(self._threads) as pool:
                labels = range(targets_NL.shape[1])
                yield from pool.map(lambda label: _fit_one(features_NF, positive_NL, label), labels)
            return
        documents = self._documents
        counted_N = np.ones(targets_NL.shape[0], np.bool_)
        if rows is not None:
            counted_N[:] = False
            counted_N[rows] = True
        starts = range(0, targets_NL.shape[1], BLOCK)
        with ThreadPoolExecutor(self._threads) as pool:
            blocks = pool.map(
                lambda start: _fit_together(
                    documents, targets_NL[:, start : start + BLOCK], counted_N
                ),
                starts,
            )
            for block in blocks:
                yield from block


def _fit_one(
    features_NF: sparse.csr_matrix, targets_NL: sparse.csc_matrix, label: int
) -> Classifier:
    positive_N = np.zeros(features_NF.shape[0], np.bool_)
    positive_N[targets_NL.indices[targets_NL.indptr[label] : targets_NL.indptr[label + 1]]] = True
    if positive_N.all() or not positive_N.any():
        return _constant(bool(positive_N.all()))
    classifier = LinearSVC(dual=False, tol=0.01, random_state=0).fit(features_NF, positive_N)
    return _without_small(classifier.coef_[0], float(classifier.intercept_[0]))


def _fit_together(
    documents: SharedFeatures, targets_NB: sparse.csc_matrix, counted_N: NDArray[np.bool_]
) -> list[Classifier]:
    positive_BN = targets_NB.T.toarray() & counted_N
    positives_B, counted = positive_BN.sum(axis=1), int(counted_N.sum())
    learned = np.flatnonzero((positives_B > 0) & (positives_B < counted))
    found = [_constant(bool(positives == counted)) for positives in positives_B]
    if len(learned):
        weights_BF = fit_block(documents, positive_BN[learned], counted_N, _TOLERANCE)
        for label, weights in zip(learned.tolist(), weights_BF, strict=True):
            found[label] = _without_small(weights[:-1], float(weights[-1]))
    return found


def _constant(every: bool) -> Classifier:
    """Return a classifier without weights: of all documents of a fold, or of none."""
    return np.zeros(0, np.int32), np.zeros(0, np.float32), 1.0 if every else -1.0


def _without_small(weights_F: NDArray[np.floating], offset: float) -> Classifier:
    size_F = np.abs(weights_F)
    kept = np.flatnonzero(size_F > WEIGHTS_FROM * size_F.max())
    return kept.astype(np.int32), weights_F[kept].astype(np.float32), offset
