"""The choice of the principal diagnosis: a conditional logit over the codes of a document.

The principal diagnosis is one of the diagnoses, so its probabilities over the label space sum to 1.
Three numbers speak for a code (`FEATURES`): the score that it is present, how often it was the
principal one of the training documents that have it, and what the model has learned about principal
diagnoses from the texts themselves. All codes share their weights, which are fitted on the
validation split like those of the fusion (`icdcli.evaluation.principal.fitting`).

Shapes: N documents, B some of them, L labels, F features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.reader import Corpus, Documents, Labels
from icdcli.data.relabeling import Relabeling
from icdcli.errors import DataError
from icdcli.metrics.arrays import row_blocks
from icdcli.model.inference.room import zeros

FEATURES = ("score", "rate", "own")
"""The features: the logarithm of the score, of the rate among the documents with the code, and the
model's own logits of the principal diagnosis."""
UNKNOWN_PRINCIPAL, OUTSIDE = -1, -2
"""In the place of a label: the principal diagnosis is unknown, or outside of the label space."""
_ALIKE = 2.0
"""The documents that count as much as a code's own: they have the rate of all codes."""
_LEAST = 1e-6  # of a score


def principal_labels(documents: Documents, index: Mapping[str, int]) -> NDArray[np.int64]:
    """Return the label of each document's principal diagnosis, or one of the numbers below 0.

    Args:
        documents: The documents.
        index: The label of each code that counts.
    """
    if not documents.principals:
        return np.full(len(documents), UNKNOWN_PRINCIPAL)
    return np.array(
        [
            UNKNOWN_PRINCIPAL if code is None else index.get(code, OUTSIDE)
            for code in documents.principals
        ],
        np.int64,
    ).reshape(-1)


@dataclass(frozen=True)
class PrincipalChoice:
    """How a model chooses the principal diagnosis.

    Attributes:
        rates_L: The share of the training documents with a code in which it is the principal
            diagnosis; codes with few documents have a rate near that of all.
        possible_L: Whether a code can be a principal diagnosis; procedures can't.
        start: The weight of each of `FEATURES` before they are fitted.
        weights: Their weights.
        tuned_on: The split that they were fitted on; None: they aren't fitted yet.
    """

    rates_L: NDArray[np.float32]
    possible_L: NDArray[np.bool_]
    start: Mapping[str, float]
    weights: Mapping[str, float]
    tuned_on: str | None = None

    @classmethod
    def of(
        cls,
        labels: Labels,
        targets: Sequence[NDArray[np.int32]],
        principal_N: NDArray[np.int64],
        learned: bool,
    ) -> "PrincipalChoice":
        """Return the choice that training documents suggest.

        Args:
            labels: The label space.
            targets: The labels of the documents.
            principal_N: What `principal_labels` returns for them.
            learned: Whether the model's own logits begin with scores and rates, as a network's do.
        """
        counted = [own for own, label in zip(targets, principal_N, strict=True) if label >= 0]
        shape = len(labels)
        with_N = np.bincount(np.concatenate([[], *counted]).astype(np.int64), minlength=shape)
        first_N = np.bincount(principal_N[principal_N >= 0], minlength=shape)
        possible_L = np.array([kind == "diagnosis" for kind in labels.kinds])
        mean = first_N.sum() / max(with_N[possible_L].sum(), 1)
        rates_L = (first_N + _ALIKE * mean) / (np.maximum(with_N, first_N) + _ALIKE)
        weights = (0.0, 0.0, 1.0) if learned else (1.0, 1.0, 0.0)
        start = dict(zip(FEATURES, weights, strict=True))
        return cls(rates_L.astype(np.float32), possible_L, start, start)

    @property
    def log_rates_L(self) -> NDArray[np.float32]:
        """Return the logarithms of the rates."""
        logarithms_L: NDArray[np.float32] = np.log(np.maximum(self.rates_L, np.float32(_LEAST)))
        return logarithms_L

    def features(
        self, scores_NL: NDArray[np.float32], own_NL: NDArray[np.float32]
    ) -> dict[str, NDArray[np.float32]]:
        """Return the features, each (N, L) or (L,).

        Args:
            scores_NL: The probabilities that the codes are present.
            own_NL: The model's own logits of the principal diagnosis.
        """
        scores = np.log(np.maximum(scores_NL, np.float32(_LEAST)))
        return dict(zip(FEATURES, (scores, self.log_rates_L, own_NL), strict=True))

    def logits(
        self, scores_NL: NDArray[np.float32], own_NL: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the logits of the principal diagnosis, whose softmax are its probabilities."""
        logits_NL = zeros(len(scores_NL), scores_NL.shape[1], np.float32)
        for rows in row_blocks(*scores_NL.shape):
            logits_BL = logits_NL[rows]
            for name, values in self.features(scores_NL[rows], own_NL[rows]).items():
                if self.weights[name]:
                    logits_BL += np.float32(self.weights[name]) * values
            logits_BL[:, ~self.possible_L] = -np.inf
        return logits_NL

    def probabilities(
        self, scores_NL: NDArray[np.float32], own_NL: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the probability of each code to be the principal diagnosis; each row sums to 1."""
        logits_NL = self.logits(scores_NL, own_NL)
        if not self.possible_L.any():
            return np.zeros_like(logits_NL)
        logits_NL -= logits_NL.max(axis=1, keepdims=True)
        shares_NL = np.exp(logits_NL, out=logits_NL)
        shares_NL /= shares_NL.sum(axis=1, keepdims=True)
        return shares_NL

    def relabeled(self, relabeling: Relabeling, labels: Labels) -> "PrincipalChoice":
        """Return the choice among the labels of another label space."""
        usual = np.median(self.rates_L)
        possible_L = np.array([kind == "diagnosis" for kind in labels.kinds])
        rates_L = relabeling.rows(self.rates_L, usual).astype(np.float32)
        return replace(self, rates_L=rates_L, possible_L=possible_L)

    def to_json(self) -> dict[str, Any]:
        """Return the content of a checkpoint, as `from_json` reads it."""
        return {
            "rates": [float(f"{rate:.9g}") for rate in self.rates_L.tolist()],
            "possible": self.possible_L.tolist(),
            "start": dict(self.start),
            "weights": dict(self.weights),
            "tuned_on": self.tuned_on,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any] | None) -> "PrincipalChoice | None":
        """Return the choice of a checkpoint; None if it has none."""
        if content is None:
            return None
        rates_L, possible_L = np.array(content["rates"], np.float32), np.array(content["possible"])
        weights = content.get("start", content["weights"]), content["weights"]
        return cls(rates_L, possible_L, *weights, content["tuned_on"])


def principal_of(corpus: Corpus, learned: bool) -> PrincipalChoice:
    """Return the choice that the training documents of a corpus suggest; see `PrincipalChoice.of`.

    Raises:
        DataError: If the principal diagnosis of no training document is known.
    """
    documents = corpus.documents("train")
    principal_N = principal_labels(documents, corpus.code_index)
    if not (principal_N >= 0).any():
        raise DataError(
            f"{corpus.name}: principal: no training document has a principal diagnosis. Check the "
            "sequence of the codes, or leave principal out."
        )
    return PrincipalChoice.of(corpus.labels, documents.targets, principal_N, learned)
