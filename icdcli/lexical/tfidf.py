"""TF-IDF of words with one linear support vector machine per code: a baseline for the networks.

Three additions to scikit-learn make it a strong baseline:

- The weights of a code below a tenth of its largest are dropped before calibration (Babbar and
  Schölkopf 2017 drop those below a fixed size). On CodiEsp (English, out of fold) this raises MAP
  from .236 to .259 and micro-F1 from .282 to .306, and leaves a sixteenth of the weights: 9,000
  codes fit a laptop.
- One sigmoid for all codes turns decision values into probabilities (Platt 1999, with his targets).
  It is fitted to decision values out of fold, and to the frequencies of the codes as well, because
  rare codes have lower decision values: MAP on dev is .283 without the frequencies, .297 with them.
- A code that no training document has, or that all have, always gets its frequency as its score.

The sigmoid is valid for notes as long as those of training. A word of a short note has more weight,
so its scores are too confident.

Every classifier is fitted to all documents (`icdcli.lexical.linear`). The number of classifiers
fitted at a time changes nothing. Only the folds are drawn at random.

Shapes: N documents, B documents of a block, F features (words), L labels, S labels that the
sigmoid is fitted to, X pairs of a document and a label.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from sklearn.feature_extraction.text import TfidfVectorizer

from icdcli.data.relabeling import Relabeling
from icdcli.errors import DataError, ResumeError
from icdcli.io.files import write_json
from icdcli.io.npz import read_arrays, write_arrays
from icdcli.io.progress import Progress
from icdcli.lexical.linear.machines import Fitting
from icdcli.lexical.targets import Targets, target_matrix
from icdcli.lexical.words import MARKS

FOLDS = 3
_LEAST_SLOPE = 0.1
_CALIBRATION_LABELS, _CALIBRATION_PAIRS = 256, 2_000_000
_ARRAYS, _VOCABULARY = "tfidf.npz", "vocabulary.json"
# scikit-learn's own words of two or more characters, not broken at the marks of Hindi, Thai …
_TOKEN = rf"(?u)\b\w[\w{MARKS}]+"


@dataclass(frozen=True)
class Tfidf:
    """A fitted baseline.

    Attributes:
        vectorizer: Turns texts into features.
        weights_FL: The weight of each feature in each logit; most are zero.
        offsets_L: The intercepts.
    """

    vectorizer: TfidfVectorizer = field(repr=False)  # its words are those of notes
    weights_FL: sparse.csr_matrix
    offsets_L: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        targets: Targets,
        number_of_labels: int,
        *,
        longest: int = 1,
        seed: int = 0,
        threads: int = 1,
        on_progress: Progress | None = None,
    ) -> "Tfidf":
        """Fit to training documents.

        Args:
            texts: The documents; read once.
            targets: The labels of each document.
            number_of_labels: L.
            longest: The longest word n-gram that is a feature.
            seed: The seed of the folds.
            threads: The number of codes, or blocks of them, fitted at a time, up to
                `icdcli.lexical.linear.machines.MAX_THREADS`; it only changes the time.
            on_progress: Called after each classifier.

        Raises:
            DataError: If there is nothing to learn: no code, or no word that documents share.
        """
        documents = len(targets)
        targets_NL = target_matrix(targets, number_of_labels, np.bool_).tocsc()
        counts_L = np.diff(targets_NL.indptr)
        if not counts_L.any():
            raise DataError(
                "the training documents have no codes, so there is nothing to learn. "
                "Check the table's codes"
            )
        vectorizer = _vectorizer(longest, min_df=min(max(2, documents // 10_000), documents))
        try:
            features_NF = vectorizer.fit_transform(texts)
        except ValueError as error:  # scikit-learn raises it for an empty vocabulary
            raise DataError(
                "the training documents share no word, so there is nothing to learn. "
                "Check their text"
            ) from error
        learned = np.flatnonzero((counts_L > 0) & (counts_L < documents))
        sampled = _evenly(learned[np.argsort(counts_L[learned], kind="stable")], documents)
        folds = min(FOLDS, documents)
        number = len(learned) + folds * len(sampled)
        done = [0]

        def on_classifier() -> None:
            done[0] += 1
            if on_progress is not None:
                on_progress("fitting one classifier per code", done[0], number, "classifiers")

        fitting = Fitting(features_NF, threads, on_classifier)
        fold_N = np.random.Generator(np.random.PCG64(seed)).permutation(documents) % folds
        sigmoid = _Sigmoid.fit(*_out_of_fold(fitting, targets_NL[:, sampled], fold_N))
        weights_FS, decisions_S = fitting.fit(targets_NL[:, learned])
        values = weights_FS.data * np.float32(sigmoid.slope)
        shape = (weights_FS.shape[0], number_of_labels)
        weights_FL = sparse.csr_matrix(
            (values, learned[weights_FS.indices], weights_FS.indptr), shape=shape
        )
        offsets_L = np.log((counts_L + 0.5) / (documents - counts_L + 0.5))
        offsets_L[learned] = sigmoid.logits(decisions_S, _log_shares(counts_L[learned], documents))
        return cls(vectorizer, weights_FL, offsets_L.astype(np.float32))

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the logits_BL of some documents; they don't depend on the other documents.

        Args:
            texts: The documents; few enough that (B, L) takes little memory.
        """
        if not texts:
            return np.zeros((0, len(self.offsets_L)), np.float32)
        decisions_BL = (self.vectorizer.transform(texts) @ self.weights_FL).toarray()
        logits_BL: NDArray[np.float32] = (decisions_BL + self.offsets_L).astype(np.float32)
        return logits_BL

    def by_word(
        self, text: str, labels: Sequence[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return how much each word of a text adds to the logits of some labels.

        The contribution of a feature, its weight times its TF-IDF value, is shared equally among
        its occurrences and their words. A label's contributions and its offset sum to its logit.

        Args:
            text: The text.
            labels: The labels (K of them).

        Returns:
            The beginning and end of each word (W, 2), and the contributions (K, W).
        """
        words, positions = _placed_words(self.vectorizer, text)
        vocabulary, longest = self.vectorizer.vocabulary_, int(self.vectorizer.ngram_range[1])
        occurrences: dict[int, list[tuple[int, int]]] = {}
        for length in range(1, longest + 1):
            for first in range(len(words) - length + 1):
                feature = vocabulary.get(" ".join(words[first : first + length]))
                if feature is not None:
                    occurrences.setdefault(feature, []).append((first, first + length))
        added_KW = np.zeros((len(labels), len(words)))
        features = list(occurrences)
        values_F = self.vectorizer.transform([text])[:, features].toarray()[0]
        weights_FK = self.weights_FL[features][:, list(labels)].toarray()
        for row, spans in enumerate(occurrences.values()):
            for first, end in spans:
                share_K = values_F[row] * weights_FK[row] / (len(spans) * (end - first))
                added_KW[:, first:end] += share_K[:, None]
        return positions, added_KW

    def relabeled(self, relabeling: Relabeling) -> "Tfidf":
        """Return the classifiers of another label space.

        The odds of a label are divided by the number of labels that share its source. A label
        without one is like one that no training document has.
        """
        weights_LF = self.weights_FL.T.tocsr()[np.maximum(relabeling.sources_L, 0)]
        known_L = sparse.diags_array(relabeling.sourced_L.astype(np.float32))
        weights_FL = (known_L @ weights_LF).T.tocsr()
        weights_FL.eliminate_zeros()
        offsets_L = relabeling.rows(self.offsets_L, self.offsets_L.min())
        offsets_L -= np.log(relabeling.shares_L).astype(np.float32)
        return replace(self, weights_FL=sparse.csr_matrix(weights_FL), offsets_L=offsets_L)

    def save(self, folder: Path) -> None:
        """Write it into a folder.

        The files are private (0600), because the vocabulary contains words of training documents.
        """
        columns = sorted(self.vectorizer.vocabulary_.items(), key=lambda item: int(item[1]))
        longest = int(self.vectorizer.ngram_range[1])
        write_json(
            folder / _VOCABULARY, {"longest": longest, "words": [word for word, _ in columns]}
        )
        arrays = {
            "idf": self.vectorizer.idf_,
            "offsets": self.offsets_L,
            "values": self.weights_FL.data,
            "labels": self.weights_FL.indices.astype(np.int32),
            "starts": self.weights_FL.indptr.astype(np.int64),
        }
        write_arrays(folder / _ARRAYS, arrays)

    @classmethod
    def load(cls, folder: Path, number_of_labels: int) -> "Tfidf":
        """Load what `save` wrote.

        Args:
            folder: The folder.
            number_of_labels: The number of labels that it must be for.

        Raises:
            ResumeError: If a file is missing or damaged, or the files don't belong together.
        """
        try:
            vocabulary = json.loads((folder / _VOCABULARY).read_text(encoding="utf-8"))
            arrays = read_arrays(folder / _ARRAYS)
            shape = (len(vocabulary["words"]), number_of_labels)
            if (*arrays["idf"].shape, *arrays["offsets"].shape) != shape:
                raise ValueError(
                    f"{len(arrays['offsets'])} labels and {len(arrays['idf'])} words, "
                    f"not {shape[1]} and {shape[0]}"
                )
            weights_FL = sparse.csr_matrix(
                (arrays["values"], arrays["labels"], arrays["starts"]), shape=shape
            )
            weights_FL.check_format()
            vectorizer = _vectorizer(vocabulary["longest"], vocabulary=vocabulary["words"])
            vectorizer.idf_ = arrays["idf"]
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise ResumeError(
                f"{folder}: the baseline can't be read ({error}). Take another checkpoint, or "
                "train again"
            ) from error
        return cls(vectorizer, weights_FL, arrays["offsets"])


@dataclass(frozen=True)
class _Sigmoid:
    """A map from decision values to log-odds.

    The log-odds are slope · value + frequency · ln(share of documents with the code) + offset.
    """

    slope: float
    frequency: float
    offset: float

    def logits(
        self, decisions: NDArray[np.float64], log_shares: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        return self.slope * decisions + self.frequency * log_shares + self.offset

    @classmethod
    def fit(
        cls,
        decisions_NS: NDArray[np.float32],
        log_shares_NS: NDArray[np.float32],
        targets_NS: NDArray[np.bool_],
    ) -> "_Sigmoid":
        """Fit by maximum likelihood, with a positive slope and a frequency between -1 and 1."""
        positives, pairs = int(targets_NS.sum()), targets_NS.size
        if not pairs:
            return cls(1.0, 0.0, 0.0)
        # Platt's targets: one more observation of each class, so that no score becomes certain.
        targets_X = np.where(
            targets_NS.ravel(), (positives + 1) / (positives + 2), 1 / (pairs - positives + 2)
        )
        features_X3 = np.stack(
            [decisions_NS.ravel(), log_shares_NS.ravel(), np.ones(pairs, np.float32)], axis=1
        )

        def loss(weights_3: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            logits_X = features_X3 @ weights_3
            probabilities_X = 1 / (1 + np.exp(-np.clip(logits_X, -700, 700)))
            value = float((np.logaddexp(0, logits_X) - targets_X * logits_X).mean())
            return value, (probabilities_X - targets_X) @ features_X3 / pairs

        # The bounds rule out the shared Newton's method (`icdcli.metrics.newton`).
        limits = [(_LEAST_SLOPE, None), (-1, 1), (None, None)]
        precise = {"maxiter": 500, "ftol": 1e-13, "gtol": 1e-9}
        found = minimize(
            loss, [1.0, 0.0, 0.0], jac=True, method="L-BFGS-B", bounds=limits, options=precise
        )
        return cls(*map(float, found.x))


def _vectorizer(longest: int, **options: object) -> TfidfVectorizer:
    return TfidfVectorizer(
        sublinear_tf=True, ngram_range=(1, longest), token_pattern=_TOKEN, **options
    )


def _placed_words(vectorizer: TfidfVectorizer, text: str) -> tuple[list[str], NDArray[np.int64]]:
    """Return the words that the vectorizer finds in a text, and the span of each, (W, 2)."""
    lowered = vectorizer.build_preprocessor()(text)
    # A few characters are longer in lower case: İ becomes two.
    origin = np.repeat(np.arange(len(text)), [len(character.lower()) for character in text])
    matches = [*re.finditer(vectorizer.token_pattern, lowered)]
    positions = [(origin[match.start()], origin[match.end() - 1] + 1) for match in matches]
    return [match.group() for match in matches], np.array(positions, np.int64).reshape(-1, 2)


def _evenly(labels: NDArray[np.int64], documents: int) -> NDArray[np.int64]:
    """Return evenly spaced labels of those sorted by frequency: enough to fit three numbers."""
    most = max(_CALIBRATION_LABELS, _CALIBRATION_PAIRS // documents)
    if len(labels) <= most:
        return labels
    return labels[np.linspace(0, len(labels) - 1, most).round().astype(np.int64)]


def _log_shares(counts_L: NDArray[np.integer], documents: int) -> NDArray[np.float64]:
    log_shares_L: NDArray[np.float64] = np.log((counts_L + 0.5) / (documents + 1))
    return log_shares_L


def _out_of_fold(
    fitting: Fitting, targets_NS: sparse.csc_matrix, fold_N: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return decision values by classifiers fitted without the document, and their frequencies.

    Returns:
        The decision values, the log share of positives that each classifier was fitted to, and the
        targets, all (N, S).
    """
    decisions_NS, log_shares_NS = (np.empty(targets_NS.shape, np.float32) for _ in range(2))
    for fold in range(int(fold_N.max()) + 1):
        others, these = np.flatnonzero(fold_N != fold), np.flatnonzero(fold_N == fold)
        weights_FS, offsets_S = fitting.fit(targets_NS, others)
        decisions_NS[these] = (fitting.features_NF[these] @ weights_FS).toarray() + offsets_S
        log_shares_NS[these] = _log_shares(np.diff(targets_NS[others].indptr), len(others))
    return decisions_NS, log_shares_NS, targets_NS.toarray()
