"""Ridge regression from the n-grams of a text to its codes, in closed form.

One of two methods is used, depending only on the training documents:

- **Exact**, for up to `EXACT_DOCUMENTS` documents with up to `EXACT_VALUES` feature values in
  total: (K + λI)⁻¹Y, with the cosines K of the training documents. Stored are the features of the
  training documents, and a weight per document and label.
- **Sketched**, for more: (XᵀX + λI)⁻¹XᵀY over M columns, summed in a second pass over the
  documents. The most frequent words have three quarters of the columns, one each. Rarer words and
  all n-grams are added to the remaining columns with random signs (count sketch: Charikar, Chen and
  Farach-Colton 2002), which preserves the inner products of documents up to ± 1/√(M / 4) of that
  part. Nothing grows with the number of documents: with 8,192 columns, the products take 268 MB, a
  fit 33 kB per label, and the result 16 kB per label, 147 MB for 9,000. A fitted projection
  (singular vectors, landmark documents) would have to be stored too, and is larger than the
  weights.

Measured on CodiEsp (English, dev MAP): exact .288, sketched .273, all features in one sketch .271.
On 8,000 synthetic documents of 4,700 characters with 2,000 labels: .517, .446, .423. Fitting 10,000
of these on one core took 82 seconds, 1.2 GB of memory and 33 MB on disk; the exact method took six
minutes for 8,000.

The score of a training document out of fold is that of a fit without it, by the leave-one-out
formula (s - hy) / (1 - h), with its score s, its target y and its leverage h. In the exact method
this is y - α / [(K + λI)⁻¹]ᵢᵢ, with its weight α. Only the document frequencies of features, which
involve no labels, still include it.

Shapes: N documents, B documents of a block, F features, M columns or training documents, L labels,
K requested labels, W words of a document, D distinct words.
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from icdcli.data.processes import in_blocks
from icdcli.data.relabeling import Relabeling
from icdcli.io.npz import Arrays
from icdcli.lexical.linear.packed import PackedFactor, PackedProducts
from icdcli.lexical.linear.ridge import DenseFactor, add_moments, halved, label_parts, rounded
from icdcli.lexical.ngram_features import (
    FEATURES,
    NGRAM_FEATURES,
    NO_LEAST,
    Lengths,
    Sketch,
    block_counts,
    counts,
    inverse_frequencies,
    short_lengths,
    weighted,
)
from icdcli.lexical.targets import Targets, target_matrix
from icdcli.lexical.words import places_of

EXACT_DOCUMENTS = 4096
EXACT_VALUES = 16_000_000
COLUMNS = 8192
EXACT_PENALTY, SKETCH_PENALTY = 0.03, 0.3
# The share of words in the cosine. With the exact method, .2 to .5 are within .003 MAP of each
# other on CodiEsp. A sketch blurs n-grams more.
EXACT_WORD_SHARE, SKETCH_WORD_SHARE = 0.35, 0.7
_BLOCK, _FEW, _SKETCHED = 256, 32, 1_024
"""The documents that are counted or scored at once, those that are sketched, and those whose
products are added."""
_LEAST_TEXTS = 2_048


@dataclass(frozen=True)
class NgramRidge:
    """A fitted ridge regression.

    Attributes:
        idf_F: The weight of each feature, 0 if it is left out.
        documents_FN: The features of the training documents, transposed; None if sketched.
        own_words: If sketched, the features with a column of their own, in column order; else
            empty.
        weights_ML: The weight of each training document, or column of the sketch, and label. They
            are rounded to half precision, so that a saved model gives the same scores; float32, or
            float16 after a lean fit until they are used, while other parts are fitted.
        solution_ML: The weights before rounding, for scores out of fold; None if lean or loaded.
        factor: The Cholesky factor, for scores out of fold; None if lean or loaded.
        least: The least lengths of a document; see `weighted`.
    """

    idf_F: NDArray[np.float32]
    documents_FN: sparse.csr_matrix | None
    own_words: NDArray[np.int32]
    weights_ML: NDArray[np.float32] | NDArray[np.float16]
    solution_ML: NDArray[np.float32] | None = field(default=None, repr=False)
    factor: DenseFactor | PackedFactor | None = field(default=None, repr=False)
    least: Lengths = NO_LEAST

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        targets: Targets,
        number_of_labels: int,
        *,
        exact_documents: int = EXACT_DOCUMENTS,
        columns: int = COLUMNS,
        penalty: float | None = None,
        bounded: bool = False,
        lean: bool = False,
    ) -> "NgramRidge":
        """Fit to training documents.

        Args:
            texts: The documents; read once, or twice if there are too many for the exact method.
            targets: The labels of each document, (N).
            number_of_labels: L.
            exact_documents: The largest number of documents for the exact method.
            columns: M of a sketch.
            penalty: λ; None: that of the method.
            bounded: Whether documents much shorter than those of training count as longer ones.
            lean: Whether to leave out what only `out_of_fold` needs; then a fit takes less memory.

        Raises:
            ValueError: If there is no document, if the numbers of texts and targets differ, or if
                there are too many for the exact method and they can be read only once.
        """
        with_feature_F, documents = np.zeros(FEATURES, np.int32), 0
        kept: list[sparse.csr_matrix] | None = [] if len(targets) <= exact_documents else None
        work = partial(block_counts, keep=kept is not None)
        for block in in_blocks(work, texts, _BLOCK, _LEAST_TEXTS):
            documents += block.documents
            with_feature_F[block.features] += block.times
            if kept is not None:
                kept.append(block.counts_BF)
                if documents > exact_documents or sum(part.nnz for part in kept) > EXACT_VALUES:
                    kept = None
        if not documents or documents != len(targets):
            raise ValueError(
                f"{documents} texts and {len(targets)} targets; need the same number, at least one"
            )
        idf_F = inverse_frequencies(documents, with_feature_F)
        if kept is not None:
            counts_NF = sparse.vstack(kept, format="csr")
            least = short_lengths(kept, idf_F) if bounded else NO_LEAST
            features_NF = weighted(counts_NF, idf_F, EXACT_WORD_SHARE, least)
            exact = cls._fit_exact(
                idf_F, features_NF, targets, number_of_labels, penalty or EXACT_PENALTY
            )
            exact = replace(exact, least=least)
            return exact.lean() if lean else exact
        if iter(texts) is texts:
            raise ValueError(
                f"{documents} texts are read twice: pass a list or another iterable that restarts"
            )
        frequency_F = np.where(idf_F > 0, with_feature_F, 0)[NGRAM_FEATURES:]
        frequent = np.argsort(-frequency_F, kind="stable")[
            : min(columns * 3 // 4, np.count_nonzero(frequency_F))
        ]
        own_words = (NGRAM_FEATURES + frequent).astype(np.int32)
        least = NO_LEAST
        if bounded:
            some = in_blocks(counts, islice(texts, _SKETCHED), _FEW, _LEAST_TEXTS)
            least = short_lengths(some, idf_F)
        penalty = penalty or SKETCH_PENALTY
        return cls._fit_sketched(
            idf_F, own_words, texts, targets, number_of_labels, columns, penalty, least, lean
        )

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return scores_NL, about 0 to 1 but not clipped."""
        weights_ML = self._single()
        scores_NL = np.empty((len(texts), weights_ML.shape[1]), np.float32)
        for first in range(0, len(texts), _BLOCK):
            block = slice(first, first + _BLOCK)
            basis_BM = self._basis(self._features(texts[block]))
            # Each score is summed in the order of the basis: a product of matrices rounds by their
            # shapes, and a score would depend on the other texts and the other codes.
            for row, basis_M in enumerate(basis_BM, start=first):
                np.einsum("m,ml->l", basis_M, weights_ML, out=scores_NL[row])
        return scores_NL

    def by_word(self, document: Sequence[str], labels: Sequence[int]) -> NDArray[np.float32]:
        """Return how much each word of a document adds to some labels' scores, (K, W).

        The sum of a row is exactly the score, because no n-gram spans two words and a score is a
        sum over the features of a document.

        Args:
            document: The words of the document, folded.
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
        weights_MK = self._single()[:, list(labels)]
        blocks = (counts_DF[first : first + _BLOCK] for first in range(0, len(different), _BLOCK))
        scores_DK: NDArray[np.float32] = np.concatenate(
            [self._basis(block) @ weights_MK for block in blocks]
        )
        return scores_DK.T[:, place_W]

    def out_of_fold(
        self, texts: Sequence[str], targets: Targets, first: int = 0
    ) -> NDArray[np.float32]:
        """Return scores_NL of training documents, each as by a fit without that document.

        Args:
            texts: All or some of the training documents, in the same order.
            targets: Their targets.
            first: The index of the first of them among the training documents.

        Raises:
            ValueError: If it is lean or loaded, without the arrays that this needs.
        """
        if self.factor is None or self.solution_ML is None:
            raise ValueError(
                "scores out of fold need a newly fitted model, not a lean or loaded one"
            )
        scores_NL = np.empty((len(texts), self.weights_ML.shape[1]), np.float32)
        for begin in range(0, len(texts), _BLOCK):
            rows = range(begin, min(begin + _BLOCK, len(texts)))
            if self.documents_FN is not None:
                # The residual is weight / diagonal of the inverse: no text is needed.
                unit_MB = np.eye(len(self.weights_ML), len(rows), -(first + begin))
                diagonal_B = (self.factor.solved(unit_MB) ** 2).sum(axis=0)
                scores_NL[begin : rows.stop] = (
                    -self.solution_ML[first + begin : first + rows.stop] / diagonal_B[:, None]
                )
                for row in rows:
                    scores_NL[row, targets[row]] += 1
                continue
            basis_BM = self._basis(self._features(texts[begin : rows.stop]))
            leverage_B = (self.factor.solved(basis_BM.T.astype(np.float64)) ** 2).sum(axis=0)
            scores_NL[begin : rows.stop] = basis_BM @ self.solution_ML
            for row, leverage in zip(rows, leverage_B, strict=True):
                scores_NL[row, targets[row]] -= leverage
                scores_NL[row] /= 1 - leverage
        return scores_NL

    def lean(self) -> "NgramRidge":
        """Return the model without the arrays of `out_of_fold`, which are most of its memory."""
        return replace(self, solution_ML=None, factor=None)

    def relabeled(self, relabeling: Relabeling) -> "NgramRidge":
        """Return the model of another label space; labels that share a source share its weights."""
        weights_ML = relabeling.rows(self._single(), axis=1)
        weights_ML /= relabeling.shares_L
        return replace(self.lean(), weights_ML=rounded(weights_ML))

    def arrays(self) -> Arrays:
        """Return the arrays that `from_arrays` needs, with the weights in half precision."""
        known = np.flatnonzero(self.idf_F).astype(np.int32)
        arrays: Arrays = {
            "known": known,
            "idf": self.idf_F[known],
            "own_words": self.own_words,
            "weights": self.weights_ML.astype(np.float16, copy=False),
        }
        if self.least != NO_LEAST:
            arrays["least"] = np.array(self.least)
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
        """Make a model from its arrays.

        Raises:
            ValueError: If they don't fit together.
            KeyError: If one is missing.
        """
        weights_ML, own_words = (
            arrays["weights"].astype(np.float32),
            arrays["own_words"].astype(np.int32),
        )
        if weights_ML.ndim != 2 or weights_ML.shape[1] != number_of_labels:
            raise ValueError(f"weights of shape {weights_ML.shape} for {number_of_labels} labels")
        known, idf_F = arrays["known"], np.zeros(FEATURES, np.float32)
        if len(known) and not 0 <= known.min() <= known.max() < FEATURES:
            raise ValueError("features out of range")
        idf_F[known] = arrays["idf"]
        least = Lengths(*arrays["least"].tolist()) if "least" in arrays else NO_LEAST
        if "values" not in arrays:
            return cls(idf_F, None, own_words, weights_ML, least=least)
        parts = (arrays["values"], arrays["columns"], arrays["starts"])
        documents_NF = sparse.csr_matrix(parts, shape=(len(weights_ML), FEATURES))
        documents_NF.check_format()
        return cls(idf_F, documents_NF.T.tocsr(), own_words, weights_ML, least=least)

    @classmethod
    def _fit_exact(
        cls,
        idf_F: NDArray[np.float32],
        documents_NF: sparse.csr_matrix,
        targets: Targets,
        number_of_labels: int,
        penalty: float,
    ) -> "NgramRidge":
        cosines_NN = (documents_NF @ documents_NF.T).toarray().astype(np.float64)
        factor = DenseFactor(cosines_NN, penalty)
        weights_NL = np.empty((len(targets), number_of_labels), np.float32)
        for labels, targets_NP in label_parts(target_matrix(targets, number_of_labels, np.float32)):
            weights_NL[:, labels] = factor.weights(targets_NP)
        return cls(
            idf_F,
            documents_NF.T.tocsr(),
            np.zeros(0, np.int32),
            rounded(weights_NL),
            weights_NL,
            factor,
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
        penalty: float,
        least: Lengths,
        lean: bool,
    ) -> "NgramRidge":
        products = PackedProducts(columns)
        moments_LM = np.zeros((number_of_labels, columns), np.float32)
        work = partial(_sketched, idf_F, least, Sketch(own_words, columns))
        room_BM = np.empty((_SKETCHED, columns), np.float32)
        with closing(in_blocks(work, texts, _FEW, _LEAST_TEXTS)) as blocks:
            for first in range(0, len(targets), _SKETCHED):
                of_block = targets[first : first + _SKETCHED]
                several = list(islice(blocks, _SKETCHED // _FEW))
                sketch_BM = np.concatenate(several, out=room_BM[: len(of_block)])
                products.add(sketch_BM)
                targets_BL = target_matrix(of_block, number_of_labels, np.float32)
                add_moments(moments_LM, targets_BL, sketch_BM)
                del several
        del room_BM, sketch_BM
        factor = products.factored(penalty)
        factor.solve_in_place(moments_LM)
        if lean:
            del products, factor
            return cls(idf_F, None, own_words, halved(moments_LM.T), least=least)
        solution_ML = np.ascontiguousarray(moments_LM.T)
        return cls(idf_F, None, own_words, rounded(solution_ML), solution_ML, factor, least)

    def _single(self) -> NDArray[np.float32]:
        """Return the weights as float32, which they are from then on."""
        weights_ML = self.weights_ML.astype(np.float32, copy=False)
        object.__setattr__(self, "weights_ML", weights_ML)
        return weights_ML

    def _features(self, texts: Sequence[str]) -> sparse.csr_matrix:
        return self._weighted(counts(texts))

    def _weighted(self, counts_BF: sparse.csr_matrix) -> sparse.csr_matrix:
        return weighted(
            counts_BF,
            self.idf_F,
            SKETCH_WORD_SHARE if self.documents_FN is None else EXACT_WORD_SHARE,
            self.least,
        )

    @cached_property
    def _sketch(self) -> Sketch:
        return Sketch(self.own_words, len(self.weights_ML))

    def _basis(self, features_BF: sparse.csr_matrix) -> NDArray[np.float32]:
        if self.documents_FN is None:
            return self._sketch.of(features_BF)
        basis_BN: NDArray[np.float32] = (features_BF @ self.documents_FN).toarray()
        return basis_BN


def _sketched(
    idf_F: NDArray[np.float32], least: Lengths, sketch: Sketch, texts: Sequence[str]
) -> NDArray[np.float32]:
    return sketch.of(weighted(counts(texts), idf_F, SKETCH_WORD_SHARE, least))
