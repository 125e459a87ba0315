"""Out-of-fold scores: each document's from a model that hasn't seen it.

The weights of the fusion and the threshold of a document's scores are those of the other folds,
too: metrics of these scores and decisions are those of a model made without the document.

Shapes: N documents of all folds, L labels of a final fit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icdcli.cross_fitting.second_stage_fitting import (
    StageRows,
    reordered,
    second_stage,
    stage_rows,
    stage_trees,
)
from icdcli.data.corpus.reader import Corpus, Documents, Labels
from icdcli.evaluation.fusion_fitting import fit_fusion
from icdcli.evaluation.threshold_tuning import tune
from icdcli.metrics.arrays import Booleans, Floats
from icdcli.metrics.document_statistics import Statistics, statistics_of
from icdcli.model.fusion import NETWORK, Fusion, fused_logits, probabilities
from icdcli.model.threshold import Threshold

IMPOSSIBLE = np.float32(-30)
"""The logit of a code that the model of a fold doesn't have: no weight in the fit of the fusion."""

_STAGE_GROUPS = 3
"""The groups of folds that a second stage is fitted without, to tune its threshold."""

Parts = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class OutOfFold:
    """The out-of-fold scores of a run's documents.

    Attributes:
        source: How they were made, such as "5-fold cross-fitting on train+validation".
        documents: The documents: those of train, then those of validation.
        folds_N: The fold that each is held out in, counted from 0.
        labels: The label space of a final fit.
        parts: Part to scores_NL; of codes that the model of the fold doesn't have, `IMPOSSIBLE`
            for the network and 0 for the other parts.
        candidates_NL: The codes that the model of the document's fold has. Others count as missed.
        how: How the threshold is chosen.
        by_evidence: See `fit_fusion`.
        fold_runs: The run of each fold.
        epochs: The epochs that its models were trained.
        with_second_stage: Whether a second stage scores the best codes of each document again.
    """

    source: str
    documents: Documents
    folds_N: NDArray[np.int64]
    labels: Labels
    parts: Parts
    candidates_NL: Booleans
    how: Threshold
    by_evidence: bool
    fold_runs: tuple[Path, ...]
    epochs: int
    with_second_stage: bool = False

    @property
    def ids(self) -> list[str]:
        """Return the documents' ids."""
        return self.documents.ids

    @property
    def subject_ids(self) -> list[str | None]:
        """Return the patients' ids; None: unknown."""
        return self.documents.subject_ids

    @cached_property
    def targets_NL(self) -> Booleans:
        """Return the gold codes."""
        return self.documents.targets_NL(len(self.labels))

    @cached_property
    def final(self) -> tuple[Fusion | None, Threshold]:
        """Return the weights of the fusion and the threshold that all documents lead to."""
        return self.chosen_by(np.ones(len(self.ids), bool))

    @cached_property
    def fused_NL(self) -> NDArray[np.float32]:
        """Return the scores in [0, 1], with the weights fitted on the other folds.

        The thresholds tuned on the other folds differ a little from those of all documents. The
        log-odds of a fold are shifted by the difference, so that `final` decides as they do.
        """
        fused_NL = np.empty_like(self.parts[NETWORK])
        labels = len(self.labels)
        common_L = _log_odds(self.final[1].values_L(labels))
        for fold in np.unique(self.folds_N):
            own_N = self.folds_N == fold
            fusion, threshold = self.chosen_by(~own_N)
            scores_NL = self.fuse(fusion, own_N)
            shift_L = common_L - _log_odds(threshold.values_L(labels))
            shifted_NL = 1 / (1 + np.exp(-(_log_odds(scores_NL) + shift_L)))
            fused_NL[own_N] = np.where(self.candidates_NL[own_N], shifted_NL, 0)
        return fused_NL

    @cached_property
    def predicted_NL(self) -> Booleans:
        """Return the codes that reach the threshold."""
        predicted_NL: Booleans = self.fused_NL >= self.final[1].values_L(len(self.labels))
        return predicted_NL & self.candidates_NL

    @cached_property
    def statistics(self) -> Statistics:
        """Return the metrics, and the statistics of each document."""
        threshold_L = self.final[1].values_L(len(self.labels))
        return statistics_of(
            self.fused_NL,
            self.targets_NL,
            threshold_L,
            self.losses_N(),
            unscored_NL=self.unscored_NL,
        )

    @property
    def unscored_NL(self) -> Booleans | None:
        """Return the pairs that no model has scored, for metrics; None: all have a score."""
        return None if self.candidates_NL.all() else ~self.candidates_NL

    def chosen_by(self, rows_N: Booleans) -> tuple[Fusion | None, Threshold]:
        """Return the weights of the fusion and the threshold that some documents lead to."""
        parts = {name: part[rows_N] for name, part in self.parts.items()}
        fusion = None
        if len(parts) > 1:
            # A code that no model could predict says nothing about the parts.
            targets_NL = self.targets_NL[rows_N] & self.candidates_NL[rows_N]
            fusion = fit_fusion(parts, targets_NL, self.source, by_evidence=self.by_evidence)
        if fusion is not None and self.with_second_stage:
            fusion, scores_NL = self._with_second_stage(fusion, rows_N)
        else:
            scores_NL = self.fuse(fusion, rows_N)
        threshold = self.how
        if threshold.how != "fixed":
            threshold = tune(threshold.how, scores_NL, self.targets_NL[rows_N], self.source)
        return fusion, threshold

    def fuse(self, fusion: Fusion | None, rows_N: Booleans) -> NDArray[np.float32]:
        """Return the scores of some documents; 0 for codes that their model doesn't have."""
        second = None if fusion is None else fusion.second_stage
        if fusion is None or second is None:
            parts = {name: part[rows_N] for name, part in self.parts.items()}
            scores_NL = probabilities(parts, fusion)
        else:
            everything_N = np.ones(len(self.ids), bool)
            plain = replace(fusion, second_stage=None)
            rows, fused_NL = self._stage_rows(plain, rows_N, everything_N)
            scores_NL = _sigmoid(
                reordered(second.trees, rows, fused_NL, np.ones(len(fused_NL), bool))
            )
        scores_NL[~self.candidates_NL[rows_N]] = 0
        return scores_NL

    def _with_second_stage(
        self, fusion: Fusion, rows_N: Booleans
    ) -> tuple[Fusion, NDArray[np.float32]]:
        """Add a second stage of some documents to a fusion.

        Returns:
            The fusion, and the documents' scores by second stages of the others among them: trees
            know the documents that they were fitted to.
        """
        rows, fused_NL = self._stage_rows(fusion, rows_N, rows_N)
        gold_C = self.targets_NL[rows_N][rows.documents_C, rows.labels_C]
        group_N = np.unique(self.folds_N[rows_N], return_inverse=True)[1] % _STAGE_GROUPS
        scores_NL = np.empty_like(fused_NL)
        for group in np.unique(group_N):
            own_N = group_N == group
            others_C = ~own_N[rows.documents_C]
            trees = stage_trees(rows.features_CX[others_C], gold_C[others_C])
            scores_NL[own_N] = _sigmoid(reordered(trees, rows, fused_NL, own_N))
        scores_NL[~self.candidates_NL[rows_N]] = 0
        trees = stage_trees(rows.features_CX, gold_C)
        counts_L = self.targets_NL[rows_N].sum(axis=0)
        stage = second_stage(trees, tuple(self.parts), self.labels.codes, counts_L)
        return replace(fusion, second_stage=stage), scores_NL

    def _stage_rows(
        self, fusion: Fusion, rows_N: Booleans, counted_N: Booleans
    ) -> tuple[StageRows, NDArray[np.float32]]:
        """Return the candidates of some documents for a second stage, and their fused logits.

        Codes are counted in other documents of other folds.
        """
        parts = {name: part[rows_N] for name, part in self.parts.items()}
        fused_NL = fused_logits({**parts, NETWORK: parts[NETWORK].copy()}, fusion)
        counts_FL = np.stack(
            [
                self.targets_NL[counted_N & (self.folds_N != fold)].sum(axis=0)
                for fold in range(int(self.folds_N.max()) + 1)
            ]
        )
        possible_NL, folds_N = self.candidates_NL[rows_N], self.folds_N[rows_N]
        rows = stage_rows(parts, fused_NL, possible_NL, self.labels.codes, counts_FL, folds_N)
        return rows, fused_NL

    def losses_N(self) -> Floats:
        """Return the cross-entropy of each document, by the network alone, mean over its codes."""
        logits_NL = self.parts[NETWORK].astype(np.float64)
        losses_NL = np.logaddexp(0, logits_NL) - self.targets_NL * logits_NL
        kept_NL = self.candidates_NL
        sums_N = np.where(kept_NL, losses_NL, 0).sum(axis=1)
        losses_N: Floats = sums_N / np.maximum(kept_NL.sum(axis=1), 1)
        return losses_N

    def take(self, rows_N: Booleans) -> "OutOfFold":
        """Return some of the documents; their fusion is fitted on them alone."""
        places = np.flatnonzero(rows_N)
        return replace(
            self,
            documents=self.documents.take(places.tolist()),
            folds_N=self.folds_N[places],
            parts={name: part[places] for name, part in self.parts.items()},
            candidates_NL=self.candidates_NL[places],
        )


def _sigmoid(logits_NL: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-logits_NL))).astype(np.float32)


def _log_odds(scores: NDArray[np.floating]) -> Floats:
    kept = np.clip(scores.astype(np.float64), 1e-12, 1 - 1e-9)
    odds: Floats = np.log(kept) - np.log1p(-kept)
    return odds


def pool_folds(
    corpus: Corpus, views: Sequence[Corpus], scores: Sequence[Parts], split: str = "validation"
) -> tuple[Documents, NDArray[np.int64], dict[str, NDArray[np.float32]], Booleans]:
    """Put the scores of all folds together, in the order and label space of a final fit.

    Args:
        corpus: The corpus or view of a final fit.
        views: The view of each fold.
        scores: The scores of each fold's documents held out.
        split: The split of the views that is scored.

    Returns:
        The documents, their folds, the scores of the parts, and the codes that have any.
    """
    documents, labels = corpus.documents("train"), len(corpus.labels)
    place_of_row = {row: place for place, row in enumerate(documents.rows.tolist())}
    shape = (len(documents), labels)
    folds_N = np.full(len(documents), -1, np.int64)
    candidates_NL = np.zeros(shape, bool)
    names = dict.fromkeys(name for parts in scores for name in parts)
    pooled = {
        name: np.full(shape, IMPOSSIBLE if name == NETWORK else 0, np.float32) for name in names
    }
    for fold, (view, parts) in enumerate(zip(views, scores, strict=True)):
        places = np.array([place_of_row[row] for row in view.documents(split).rows.tolist()])
        own = [label for label, code in enumerate(view.labels.codes) if code in corpus.labels.index]
        columns = np.array([corpus.labels.index[view.labels.codes[label]] for label in own])
        folds_N[places] = fold
        candidates_NL[np.ix_(places, columns)] = True
        for name, part_NL in parts.items():
            pooled[name][np.ix_(places, columns)] = part_NL[:, own]
    return documents, folds_N, pooled, candidates_NL
