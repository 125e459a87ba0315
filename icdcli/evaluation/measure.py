"""The one path from a model's scores to metrics: score, fuse, tune, measure.

A model scores a split (`icdcli.model.coding_model.SplitParts`), the parts are fused into one score
per code, fusion and threshold are tuned if the split is for tuning (`tune_scores`), and metrics are
computed. Validation in training, fitting the TF-IDF model and the ablation use these functions; an
evaluation uses the tuned fusion and threshold (`icdcli.evaluation.score_split`) and adds intervals.

Shapes: N documents, L labels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from icdcli.config.metric_names import PRINCIPAL_METRICS
from icdcli.evaluation.fusion_fitting import fit_fusion
from icdcli.evaluation.principal.fitting import fit_principal
from icdcli.evaluation.principal.measuring import means_of, principal_values
from icdcli.evaluation.score_split import with_missed
from icdcli.evaluation.threshold_tuning import tune
from icdcli.metrics.metrics import evaluate
from icdcli.model.fusion import Fusion, probabilities
from icdcli.model.principal.choice import PrincipalChoice
from icdcli.model.threshold import Threshold


@dataclass(frozen=True)
class FusedScores:
    """A split's scores, with the fusion that made them and the threshold that decides on them.

    Attributes:
        scores_NL: The score of each code, in [0, 1].
        targets_NL: The gold codes.
        fusion: The weights of the parts; None: the network's logits alone.
        threshold: The score from which a code counts as predicted.
        missed_NU: Gold codes outside of the label space, a column each; None: there are none.
        unscored_NL: Pairs without a score, if no code is outside; None: all have one.
        principal: The metrics of the principal diagnosis; empty: the model doesn't choose one.
    """

    scores_NL: NDArray[np.float32]
    targets_NL: NDArray[np.bool_]
    fusion: Fusion | None
    threshold: Threshold
    missed_NU: NDArray[np.bool_] | None = None
    unscored_NL: NDArray[np.bool_] | None = None
    principal: Mapping[str, float] = field(default_factory=dict)

    def metrics(self, names: Sequence[str]) -> dict[str, float]:
        """Return metric name to value, NaN if undefined; see `icdcli.metrics.evaluate`."""
        own = {name: self.principal.get(name, math.nan) for name in PRINCIPAL_METRICS}
        others = [name for name in names if name not in own]
        values = own | (self._metrics(others) if others else {})
        return {name: values[name] for name in names}

    def with_principal(
        self,
        choice: PrincipalChoice,
        own_NL: NDArray[np.float32],
        principal_N: NDArray[np.int64],
        split: str,
    ) -> tuple["FusedScores", PrincipalChoice]:
        """Fit the choice of the principal diagnosis on these scores, and measure it.

        Args:
            choice: The choice before.
            own_NL: The model's own logits of the principal diagnosis.
            principal_N: What `icdcli.model.principal.choice.principal_labels` returns.
            split: The split's name, stored with the weights.

        Returns:
            The scores with the metrics, and the choice.
        """
        choice = fit_principal(choice, self.scores_NL, own_NL, principal_N, split)
        logits_NL = choice.logits(self.scores_NL, own_NL)
        return replace(self, principal=means_of(principal_values(logits_NL, principal_N))), choice

    def _metrics(self, names: Sequence[str]) -> dict[str, float]:
        scores_NL, targets_NL, unscored_L = with_missed(
            self.scores_NL, self.targets_NL, self.missed_NU
        )
        more = targets_NL.shape[1] - self.targets_NL.shape[1]
        threshold_L = self.threshold.with_more(more).values_L(targets_NL.shape[1])
        unscored_NL = self.unscored_NL if unscored_L is None else unscored_L
        return evaluate(scores_NL, targets_NL, threshold_L, names=names, unscored_NL=unscored_NL)


def fuse(
    parts: dict[str, NDArray[np.float32]],
    targets_NL: NDArray[np.bool_],
    fusion: Fusion | None,
    threshold: Threshold,
    missed_NU: NDArray[np.bool_] | None = None,
) -> FusedScores:
    """Fuse the parts of a split's scores with weights and a threshold that are already known.

    Args:
        parts: Part to scores_NL; the network's logits are overwritten with the fused scores.
        targets_NL: The gold codes.
        fusion: The weights of the parts; None: the network's logits alone.
        threshold: The threshold.
        missed_NU: Gold codes outside of the label space; None: there are none.
    """
    return FusedScores(probabilities(parts, fusion), targets_NL, fusion, threshold, missed_NU)


def tune_scores(
    parts: dict[str, NDArray[np.float32]],
    targets_NL: NDArray[np.bool_],
    threshold: Threshold,
    split: str,
    *,
    with_fusion: bool,
    by_evidence: bool = False,
    missed_NU: NDArray[np.bool_] | None = None,
    before: Fusion | None = None,
) -> FusedScores:
    """Fit the fusion of the parts, fuse them, and tune the threshold, all on this split.

    Args:
        parts: Part to scores_NL; the network's logits are overwritten with the fused scores.
        targets_NL: The gold codes.
        threshold: The threshold; kept as it is if it is fixed.
        split: The split's name, stored with the fusion and the threshold.
        with_fusion: Fit weights for the parts; otherwise use the network's logits alone.
        by_evidence: See `fit_fusion`.
        missed_NU: Gold codes outside of the label space; None: there are none.
        before: An earlier fusion of this split, whose weights for unseen codes are kept: only the
            network's scores change in training, and they are unrelated to these codes.
    """
    fusion = None
    if with_fusion:
        fusion = fit_fusion(
            parts,
            targets_NL,
            split,
            by_evidence=by_evidence,
            before=None if before is None else before.unseen,
        )
    scores_NL = probabilities(parts, fusion)
    if threshold.how != "fixed":
        missed = 0 if missed_NU is None else int(missed_NU.sum())
        threshold = tune(threshold.how, scores_NL, targets_NL, split, missed)
    return FusedScores(scores_NL, targets_NL, fusion, threshold, missed_NU)
