"""Linear support vector machines of many labels at once, for many documents.

A label's classifier minimizes ½|w|² + Σ max(0, 1 - y w·x)², as scikit-learn's ``LinearSVC`` does,
with the intercept as the weight of one more feature. Two things make it fast:

- Blocks of labels share each pass over the features, which are read from memory only once for all
  of them.
- A few directions have nearly all of the curvature: the mean document and the largest singular
  vectors. Each step minimizes the objective over a subspace of these directions, of the gradient
  (flattened along further singular vectors), and of the last step (sequential subspace
  optimization, Narkiss and Zibulevsky 2005). Within a subspace, Newton's method needs products with
  N numbers per direction only. Four to eight steps are enough, each of two passes; Newton's method
  with conjugate gradients, as in LIBLINEAR, takes a hundred.

Nothing depends on the number of threads or on chance: the singular vectors have a fixed seed.

Shapes: N documents, F features and the intercept, B labels of a block, K singular vectors, S
directions of a subspace.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

Floats32 = NDArray[np.float32]

BLOCK = 32
"""The labels that are fitted together."""
_VECTORS, _DIRECTIONS = 100, 12
_MOST_STEPS, _NEWTON_STEPS, _LINE_STEPS = 20, 3, 3
_RIDGE = 1e-6


@dataclass(frozen=True)
class SharedFeatures:
    """The features of documents, as all labels share them.

    Attributes:
        features_NF: The features, and a column of ones.
        features_FN: The same, transposed.
        directions_FS: The first singular vectors, over which each step minimizes.
        images_SN: Their products with the features.
        vectors_FK: Further singular vectors.
        squares_K: The squares of their singular values.
    """

    features_NF: sparse.csr_matrix
    features_FN: sparse.csr_matrix
    directions_FS: Floats32
    images_SN: Floats32
    vectors_FK: Floats32
    squares_K: Floats32

    @classmethod
    def of(cls, features_NF: sparse.csr_matrix) -> "SharedFeatures":
        """Add the intercept, and find the singular vectors."""
        ones_N1 = sparse.csr_matrix(np.ones((features_NF.shape[0], 1), np.float32))
        both_NF = sparse.hstack([features_NF.astype(np.float32), ones_N1], format="csr")
        vectors = min(_VECTORS, min(both_NF.shape) - 1)
        _, values_K, vectors_KF = randomized_svd(both_NF, vectors, n_iter=2, random_state=0)
        vectors_FK = np.ascontiguousarray(vectors_KF.T, np.float32)
        directions_FS = np.ascontiguousarray(vectors_FK[:, :_DIRECTIONS])
        return cls(
            both_NF,
            both_NF.T.tocsr(),
            directions_FS,
            np.ascontiguousarray((both_NF @ directions_FS).T),
            np.ascontiguousarray(vectors_FK[:, _DIRECTIONS:]),
            (values_K[_DIRECTIONS:] ** 2).astype(np.float32),
        )

    def gradient(self, weights_FB: Floats32, signed_slack_BN: Floats32) -> Floats32:
        """Return the gradient of the objective.

        Args:
            weights_FB: The weights.
            signed_slack_BN: max(0, 1 - y w·x), times y.
        """
        sums_FB = self.features_FN @ np.ascontiguousarray(signed_slack_BN.T)
        # In the sum for the intercept, as many small numbers as there are documents are added.
        sums_FB[-1] = signed_slack_BN.sum(axis=1, dtype=np.float64)
        gradient_FB: Floats32 = weights_FB - 2 * sums_FB
        return gradient_FB

    def flattened(self, gradient_FB: Floats32, active_B: NDArray[np.float64]) -> Floats32:
        """Return the gradient beside the directions, shortened along the singular vectors.

        Args:
            gradient_FB: The gradient.
            active_B: The share of documents that the objective counts, of each label.
        """
        rest_FB = gradient_FB - self.directions_FS @ (self.directions_FS.T @ gradient_FB)
        curved_KB = 2 * self.squares_K[:, None] * active_B.astype(np.float32)
        along_KB = self.vectors_FK.T @ rest_FB
        flat_FB: Floats32 = rest_FB - self.vectors_FK @ (along_KB * (curved_KB / (1 + curved_KB)))
        return flat_FB


def fit_block(documents: SharedFeatures, signs_BN: NDArray[np.int8], tolerance: float) -> Floats32:
    """Fit the classifiers of some labels.

    Args:
        documents: The documents.
        signs_BN: 1 for documents with the label, -1 for those without, 0 for those left out. Each
            label needs one of either kind.
        tolerance: The norm of the gradient at which a label is done, relative to that of no
            weights and to the share of the rarer sign (as in LIBLINEAR).

    Returns:
        weights_FB, the intercepts last.
    """
    state = _State.start(documents, signs_BN, tolerance)
    weights_FB = np.empty((documents.features_NF.shape[1], len(signs_BN)), np.float32)
    for step in range(_MOST_STEPS):
        slack_BN = np.maximum(0, 1 - state.signs_BN * state.values_BN)
        slack_BN *= state.signs_BN != 0
        gradient_FB = documents.gradient(state.weights_FB, state.signs_BN * slack_BN)
        done_B = np.linalg.norm(gradient_FB, axis=0) <= state.goals_B
        if step and done_B.any():
            weights_FB[:, state.labels[done_B]] = state.weights_FB[:, done_B]
            state, gradient_FB, slack_BN = (
                state.only(~done_B),
                gradient_FB[:, ~done_B],
                slack_BN[~done_B],
            )
        if not len(state.labels):
            return weights_FB
        # At first all documents are exactly at the margin, or beyond it: count them all.
        active_B = np.mean(slack_BN > 0, axis=1) if step else np.ones(len(slack_BN))
        flat_FB = documents.flattened(gradient_FB, active_B)
        state = _moved(documents, state, flat_FB, all_count=not step)
    weights_FB[:, state.labels] = state.weights_FB
    return weights_FB


@dataclass(frozen=True)
class _State:
    """The labels of a block that aren't done.

    Attributes:
        labels: Their places in the block.
        signs_BN: As in `fit_block`.
        goals_B: The norm of the gradient at which they are done.
        weights_FB: The weights.
        values_BN: The decision value of each document.
        last_FB: The last step.
        last_BN: How it changed the decision values.
    """

    labels: NDArray[np.int64]
    signs_BN: Floats32
    goals_B: NDArray[np.float64]
    weights_FB: Floats32
    values_BN: Floats32
    last_FB: Floats32
    last_BN: Floats32

    @classmethod
    def start(
        cls, documents: SharedFeatures, signs_BN: NDArray[np.int8], tolerance: float
    ) -> "_State":
        """Start from classifiers that give no document a label."""
        signs = signs_BN.astype(np.float32)
        zeros_FB = np.zeros((documents.features_NF.shape[1], len(signs)), np.float32)
        start_B = np.linalg.norm(documents.gradient(zeros_FB, signs).astype(np.float64), axis=0)
        kinds_2B = [np.count_nonzero(signs_BN == sign, axis=1) for sign in (1, -1)]
        rarer_B = np.minimum(*kinds_2B) / np.maximum(sum(kinds_2B), 1)
        weights_FB = zeros_FB.copy()
        weights_FB[-1] = -1
        return cls(
            np.arange(len(signs)),
            signs,
            tolerance * rarer_B * start_B,
            weights_FB,
            np.full(signs.shape, -1, np.float32),
            zeros_FB,
            np.zeros(signs.shape, np.float32),
        )

    def only(self, kept_B: NDArray[np.bool_]) -> "_State":
        """Return some of the labels."""
        return _State(
            self.labels[kept_B],
            self.signs_BN[kept_B],
            self.goals_B[kept_B],
            self.weights_FB[:, kept_B],
            self.values_BN[kept_B],
            self.last_FB[:, kept_B],
            self.last_BN[kept_B],
        )


def _moved(documents: SharedFeatures, state: _State, flat_FB: Floats32, all_count: bool) -> _State:
    """Minimize each label's objective over its subspace.

    Args:
        documents: The documents.
        state: The labels.
        flat_FB: The flattened gradients.
        all_count: Whether to count all documents in the first step of Newton's method.
    """
    flat_BN = np.ascontiguousarray((documents.features_NF @ flat_FB).T)
    directions_FS = documents.directions_FS
    fixed, size = directions_FS.shape[1], directions_FS.shape[1] + 2
    coefficients_SB = np.empty((size, len(state.labels)), np.float32)
    steps_BN = np.empty_like(state.values_BN)
    own_F2B = np.stack([flat_FB, state.last_FB], axis=1)
    with_fixed_S2B = np.tensordot(directions_FS.T, own_F2B, 1).astype(np.float64)
    lengths_SB = np.concatenate(
        [
            directions_FS.T @ state.weights_FB,
            np.einsum("fsb,fb->sb", own_F2B, state.weights_FB, dtype=np.float64),
        ]
    )
    own_22B = np.einsum("fsb,ftb->stb", own_F2B, own_F2B, dtype=np.float64)
    for place in range(len(state.labels)):
        inner_SS = np.eye(size)
        inner_SS[:fixed, fixed:] = with_fixed_S2B[:, :, place]
        inner_SS[fixed:, :fixed] = with_fixed_S2B[:, :, place].T
        inner_SS[fixed:, fixed:] = own_22B[:, :, place]
        images_SN = np.concatenate([documents.images_SN, flat_BN[[place]], state.last_BN[[place]]])
        signs_N = state.signs_BN[place]
        coefficients_SB[:, place], steps_BN[place] = _minimized(
            inner_SS,
            lengths_SB[:, place].astype(np.float64),
            images_SN * signs_N,
            np.where(signs_N == 0, 0, 1 - signs_N * state.values_BN[place]),
            all_count,
        )
        steps_BN[place] *= signs_N
    move_FB = (
        directions_FS @ coefficients_SB[:fixed]
        + flat_FB * coefficients_SB[fixed]
        + state.last_FB * coefficients_SB[fixed + 1]
    )
    return _State(
        state.labels,
        state.signs_BN,
        state.goals_B,
        state.weights_FB + move_FB,
        state.values_BN + steps_BN,
        move_FB,
        steps_BN,
    )


def _minimized(
    inner_SS: NDArray[np.float64],
    lengths_S: NDArray[np.float64],
    images_SN: Floats32,
    slack_N: Floats32,
    all_count: bool,
) -> tuple[NDArray[np.float64], Floats32]:
    """Minimize one label's objective over a subspace by Newton's method.

    Args:
        inner_SS: The inner products of the directions.
        lengths_S: The inner product of each direction and the weights.
        images_SN: The change of each document's y w·x along each direction.
        slack_N: 1 - y w·x; 0 for documents that don't count.
        all_count: Whether all documents count in the first step.

    Returns:
        The coefficient of each direction, and the change of each document's y w·x.
    """
    coefficients_S, changed_N = np.zeros(len(inner_SS)), np.zeros_like(slack_N)
    for step in range(_NEWTON_STEPS):
        left_N = slack_N - changed_N
        active_SN = images_SN if all_count and not step else images_SN[:, left_N > 0]
        active_N = left_N if all_count and not step else left_N[left_N > 0]
        linear_S = inner_SS @ coefficients_S + lengths_S
        slope_S = linear_S - 2 * (active_SN @ active_N)
        curve_SS = inner_SS + 2 * (active_SN @ active_SN.T)
        # A direction may be zero (the last step, at first) or nearly within the others.
        diagonal = np.diag_indices_from(curve_SS)
        curve_SS[diagonal] = curve_SS[diagonal] * (1 + _RIDGE) + 1e-9
        direction_S = -np.linalg.solve(curve_SS, slope_S)
        image_N = direction_S.astype(np.float32) @ images_SN
        square = float(direction_S @ inner_SS @ direction_S)
        far = _line_minimum(float(linear_S @ direction_S), square, image_N, left_N)
        coefficients_S += far * direction_S
        changed_N += np.float32(far) * image_N
    return coefficients_S, changed_N


def _line_minimum(linear: float, square: float, image_N: Floats32, left_N: Floats32) -> float:
    """Return how far to go: the minimum of linear·t + ½ square·t² + Σ max(0, left - t·image)²."""
    far = 1.0
    for _ in range(_LINE_STEPS):
        slack_N = left_N - np.float32(far) * image_N
        active_N = np.where(slack_N > 0, image_N, np.float32(0))
        slope = linear + square * far - 2 * float((active_N * slack_N).sum(dtype=np.float64))
        curve = square + 2 * float((active_N * active_N).sum(dtype=np.float64))
        if curve <= 0:
            break
        far -= slope / curve
    return far
