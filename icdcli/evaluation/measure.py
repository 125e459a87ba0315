"""The one path from a model's scores to metrics: score, fuse, tune, measure.

A model scores a split (`icdcli.model.coding_model.SplitParts`), the parts are fused into one score
per code, fusion and threshold are tuned if the split is for tuning (`tune_scores`), and metrics are
computed. Validation in training, fitting the TF-IDF model and the ablation use these functions; an
evaluation uses the tuned fusion and threshold (`icdcli.evaluation.score_split`) and adds intervals.

Shapes: N documents, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icdcli.evaluation.fusion_fitting import fit_fusion
from icdcli.evaluation.threshold_tuning import tune
from icdcli.metrics.metrics import evaluate
from icdcli.model.fusion import Fusion, probabilities
from icdcli.model.threshold import Threshold


@dataclass(frozen=True)
class FusedScores:
    """A split's scores, with the fusion that made them and the threshold that decides on them.

    Attributes:
        scores_NL: The score of each code, in [0, 1].
        targets_NL: The gold codes.
        fusion: The weights of the parts; None: the network's logits alone.
        threshold: The score from which a code counts as predicted.
    """

    scores_NL: NDArray[np.float32]
    targets_NL: NDArray[np.bool_]
    fusion: Fusion | None
    threshold: Threshold

    def metrics(self, names: Sequence[str]) -> dict[str, float]:
        """Return metric name to value, NaN if undefined; see `icdcli.metrics.evaluate`."""
        threshold_L = self.threshold.values_L(self.targets_NL.shape[1])
        return evaluate(self.scores_NL, self.targets_NL, threshold_L, names=names)


def fuse(
    parts: dict[str, NDArray[np.float32]],
    targets_NL: NDArray[np.bool_],
    fusion: Fusion | None,
    threshold: Threshold,
) -> FusedScores:
    """Fuse the parts of a split's scores with weights and a threshold that are already known.

    Args:
        parts: Part to scores_NL; the network's logits are overwritten with the fused scores.
        targets_NL: The gold codes.
        fusion: The weights of the parts; None: the network's logits alone.
        threshold: The threshold.
    """
    return FusedScores(probabilities(parts, fusion), targets_NL, fusion, threshold)


def tune_scores(
    parts: dict[str, NDArray[np.float32]],
    targets_NL: NDArray[np.bool_],
    threshold: Threshold,
    split: str,
    *,
    with_fusion: bool,
    by_evidence: bool = False,
) -> FusedScores:
    """Fit the fusion of the parts, fuse them, and tune the threshold, all on this split.

    Args:
        parts: Part to scores_NL; the network's logits are overwritten with the fused scores.
        targets_NL: The gold codes.
        threshold: The threshold; kept as it is if it is fixed.
        split: The split's name, stored with the fusion and the threshold.
        with_fusion: Fit weights for the parts; otherwise use the network's logits alone.
        by_evidence: See `fit_fusion`.
    """
    fusion = None
    if with_fusion:
        fusion = fit_fusion(parts, targets_NL, split, by_evidence=by_evidence)
    scores_NL = probabilities(parts, fusion)
    if threshold.how != "fixed":
        threshold = tune(threshold.how, scores_NL, targets_NL, split)
    return FusedScores(scores_NL, targets_NL, fusion, threshold)
