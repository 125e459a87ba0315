"""Ridge regression from the n-grams of a text to its codes, in closed form: the best that words alone do without a dictionary.

Which of two ways it takes depends on the training documents only:

- **Exact**, for up to `EXACT_DOCUMENTS` documents with up to `EXACT_VALUES` features in all: (K + λI)⁻¹Y, where K are the
  cosines of the training documents. Kept are their features and a weight for each of them and each label.
- **Sketched**, beyond: (XᵀX + λI)⁻¹XᵀY over M columns, summed up while the documents stream by a second time. The most frequent
  words have three quarters of the columns, one each; rarer words and all n-grams are added with random signs to what is left
  (count sketch: Charikar, Chen and Farach-Colton 2002), which keeps the products of documents ± 1/√(M / 4) of that part.
  Nothing grows with the number of documents: with 8,192 columns, fitting takes about 1 GB and 100 kB a label, and what is kept
  16 kB a label, 147 MB for 9,000. A projection that is fitted (singular vectors, landmark documents) has to be stored itself,
  larger than the weights are.

Measured on CodiEsp (English, dev MAP): exact .288, sketched .273, all features in one sketch .271. On 8,000 made-up documents
of 4,700 characters with 2,000 labels: .517, .446, .423. Fitting 10,000 of these on one core took 82 seconds, 1.2 GB of memory
and 33 MB on disk; the exact way with 8,000 took six minutes.

A document's score out of fold is what a fit without it would give it, by the leave-one-out formula (s - hy) / (1 - h), with its
score s, its target y and its leverage h, which in the exact way is y - α / [(K + λI)⁻¹]ᵢᵢ, with its weight α. Only what is no
label, the documents' frequencies of features, still counts it.

Shapes: N documents, B documents of a block, F features, M columns or training documents, L labels, K labels that are asked for,
W words of a document, D different ones.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from icdcli.io.npz import Arrays
from icdcli.lexical.ngram_features import (
    FEATURES,
    NGRAM_FEATURES,
    counts,
    inverse_frequencies,
    weighted,
)
from icdcli.lexical.words import places_of

EXACT_DOCUMENTS = 4096
EXACT_VALUES = 16_000_000
COLUMNS = 8192
EXACT_PENALTY, SKETCH_PENALTY = 0.03, 0.3
# The words' part of the cosine; on CodiEsp, exact, .2 to .5 are within .003 MAP of each other. A sketch blurs n-grams more.
EXACT_WORD_SHARE, SKETCH_WORD_SHARE = 0.35, 0.7
_BLOCK = 256
_LABELS = 512

Targets = Sequence[NDArray[np.int32]]


@dataclass(frozen=True)
class NgramRidge:
    """A fitted ridge regression.

    Attributes:
        idf_F: Each feature's weight, 0 where it is left out.
        documents_FN: The training documents' features, transposed; None where it is sketched.
        own_words: Sketched: the features with a column of their own, in the columns' order; else empty.
        weights_ML: A weight for each training document, or each column of the sketch, and each label; float32 that half
            precision holds, so that what is saved scores the same.
        solution_ML: The weights unrounded, for scores out of fold; None where it is lean or was loaded.
        factor_MM: The Cholesky factor, for the same.
    """

    idf_F: NDArray[np.float32]
    documents_FN: sparse.csr_matrix | None
    own_words: NDArray[np.int32]
    weights_ML: NDArray[np.float32]
    solution_ML: NDArray[np.float32] | None = field(default=None, repr=False)
    factor_MM: NDArray[np.float64] | None = field(default=None, repr=False)

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        targets: Targets,
        number_of_labels: int,
        *,
        exact_documents: int = EXACT_DOCUMENTS,
        columns: int = COLUMNS,
    ) -> "NgramRidge":
        """Fit on training documents.

        Args:
            texts: The documents; gone through once, or twice where there are too many for the exact way.
            targets: Each document's labels, (N).
            number_of_labels: L.
            exact_documents: Up to how many documents the exact way is taken.
            columns: M of a sketch.

        Raises:
            ValueError: Where there is no document, there aren't as many targets as texts, or texts can be gone through only
                once and are too many.
        """
        with_feature_F = np.zeros(FEATURES, np.int32)
        kept: list[sparse.csr_matrix] | None = []
        documents = 0
        for block in _blocks(texts):
            counted_BF = counts(block)
            documents += len(block)
            with_feature_F += np.bincount(counted_BF.indices, minlength=FEATURES).astype(np.int32)
            if kept is not None:
                kept.append(counted_BF)
                if documents > exact_documents or sum(part.nnz for part in kept) > EXACT_VALUES:
                    kept = None
        if not documents or documents != len(targets):
            raise ValueError(
                f"{documents} texts and {len(targets)} targets; there must be as many of both, and at least one"
            )
        idf_F = inverse_frequencies(documents, with_feature_F)
        if kept is not None:
            features_NF = weighted(sparse.vstack(kept, format="csr"), idf_F, EXACT_WORD_SHARE)
            return cls._fit_exact(idf_F, features_NF, targets, number_of_labels)
        if iter(texts) is texts:
            raise ValueError(
                "so many texts are gone through twice: give a list, or what can be iterated anew"
            )
        frequency_F = np.where(idf_F > 0, with_feature_F, 0)[NGRAM_FEATURES:]
        frequent = np.argsort(-frequency_F, kind="stable")[
            : min(columns * 3 // 4, np.count_nonzero(frequency_F))
        ]
        own_words = (NGRAM_FEATURES + frequent).astype(np.int32)
        return cls._fit_sketched(idf_F, own_words, texts, targets, number_of_labels, columns)

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Score documents, about 0 to 1 and not clipped, as (N, L)."""
        scores_NL = np.empty((len(texts), self.weights_ML.shape[1]), np.float32)
        for first in range(0, len(texts), _BLOCK):
            block = slice(first, first + _BLOCK)
            scores_NL[block] = self._basis(self._features(texts[block])) @ self.weights_ML
        return scores_NL

    def by_word(self, document: Sequence[str], labels: Sequence[int]) -> NDArray[np.float32]:
        """What each word of a document gives some labels' scores, as (K, W); a row's sum is the score.

        That is exact: no n-gram reaches from word to word, and a score is a sum over what a document has of each.

        Args:
            document: Its words, folded.
            labels: The labels.
        """
        if not len(document):
            return np.zeros((len(labels), 0), np.float32)
        different, place_W = places_of(document)
        counts_DF = counts(different)
        counts_1F = sparse.csr_matrix(np.bincount(place_W)[None].astype(np.float32)) @ counts_DF
        of_document, of_each_F = self._weighted(counts_1F), np.zeros(FEATURES, np.float32)
        of_each_F[of_document.indices] = of_document.data
        of_each_F[counts_1F.indices] /= counts_1F.data
        counts_DF.data *= of_each_F[counts_DF.indices]
        weights_MK = self.weights_ML[:, list(labels)]
        blocks = (counts_DF[first : first + _BLOCK] for first in range(0, len(different), _BLOCK))
        scores_DK: NDArray[np.float32] = np.concatenate(
            [self._basis(block) @ weights_MK for block in blocks]
        )
        return scores_DK.T[:, place_W]

    def out_of_fold(
        self, texts: Sequence[str], targets: Targets, first: int = 0
    ) -> NDArray[np.float32]:
        """Score training documents as fits without each of them would.

        Args:
            texts: All or some of the documents it was fitted on, in the same order.
            targets: The targets they had.
            first: The place of the first of them.

        Raises:
            ValueError: Where it is lean or was loaded: what this needs isn't kept.
        """
        if self.factor_MM is None or self.solution_ML is None:
            raise ValueError(
                "scores out of fold can be had where the ridge was fitted, not from a lean or saved one"
            )
        scores_NL = np.empty((len(texts), self.weights_ML.shape[1]), np.float32)
        for begin in range(0, len(texts), _BLOCK):
            rows = range(begin, min(begin + _BLOCK, len(texts)))
            if self.documents_FN is not None:
                # What is left of the target without the document: its weight by the inverse's diagonal. No text is needed.
                unit_MB = np.eye(len(self.weights_ML), len(rows), -(first + begin))
                diagonal_B = (_solved(self.factor_MM, unit_MB) ** 2).sum(axis=0)
                scores_NL[begin : rows.stop] = (
                    -self.solution_ML[first + begin : first + rows.stop] / diagonal_B[:, None]
                )
                for row in rows:
                    scores_NL[row, targets[row]] += 1
                continue
            basis_BM = self._basis(self._features(texts[begin : rows.stop]))
            leverage_B = (_solved(self.factor_MM, basis_BM.T.astype(np.float64)) ** 2).sum(axis=0)
            scores_NL[begin : rows.stop] = basis_BM @ self.solution_ML
            for row, leverage in zip(rows, leverage_B, strict=True):
                scores_NL[row, targets[row]] -= leverage
                scores_NL[row] /= 1 - leverage
        return scores_NL

    def lean(self) -> "NgramRidge":
        """The same without what only scores out of fold need, which is most of its memory."""
        return replace(self, solution_ML=None, factor_MM=None)

    def arrays(self) -> Arrays:
        """What `from_arrays` makes it of, the weights in half precision."""
        known = np.flatnonzero(self.idf_F).astype(np.int32)
        arrays: Arrays = {
            "known": known,
            "idf": self.idf_F[known],
            "own_words": self.own_words,
            "weights": self.weights_ML.astype(np.float16),
        }
        if self.documents_FN is not None:
            documents_NF = self.documents_FN.T.tocsr()
            arrays |= {
                "values": documents_NF.data,
                "columns": documents_NF.indices.astype(np.int32),
                "starts": documents_NF.indptr.astype(np.int64),
            }
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Arrays, number_of_labels: int) -> "NgramRidge":
        """Make it of its arrays.

        Raises:
            ValueError: Where they don't fit together.
            KeyError: Where one is missing.
        """
        weights_ML, own_words = (
            arrays["weights"].astype(np.float32),
            arrays["own_words"].astype(np.int32),
        )
        if weights_ML.ndim != 2 or weights_ML.shape[1] != number_of_labels:
            raise ValueError(f"weights of shape {weights_ML.shape} for {number_of_labels} labels")
        known, idf_F = arrays["known"], np.zeros(FEATURES, np.float32)
        if len(known) and not 0 <= known.min() <= known.max() < FEATURES:
            raise ValueError("features beyond the last")
        idf_F[known] = arrays["idf"]
        if "values" not in arrays:
            return cls(idf_F, None, own_words, weights_ML)
        parts = (arrays["values"], arrays["columns"], arrays["starts"])
        documents_NF = sparse.csr_matrix(parts, shape=(len(weights_ML), FEATURES))
        documents_NF.check_format()
        return cls(idf_F, documents_NF.T.tocsr(), own_words, weights_ML)

    @classmethod
    def _fit_exact(
        cls,
        idf_F: NDArray[np.float32],
        documents_NF: sparse.csr_matrix,
        targets: Targets,
        number_of_labels: int,
    ) -> "NgramRidge":
        cosines_NN = (documents_NF @ documents_NF.T).toarray().astype(np.float64)
        factor_NN = _factor(cosines_NN, EXACT_PENALTY)
        weights_NL = np.empty((len(targets), number_of_labels), np.float32)
        for labels, targets_NP in _label_parts(_matrix(targets, number_of_labels)):
            weights_NL[:, labels] = linalg.cho_solve(
                (factor_NN, True), targets_NP, check_finite=False
            )
        return cls(
            idf_F,
            documents_NF.T.tocsr(),
            np.zeros(0, np.int32),
            _rounded(weights_NL),
            weights_NL,
            factor_NN,
        )

    @classmethod
    def _fit_sketched(
        cls,
        idf_F: NDArray[np.float32],
        own_words: NDArray[np.int32],
        texts: Iterable[str],
        targets: Targets,
        number_of_labels: int,
        columns: int,
    ) -> "NgramRidge":
        gram_MM = np.zeros((columns, columns), np.float64)
        moments_LM = np.zeros((number_of_labels, columns), np.float32)
        first = 0
        for block in _blocks(texts, 4 * _BLOCK):
            sketch_BM = _sketch(
                weighted(counts(block), idf_F, SKETCH_WORD_SHARE), own_words, columns
            )
            gram_MM += sketch_BM.T @ sketch_BM
            of_block_LB = _matrix(targets[first : first + len(block)], number_of_labels).T.tocsr()
            present = np.flatnonzero(np.diff(of_block_LB.indptr))
            moments_LM[present] += of_block_LB[present] @ sketch_BM
            first += len(block)
        factor_MM = _factor(gram_MM, SKETCH_PENALTY)
        weights_ML = np.empty((columns, number_of_labels), np.float32)
        for begin in range(0, number_of_labels, _LABELS):
            part = moments_LM[begin : begin + _LABELS].T.astype(np.float64)
            weights_ML[:, begin : begin + _LABELS] = linalg.cho_solve(
                (factor_MM, True), part, check_finite=False
            )
        return cls(idf_F, None, own_words, _rounded(weights_ML), weights_ML, factor_MM)

    def _features(self, texts: Sequence[str]) -> sparse.csr_matrix:
        return self._weighted(counts(texts))

    def _weighted(self, counts_BF: sparse.csr_matrix) -> sparse.csr_matrix:
        return weighted(
            counts_BF,
            self.idf_F,
            SKETCH_WORD_SHARE if self.documents_FN is None else EXACT_WORD_SHARE,
        )

    def _basis(self, features_BF: sparse.csr_matrix) -> NDArray[np.float32]:
        if self.documents_FN is None:
            return _sketch(features_BF, self.own_words, len(self.weights_ML))
        basis_BN: NDArray[np.float32] = (features_BF @ self.documents_FN).toarray()
        return basis_BN


def _blocks(texts: Iterable[str], size: int = _BLOCK) -> Iterator[list[str]]:
    remaining = iter(texts)
    while block := list(islice(remaining, size)):
        yield block


def _factor(matrix_MM: NDArray[np.float64], penalty: float) -> NDArray[np.float64]:
    matrix_MM[np.diag_indices_from(matrix_MM)] += penalty
    # Transposed in place: LAPACK wants columns, and would copy half a gigabyte of rows; the matrix is symmetric.
    factor: NDArray[np.float64] = linalg.cholesky(
        matrix_MM.T, lower=True, overwrite_a=True, check_finite=False
    )
    return factor


def _rounded(weights_ML: NDArray[np.float32]) -> NDArray[np.float32]:
    return weights_ML.astype(np.float16).astype(np.float32)


def _solved(factor_MM: NDArray[np.float64], basis_MB: NDArray[np.float64]) -> NDArray[np.float64]:
    solved_MB: NDArray[np.float64] = linalg.solve_triangular(
        factor_MM, basis_MB, lower=True, check_finite=False
    )
    return solved_MB


def _matrix(targets: Targets, number_of_labels: int) -> sparse.csr_matrix:
    starts = np.concatenate([[0], np.cumsum([len(labels) for labels in targets])])
    columns = np.concatenate([*targets, np.zeros(0, np.int32)]).astype(np.int32)
    return sparse.csr_matrix(
        (np.ones(len(columns), np.float32), columns, starts), shape=(len(targets), number_of_labels)
    )


def _label_parts(targets_NL: sparse.csr_matrix) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    by_label = targets_NL.tocsc()
    for begin in range(0, by_label.shape[1], _LABELS):
        labels = slice(begin, begin + _LABELS)
        yield labels, by_label[:, labels].toarray().astype(np.float64)


def _sketch(
    features_BF: sparse.csr_matrix, own_words: NDArray[np.int32], columns: int
) -> NDArray[np.float32]:
    own = len(own_words)
    column_F = np.full(FEATURES, -1, np.int32)
    column_F[own_words] = np.arange(own)
    place = column_F[features_BF.indices]
    with np.errstate(over="ignore"):
        hashes = (features_BF.indices.astype(np.uint64) + np.uint64(1)) * np.uint64(
            0x9E3779B97F4A7C15
        )
        hashes = (hashes ^ (hashes >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    shared = place < 0
    place[shared] = own + ((hashes[shared] >> np.uint64(16)) % np.uint64(columns - own)).astype(
        np.int32
    )
    sign = np.where(shared & (hashes >> np.uint64(63) == 1), np.float32(-1), np.float32(1))
    signed = sparse.csr_matrix(
        (features_BF.data * sign, place, features_BF.indptr), shape=(features_BF.shape[0], columns)
    )
    sums_BM: NDArray[np.float32] = signed.toarray()
    return sums_BM
