"""Linear support vector machines of many labels at once, for many documents.

A label's classifier minimizes ½|w|² + Σ max(0, 1 - y w·x)², as scikit-learn's ``LinearSVC`` does,
with the intercept as the weight of one more feature. Three things make it fast:

- Blocks of labels share each pass over the features. Those that many documents have are a dense
  matrix; the others are in parts whose weights stay in the processor's cache.
- A step follows the gradient divided by an estimate of the curvature: large singular vectors, and
  for the rest the diagonal, because words are nearly independent apart from what the vectors have.
- Each step minimizes the objective over a subspace of this direction, the largest singular vectors
  and the last step (sequential subspace optimization, Narkiss and Zibulevsky 2005). Within a
  subspace, Newton's method needs products with N numbers per direction only. Five to seven steps of
  two passes are enough; Newton's method with conjugate gradients, as in LIBLINEAR, takes a
  hundred.

Nothing depends on the number of blocks fitted at a time, or on chance: the singular vectors have a
fixed seed. BLAS's own number of threads changes the rounding only.

Shapes: N documents, F features and the intercept, D of them dense, B labels of a block, K singular
vectors, S directions of a subspace.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from icdcli.lexical.linear.curvature import Curvature, Floats32

BLOCK = 32
"""The labels that are fitted together."""
_VECTORS, _DIRECTIONS = 100, 12
_MOST_STEPS, _NEWTON_STEPS, _LINE_STEPS = 20, 3, 3
_RIDGE = 1e-6
_COMMON, _MOST_COMMON = 0.1, 1024
"""The share of documents from which a feature is dense: multiplying by zeros is as fast there."""
_PART = 3072
"""The features of the first part; each part has twice as many, as rarer ones are used less."""
_FIRST_SHARE = 0.05
"""About the share of documents that count in the end, where few have a label."""


@dataclass(frozen=True)
class SharedFeatures:
    """The features of documents, as all labels share them.

    The intercept is the first feature; the others follow, those of the most documents first.

    Attributes:
        order_F: The column of each feature but the intercept.
        common_ND: The intercept and the features that many documents have.
        rest_NF: The other features, in parts whose weights fit the processor's cache.
        directions_FS: The first singular vectors, over which each step minimizes.
        images_NS: Their products with the features.
        curvature: An estimate of the curvature.
    """

    order_F: NDArray[np.int64]
    common_ND: Floats32
    rest_NF: tuple[sparse.csr_matrix, ...]
    directions_FS: Floats32
    images_NS: Floats32
    curvature: Curvature

    @classmethod
    def of(cls, features_NF: sparse.csr_matrix) -> "SharedFeatures":
        """Add the intercept, sort the features, and find the singular vectors."""
        documents = features_NF.shape[0]
        found_F = np.bincount(features_NF.indices, minlength=features_NF.shape[1])
        order_F = np.argsort(-found_F, kind="stable")
        ones_N1 = sparse.csr_matrix(np.ones((documents, 1), np.float32))
        both_NF = sparse.hstack([ones_N1, features_NF.astype(np.float32)[:, order_F]], format="csr")
        vectors = min(_VECTORS, min(both_NF.shape) - 1)
        _, values_K, vectors_KF = randomized_svd(both_NF, vectors, n_iter=2, random_state=0)
        vectors_FK = np.ascontiguousarray(vectors_KF.T, np.float32)
        common = 1 + min(int((found_F >= _COMMON * documents).sum()), _MOST_COMMON)
        ends = [common]
        while ends[-1] < both_NF.shape[1]:
            ends.append(min(ends[-1] + (_PART << (len(ends) - 1)), both_NF.shape[1]))
        directions_FS = np.ascontiguousarray(vectors_FK[:, :_DIRECTIONS])
        squares_F = np.bincount(
            both_NF.indices, both_NF.data.astype(np.float64) ** 2, both_NF.shape[1]
        ).astype(np.float64)
        return cls(
            order_F,
            both_NF[:, :common].toarray(),
            tuple(both_NF[:, begin:end] for begin, end in pairwise(ends)),
            directions_FS,
            both_NF @ directions_FS,
            Curvature.of(vectors_FK, values_K**2, squares_F),
        )

    def products(self, weights_FB: Floats32) -> Floats32:
        """Return the products of each document's features and some weights, (N, B)."""
        begin = self.common_ND.shape[1]
        products_NB: Floats32 = self.common_ND @ weights_FB[:begin]
        for part_NF in self.rest_NF:
            products_NB += part_NF @ weights_FB[begin : begin + part_NF.shape[1]]
            begin += part_NF.shape[1]
        return products_NB

    def sums(self, factors_NB: Floats32) -> Floats32:
        """Return the sums of the documents' features times some factors, (F, B)."""
        sums_FB = np.concatenate(
            [self.common_ND.T @ factors_NB, *(part_NF.T @ factors_NB for part_NF in self.rest_NF)]
        )
        # In the sum for the intercept, as many small numbers as there are documents are added.
        sums_FB[0] = factors_NB.sum(axis=0, dtype=np.float64)
        return sums_FB


def fit_block(
    documents: SharedFeatures,
    positive_BN: NDArray[np.bool_],
    counted_N: NDArray[np.bool_],
    tolerance: float,
) -> Floats32:
    """Fit the classifiers of some labels.

    Args:
        documents: The documents.
        positive_BN: The documents with each label. Some that count have it, others don't.
        counted_N: The documents that count.
        tolerance: The norm of the gradient at which a label is done, relative to that of no
            weights and to the share of the rarer sign (as in LIBLINEAR).

    Returns:
        weights_BF, the intercepts last.
    """
    state, gradient_FB = _start(documents, positive_BN, counted_N, tolerance)
    weights_FB = np.empty((len(documents.order_F) + 1, len(positive_BN)), np.float32)
    # At first all documents are exactly at the margin, or beyond it: a guess of those that count.
    active_B = np.full(len(positive_BN), _FIRST_SHARE)
    for step in range(_MOST_STEPS):
        if step:
            slack_BN = np.maximum(0, state.slack_BN)
            active_B = np.count_nonzero(slack_BN, axis=1) / slack_BN.shape[1]
            slack_BN *= state.signs_BN
            gradient_FB = documents.sums(np.ascontiguousarray(slack_BN.T))
            gradient_FB *= -2
            gradient_FB += state.weights_FB
        done_B = np.linalg.norm(gradient_FB, axis=0) <= state.goals_B
        if done_B.any():
            weights_FB[:, state.labels[done_B]] = state.weights_FB[:, done_B]
            state, gradient_FB = state.only(~done_B), gradient_FB[:, ~done_B]
            active_B = active_B[~done_B]
        if not len(state.labels):
            break
        ahead_FB = documents.curvature.solved(gradient_FB, active_B)
        _move(documents, state, ahead_FB, all_count=not step)
    weights_FB[:, state.labels] = state.weights_FB
    weights_BF = np.empty(weights_FB.shape[::-1], np.float32)
    weights_BF[:, -1] = weights_FB[0]
    weights_BF[:, documents.order_F] = weights_FB[1:].T
    return weights_BF


@dataclass(frozen=True)
class _State:
    """The labels of a block that aren't done.

    Attributes:
        labels: Their places in the block.
        signs_BN: 1 for documents with the label, -1 for those without, 0 for those left out.
        goals_B: The norm of the gradient at which they are done.
        weights_FB: The weights.
        slack_BN: 1 - y w·x of each document; 0 for those left out.
        last_FB: The last step.
        last_BN: How it changed the decision values, times y.
    """

    labels: NDArray[np.int64]
    signs_BN: Floats32
    goals_B: NDArray[np.float64]
    weights_FB: Floats32
    slack_BN: Floats32
    last_FB: Floats32
    last_BN: Floats32

    def only(self, kept_B: NDArray[np.bool_]) -> "_State":
        """Return some of the labels."""
        return _State(
            self.labels[kept_B],
            self.signs_BN[kept_B],
            self.goals_B[kept_B],
            self.weights_FB[:, kept_B],
            self.slack_BN[kept_B],
            self.last_FB[:, kept_B],
            self.last_BN[kept_B],
        )


def _start(
    documents: SharedFeatures,
    positive_BN: NDArray[np.bool_],
    counted_N: NDArray[np.bool_],
    tolerance: float,
) -> tuple[_State, Floats32]:
    """Return classifiers that give no document a label, and the gradient there."""
    counted_BN = positive_BN & counted_N
    chosen_BN = sparse.csr_matrix(counted_BN.astype(np.float32))
    sums_BF = [chosen_BN @ documents.common_ND]
    sums_BF += [(chosen_BN @ part_NF).toarray() for part_NF in documents.rest_NF]
    sums_FB = np.ascontiguousarray(np.concatenate(sums_BF, axis=1).T)
    all_F1 = documents.sums(counted_N.astype(np.float32)[:, None])
    # Without weights, all documents have a slack of 1.
    start_B = 2 * np.linalg.norm(2 * sums_FB - all_F1, axis=0)
    positives_B, counted = np.diff(chosen_BN.indptr), int(counted_N.sum())
    rarer_B = np.minimum(positives_B, counted - positives_B) / max(counted, 1)
    signs_BN = np.where(counted_BN, np.float32(1), -counted_N.astype(np.float32))
    weights_FB = np.zeros_like(sums_FB)
    weights_FB[0] = -1
    state = _State(
        np.arange(len(positive_BN)),
        signs_BN,
        tolerance * rarer_B * start_B,
        weights_FB,
        2 * counted_BN.astype(np.float32),
        np.zeros_like(sums_FB),
        np.zeros_like(signs_BN),
    )
    return state, weights_FB - 4 * sums_FB


def _move(documents: SharedFeatures, state: _State, ahead_FB: Floats32, all_count: bool) -> None:
    """Minimize each label's objective over its subspace, in place.

    Args:
        documents: The documents.
        state: The labels.
        ahead_FB: The gradients divided by the curvature; overwritten.
        all_count: Whether to count all documents in the first step of Newton's method.
    """
    ahead_BN = np.ascontiguousarray(documents.products(ahead_FB).T)
    ahead_BN *= state.signs_BN
    directions_FS = documents.directions_FS
    fixed, size = directions_FS.shape[1], directions_FS.shape[1] + 2
    own = (ahead_FB, state.last_FB)
    with_fixed_SB2 = np.stack([directions_FS.T @ own_FB for own_FB in own], axis=2)
    own_22B = np.array([[_inner(one_FB, other_FB) for other_FB in own] for one_FB in own])
    weights_SB = directions_FS.T @ state.weights_FB
    weights_2B = np.array([_inner(own_FB, state.weights_FB) for own_FB in own])
    coefficients_SB = np.empty((size, len(state.labels)), np.float32)
    for place in range(len(state.labels)):
        inner_SS = np.eye(size)
        inner_SS[:fixed, fixed:] = with_fixed_SB2[:, place]
        inner_SS[fixed:, :fixed] = with_fixed_SB2[:, place].T
        inner_SS[fixed:, fixed:] = own_22B[:, :, place]
        coefficients_SB[:, place], left_N = _minimized(
            inner_SS,
            np.concatenate([weights_SB[:, place], weights_2B[:, place]]).astype(np.float64),
            documents.images_NS,
            (ahead_BN[place], state.last_BN[place]),
            state.signs_BN[place],
            state.slack_BN[place],
            all_count,
        )
        state.last_BN[place] = state.slack_BN[place] - left_N
        state.slack_BN[place] = left_N
    ahead_FB *= coefficients_SB[fixed]
    state.last_FB[:] *= coefficients_SB[fixed + 1]
    state.last_FB[:] += ahead_FB
    state.last_FB[:] += directions_FS @ coefficients_SB[:fixed]
    state.weights_FB[:] += state.last_FB


def _inner(one_FB: Floats32, other_FB: Floats32) -> Floats32:
    """Return the inner product of each label's two columns.

    BLAS adds more precisely than a loop over the rows, and is fast enough to compute all pairs.
    """
    inner_B: Floats32 = np.diagonal(one_FB.T @ other_FB)
    return inner_B


def _minimized(
    inner_SS: NDArray[np.float64],
    lengths_S: NDArray[np.float64],
    images_NS: Floats32,
    own_2N: tuple[Floats32, Floats32],
    signs_N: Floats32,
    slack_N: Floats32,
    all_count: bool,
) -> tuple[NDArray[np.float64], Floats32]:
    """Minimize one label's objective over a subspace by Newton's method.

    Args:
        inner_SS: The inner products of the directions.
        lengths_S: The inner product of each direction and the weights.
        images_NS: The change of each document's w·x along the shared directions.
        own_2N: The change of each document's y w·x along the label's own directions.
        signs_N: y; 0 for documents that don't count.
        slack_N: 1 - y w·x; 0 for documents that don't count.
        all_count: Whether all documents count in the first step.

    Returns:
        The coefficient of each direction, and 1 - y w·x of each document there.
    """
    fixed = images_NS.shape[1]
    coefficients_S, left_N = np.zeros(len(inner_SS)), slack_N
    for step in range(_NEWTON_STEPS):
        some = np.flatnonzero(signs_N if all_count and not step else left_N > 0)
        active_NS = np.empty((len(some), len(inner_SS)), np.float32)
        np.multiply(images_NS.take(some, axis=0), signs_N[some, None], out=active_NS[:, :fixed])
        for place, own_N in enumerate(own_2N, start=fixed):
            active_NS[:, place] = own_N[some]
        linear_S = inner_SS @ coefficients_S + lengths_S
        slope_S = linear_S - 2 * (left_N[some] @ active_NS)
        curve_SS = inner_SS + 2 * (active_NS.T @ active_NS)
        # A direction may be zero (the last step, at first) or nearly within the others.
        diagonal = np.diag_indices_from(curve_SS)
        curve_SS[diagonal] = curve_SS[diagonal] * (1 + _RIDGE) + 1e-9
        direction_S = -np.linalg.solve(curve_SS, slope_S)
        direction32_S = direction_S.astype(np.float32)
        image_N = images_NS @ direction32_S[:fixed]
        image_N *= signs_N
        for own_N, length in zip(own_2N, direction32_S[fixed:], strict=True):
            image_N += own_N * length
        square = float(direction_S @ inner_SS @ direction_S)
        far = _line_minimum(float(linear_S @ direction_S), square, image_N, left_N)
        coefficients_S += far * direction_S
        left_N = left_N - np.float32(far) * image_N
    return coefficients_S, left_N


def _line_minimum(linear: float, square: float, image_N: Floats32, left_N: Floats32) -> float:
    """Return how far to go: the minimum of linear·t + ½ square·t² + Σ max(0, left - t·image)²."""
    far = 1.0
    for _ in range(_LINE_STEPS):
        slack_N = left_N - np.float32(far) * image_N
        active_N = image_N * (slack_N > 0)
        slope = linear + square * far - 2 * float(active_N @ slack_N)
        curve = square + 2 * float(active_N @ active_N)
        if curve <= 0:
            break
        far -= slope / curve
    return far
