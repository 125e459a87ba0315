"""Fit an ensemble on the validation split: calibrations, weights and threshold.

Each member's logits are calibrated by a straight line (Platt 1999), so that a member whose scores
are extreme doesn't outvote the others. The members' weights are equal, or fitted by the logistic
regression that also fuses the parts of a model (`icdcli.evaluation.fusion_fitting`). A mean of
calibrated members is too cautious where they agree; the slope and the bias of the mean are fitted,
too.

Shapes: N documents, L labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.folds import fold_of
from icdcli.data.corpus.label_spaces import missed_columns
from icdcli.data.corpus.reader import Documents
from icdcli.errors import ConfigError
from icdcli.evaluation.fusion_fitting import fit_fusion
from icdcli.evaluation.measure import FusedScores, fuse
from icdcli.evaluation.threshold_tuning import tune
from icdcli.metrics.arrays import Booleans, row_blocks
from icdcli.model.ensemble.member import LogitCalibration
from icdcli.model.fusion import Fusion, fused_logits, probabilities
from icdcli.model.threshold import Threshold

MemberWeights = Literal["fitted", "equal"]
Logits = Mapping[str, NDArray[np.float32]]
"""Member to its logits_NL of the ensemble's codes."""

METRICS = ("map", "f1_micro", "f1_macro")
_BLOCK = 1 << 21


@dataclass(frozen=True)
class FittedEnsemble:
    """What the validation split says of an ensemble.

    Attributes:
        calibrations: Member to the calibration of its logits.
        fusion: The weights of the calibrated logits.
        threshold: The threshold.
    """

    calibrations: Mapping[str, LogitCalibration]
    fusion: Fusion
    threshold: Threshold

    def scored(
        self, logits: Logits, targets_NL: Booleans, missed_NU: Booleans | None = None
    ) -> FusedScores:
        """Return the scores of documents from the members' logits, which aren't changed."""
        parts = self.calibrated(logits)
        return fuse(parts, targets_NL, self.fusion, self.threshold, missed_NU)

    def calibrated(self, logits: Logits) -> dict[str, NDArray[np.float32]]:
        """Return calibrated copies of the members' logits."""
        return {name: self.calibrations[name].of(part.copy()) for name, part in logits.items()}


def fit_ensemble(
    logits: Logits,
    targets_NL: Booleans,
    split: str,
    weights: MemberWeights = "fitted",
    threshold: Threshold | None = None,
    missed_NU: Booleans | None = None,
) -> FittedEnsemble:
    """Fit the calibrations, the weights and the threshold of an ensemble.

    Args:
        logits: The members' logits, not calibrated; they aren't changed.
        targets_NL: The gold codes.
        split: The split's name.
        weights: Whether the weights are equal or fitted.
        threshold: Kept as it is if it is fixed; None: one threshold is tuned.
        missed_NU: Gold codes outside of the label space; None: there are none.
    """
    calibrations = {name: _calibration(part, targets_NL, split) for name, part in logits.items()}
    parts = {name: calibrations[name].of(part.copy()) for name, part in logits.items()}
    if weights == "fitted":
        fusion = fit_fusion(parts, targets_NL, split)
    else:
        equal = dict.fromkeys(parts, 1 / len(parts))
        mean_NL = fused_logits(
            {n: part.copy() for n, part in parts.items()}, Fusion(equal, 0, split)
        )
        line = _calibration(mean_NL, targets_NL, split)
        fusion = Fusion(dict.fromkeys(parts, line.slope / len(parts)), line.bias, split)
    threshold = threshold or Threshold(how="auto")
    if threshold.how != "fixed":
        missed = 0 if missed_NU is None else int(missed_NU.sum())
        threshold = tune(threshold.how, probabilities(parts, fusion), targets_NL, split, missed)
    return FittedEnsemble(calibrations, fusion, threshold)


def _calibration(
    logits_NL: NDArray[np.float32], targets_NL: Booleans, split: str
) -> LogitCalibration:
    line = fit_fusion({"member": logits_NL}, targets_NL, split)
    return LogitCalibration(line.weights["member"], line.bias, split)


def held_out_metrics(
    logits: Logits, targets_NL: Booleans, documents: Documents, weights: MemberWeights
) -> dict[str, float] | None:
    """Measure members together on documents that weights and threshold weren't fitted on.

    All is fitted on one half of the documents and measured on the other, both ways; the documents
    of a patient are in one half. The result is the mean over the documents of both halves.

    Args:
        logits: The logits of the members; one of them: what it reaches alone.
        targets_NL: The gold codes.
        documents: The documents.
        weights: Whether the weights are equal or fitted.

    Returns:
        Metric name to value; None: there are too few documents.
    """
    try:
        halves_N = fold_of(documents.ids, documents.subject_ids, 2)
    except ConfigError:
        return None
    halves = [halves_N == half for half in range(2)]
    if not all(targets_NL[half].any() for half in halves):
        return None
    missed_NU = missed_columns(documents)
    values = dict.fromkeys(METRICS, 0.0)
    for own, other in (halves, halves[::-1]):
        parts = {name: part[own] for name, part in logits.items()}
        fitted = fit_ensemble(parts, targets_NL[own], "half", weights, missed_NU=missed_NU[own])
        parts = {name: part[other] for name, part in logits.items()}
        scored = fitted.scored(parts, targets_NL[other], missed_NU[other])
        for name, value in scored.metrics(METRICS).items():
            values[name] += value * np.count_nonzero(other) / len(halves_N)
    return values


def error_correlation(
    one_NL: NDArray[np.float32], other_NL: NDArray[np.float32], targets_NL: Booleans
) -> float:
    """Return the correlation of two members' errors, score minus target, over all pairs.

    Args:
        one_NL: The scores of one member.
        other_NL: Those of the other.
        targets_NL: The gold codes.
    """
    sums = np.zeros(5)
    for rows in row_blocks(len(targets_NL), targets_NL.shape[1], _BLOCK):
        gold_BL = targets_NL[rows].astype(np.float64)
        one_BL, other_BL = one_NL[rows] - gold_BL, other_NL[rows] - gold_BL
        products: Sequence[float] = [
            one_BL.sum(), other_BL.sum(), (one_BL**2).sum(), (other_BL**2).sum(),
            (one_BL * other_BL).sum(),
        ]  # fmt: skip
        sums += products
    one, other, one_one, other_other, both = sums / targets_NL.size
    spread = (one_one - one**2) * (other_other - other**2)
    return float((both - one * other) / np.sqrt(spread)) if spread > 0 else 1.0
