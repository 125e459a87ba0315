"""Fit an ensemble on the validation split: calibrations, weights and threshold.

Each member's logits are calibrated by a straight line (Platt 1999), so that a member whose scores
are extreme doesn't outvote the others. The members' weights are equal, or fitted by the logistic
regression that also fuses the parts of a model (`icdcli.evaluation.fusion_fitting`). A mean of
calibrated members is too cautious where they agree; the slope and the bias of the mean are fitted,
too.

Shapes: N documents, L labels, M members, X pairs of a document and a code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
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
from icdcli.model.ensemble.member import UNCALIBRATED, LogitCalibration
from icdcli.model.fusion import Fusion, fused_logits, probabilities
from icdcli.model.threshold import Threshold

MemberWeights = Literal["fitted", "equal"]
Logits = Mapping[str, NDArray[np.float32]]
"""Member to its logits_NL of the ensemble's codes."""

METRICS = ("map", "f1_micro", "f1_macro")
_STEEPEST, _FARTHEST = 4.0, 12.0
"""The highest slope and bias. If scores separate the few documents that there are without an error,
no slope is high enough, and scores would become 0 and 1."""

_FLATTEST = 0.05
"""The lowest slope of a member whose scores carry information."""

_BLOCK = 1 << 21


@dataclass(frozen=True)
class HeldOutScores:
    """The members' scores of documents that they weren't fitted to.

    Attributes:
        source: How they were made, in words.
        documents: The documents.
        logits: Member to its logits_NL of the ensemble's codes.
        known: Member to the labels that it has, if it lacks some: others aren't calibrated.
        candidates_NL: The codes that a model without the document's fold has; None: all.
    """

    source: str
    documents: Documents
    logits: Logits
    known: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    candidates_NL: Booleans | None = None

    @property
    def targets_NL(self) -> Booleans:
        """Return the gold codes."""
        logits_NL = next(iter(self.logits.values()))
        return self.documents.targets_NL(logits_NL.shape[1])

    @property
    def possible_NL(self) -> Booleans:
        """Return the gold codes that a model could know; weights aren't fitted to the others."""
        targets_NL = self.targets_NL
        return targets_NL if self.candidates_NL is None else targets_NL & self.candidates_NL

    def rows(self, rows_N: Booleans) -> "HeldOutScores":
        """Return the scores of some of the documents."""
        candidates_NL = None if self.candidates_NL is None else self.candidates_NL[rows_N]
        logits = {name: part[rows_N] for name, part in self.logits.items()}
        documents = self.documents.take(np.flatnonzero(rows_N).tolist())
        return replace(self, documents=documents, logits=logits, candidates_NL=candidates_NL)

    def only(self, name: str) -> "HeldOutScores":
        """Return the scores of one member."""
        return replace(self, logits={name: self.logits[name]})

    def calibrated(self, name: str, calibration: LogitCalibration) -> NDArray[np.float32]:
        """Return calibrated logits_NL of a member, which are new."""
        logits_NL = self.logits[name].copy()
        if (known := self.known.get(name)) is None:
            return calibration.of(logits_NL)
        logits_NL[:, known] = calibration.of(logits_NL[:, known])
        return logits_NL

    def fit_calibration(self, name: str, possible_NL: Booleans) -> LogitCalibration:
        """Fit the calibration of a member to the codes that it has; see `possible_NL`."""
        known = self.known.get(name, slice(None))
        return _calibration(self.logits[name][:, known], possible_NL[:, known], self.source)


@dataclass(frozen=True)
class FittedEnsemble:
    """What is fitted to the validation split for an ensemble.

    Attributes:
        calibrations: Member to the calibration of its logits.
        fusion: The weights of the calibrated logits.
        threshold: The threshold.
    """

    calibrations: Mapping[str, LogitCalibration]
    fusion: Fusion
    threshold: Threshold

    def scored(self, held_out: HeldOutScores) -> FusedScores:
        """Return the scores of documents from the members' logits, which aren't changed."""
        return fuse(
            self.calibrated(held_out),
            held_out.targets_NL,
            self.fusion,
            self.threshold,
            missed_columns(held_out.documents),
        )

    def calibrated(self, held_out: HeldOutScores) -> dict[str, NDArray[np.float32]]:
        """Return calibrated copies of the members' logits."""
        return {
            name: held_out.calibrated(name, self.calibrations[name]) for name in held_out.logits
        }


def fit_ensemble(
    held_out: HeldOutScores,
    weights: MemberWeights = "fitted",
    threshold: Threshold | None = None,
) -> FittedEnsemble:
    """Fit the calibrations, the weights and the threshold of an ensemble.

    Args:
        held_out: The members' scores, not calibrated; they aren't changed.
        weights: Whether the weights are equal or fitted.
        threshold: Kept as it is if it is fixed; None: one threshold is tuned.
    """
    source, possible_NL = held_out.source, held_out.possible_NL
    calibrations = {name: held_out.fit_calibration(name, possible_NL) for name in held_out.logits}
    parts = {name: held_out.calibrated(name, one) for name, one in calibrations.items()}
    equal = Fusion(dict.fromkeys(parts, 1 / len(parts)), 0, source)
    if weights == "fitted":
        fusion = _fitted_weights(parts, calibrations, possible_NL, source) or equal
    else:
        mean_NL = fused_logits({name: part.copy() for name, part in parts.items()}, equal)
        line = _calibration(mean_NL, possible_NL, source)
        fusion = Fusion(dict.fromkeys(parts, line.slope / len(parts)), line.bias, source)
    threshold = threshold or Threshold(how="auto")
    if threshold.how != "fixed":
        scores_NL, targets_NL = probabilities(parts, fusion), held_out.targets_NL
        missed = int(missed_columns(held_out.documents).sum())
        threshold = tune(threshold.how, scores_NL, targets_NL, source, missed)
    return FittedEnsemble(calibrations, fusion, threshold)


def _calibration(
    logits_NL: NDArray[np.float32], targets_NL: Booleans, source: str
) -> LogitCalibration:
    line = fit_fusion({"member": logits_NL}, targets_NL, source)
    if _is_runaway(line):
        return UNCALIBRATED
    return LogitCalibration(line.weights["member"], line.bias, source)


def _fitted_weights(
    parts: Logits,
    calibrations: Mapping[str, LogitCalibration],
    targets_NL: Booleans,
    source: str,
) -> Fusion | None:
    """Fit the weights of members, 0 for scores without information; None: no fit is possible."""
    useful = {name: part for name, part in parts.items() if calibrations[name].slope > _FLATTEST}
    if not useful:
        return None
    fusion = fit_fusion(useful, targets_NL, source)
    if _is_runaway(fusion):
        return None
    return replace(fusion, weights=dict.fromkeys(parts, 0.0) | dict(fusion.weights))


def _is_runaway(fusion: Fusion) -> bool:
    return sum(fusion.weights.values()) > _STEEPEST or abs(fusion.bias) > _FARTHEST


def held_out_metrics(held_out: HeldOutScores, weights: MemberWeights) -> dict[str, float] | None:
    """Measure members together on documents that weights and threshold weren't fitted on.

    All is fitted on one half of the documents and measured on the other, both ways; the documents
    of a patient are in one half. The result is the mean over the documents of both halves.

    Args:
        held_out: The scores of the members; of one of them: what it reaches alone.
        weights: Whether the weights are equal or fitted.

    Returns:
        Metric name to value; None: there are too few documents.
    """
    documents = held_out.documents
    try:
        halves_N = fold_of(documents.ids, documents.subject_ids, 2)
    except ConfigError:
        return None
    halves = [held_out.rows(halves_N == half) for half in range(2)]
    if not all(half.targets_NL.any() for half in halves):
        return None
    values = dict.fromkeys(METRICS, 0.0)
    for own, other in (halves, halves[::-1]):
        scored = fit_ensemble(own, weights).scored(other)
        for name, value in scored.metrics(METRICS).items():
            values[name] += value * len(other.documents) / len(documents)
    return values


def error_correlations(calibrated: Logits, targets_NL: Booleans) -> dict[tuple[str, str], float]:
    """Return the correlation of the errors, score minus target, of each pair of members.

    Args:
        calibrated: The members' calibrated logits.
        targets_NL: The gold codes.
    """
    names = list(calibrated)
    count, sums, products = len(names), np.zeros(len(names)), np.zeros((len(names), len(names)))
    for rows in row_blocks(len(targets_NL), targets_NL.shape[1], _BLOCK):
        parts = ({name: calibrated[name][rows].copy()} for name in names)
        errors = [(probabilities(part, None) - targets_NL[rows]).ravel() for part in parts]
        errors_MX = np.stack(errors).astype(np.float64)
        sums += errors_MX.sum(axis=1)
        products += errors_MX @ errors_MX.T
    means = sums / targets_NL.size
    covariances = products / targets_NL.size - np.outer(means, means)
    spread = np.sqrt(np.diag(covariances))
    return {
        (names[one], names[other]): float(covariances[one, other] / (spread[one] * spread[other]))
        if spread[one] and spread[other]
        else 1.0
        for one, other in combinations(range(count), 2)
    }
