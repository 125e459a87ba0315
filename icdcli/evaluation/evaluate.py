"""The evaluation of a model on a split: metrics, intervals, and results per code and per group.

Shapes: N documents, L labels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np

from icdcli.data.corpus.label_spaces import add_outside, missed_columns
from icdcli.data.corpus.reader import Labels
from icdcli.errors import DataError
from icdcli.evaluation.ablation import Ablation
from icdcli.evaluation.acceptance.measuring import Acceptance
from icdcli.evaluation.code_checks import SplitChecks, check_split
from icdcli.evaluation.groups import (
    GroupMetrics,
    by_chapter,
    by_kind,
    by_training_frequency,
    count_targets,
    evaluate_groups,
)
from icdcli.evaluation.predictions.ancestors import hierarchical_counts_of
from icdcli.evaluation.principal.measuring import principal_notes, with_principal
from icdcli.evaluation.score_split import SplitScores, non_finite_documents, with_missed
from icdcli.icd.code_system import CodeSystem
from icdcli.io.files import json_values
from icdcli.metrics.arrays import Booleans, Floats, Integers
from icdcli.metrics.bootstrap import RESAMPLES, Interval, intervals
from icdcli.metrics.document_statistics import Statistics, statistics_of
from icdcli.model.threshold import Threshold


@dataclass(frozen=True)
class CodeCounts:
    """The numbers of documents of each label.

    Attributes:
        gold_L: In which it is gold.
        predicted_L: In which it is predicted.
        right_L: In which it is both.
    """

    gold_L: Integers
    predicted_L: Integers
    right_L: Integers


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a model on a split; `evaluate_split` computes one.

    Attributes:
        split: The split.
        about: Run, checkpoint, data set, protocol and so on, as given.
        labels: The label space; at its end, the gold codes that it lacks.
        threshold: The score from which a code counts as predicted.
        scored: The documents and their scores, 0 for the codes that the label space lacks.
        targets_NL: The gold codes.
        statistics: The metrics, and the statistics of each document.
        intervals: Metric to its 95 % interval over documents.
        by_kind: Kind of code to its metrics.
        by_chapter: Chapter to its metrics; empty if the coding system isn't known.
        by_training_frequency: Band of training frequency to the metrics of its codes.
        checks: The checks of gold and predicted codes; None: the coding system isn't known.
        acceptance: What its scores decide: codes to accept, the risk; None: not measured.
        ablation: The model complete, and without each of its parts; empty if not requested.
        outside: How many of `labels`, the last ones, the label space lacks.
        hierarchical: Hierarchical measures; empty if the coding system isn't known.
    """

    split: str
    about: Mapping[str, object]
    labels: Labels
    threshold: Threshold
    scored: SplitScores
    targets_NL: Booleans
    statistics: Statistics
    intervals: dict[str, Interval]
    by_kind: GroupMetrics
    by_chapter: GroupMetrics
    by_training_frequency: GroupMetrics
    checks: SplitChecks | None = None
    acceptance: Acceptance | None = None
    ablation: tuple[Ablation, ...] = ()
    outside: int = 0
    hierarchical: Mapping[str, float] = field(default_factory=dict)

    @property
    def metrics(self) -> Mapping[str, float]:
        """Return metric to value, the loss first; NaN if undefined."""
        return self.statistics.metrics

    @property
    def notes(self) -> list[str]:
        """Return caveats to these numbers, one sentence each."""
        found = []
        if self.threshold.tuned_on == self.split:
            found.append(
                f"The threshold was tuned on this split ({self.split}), so F1, precision, recall "
                "and exact match are optimistic."
            )
        elif self.threshold.how != "fixed" and self.threshold.tuned_on is None:
            found.append(
                f"The threshold ({self.threshold.how}) isn't tuned yet: the checkpoint was saved "
                "before the first validation."
            )
        if cut := self.scored.cut_documents:
            found.append(
                f"{cut:,} of {len(self.scored.documents):,} documents are longer than max_len: the "
                "network read only their beginning (long_notes: first), as predict does."
            )
        if self.split == "train":
            found.append("The model was trained on these documents.")
        if self.scored.principal_N is not None:
            found += principal_notes(self.scored.principal_N)
        return [*found, *label_space_notes(self)]

    @property
    def label_space(self) -> str:
        """Return the name of the label space; empty if it isn't known."""
        return str(self.about.get("label_space", ""))

    @property
    def gold_outside(self) -> int:
        """Return how many gold codes, over all documents, the label space lacks."""
        return int(self.targets_NL[:, len(self.labels) - self.outside :].sum())

    @property
    def gold_unseen(self) -> int:
        """Return how many gold codes of the label space no training document has."""
        unseen_L = np.array(self.labels.train_counts) == 0
        return int(self.targets_NL[:, unseen_L].sum()) - self.gold_outside

    @cached_property
    def counts(self) -> dict[str, int]:
        """Return the number of documents, those of `count_targets`, and of unseen gold codes."""
        return {
            "documents": len(self.scored.documents),
            **count_targets(self.targets_NL),
            "labels_outside": self.outside,
            "gold_outside": self.gold_outside,
            "gold_unseen": self.gold_unseen,
        }

    @cached_property
    def by_code(self) -> CodeCounts:
        """Return the numbers of documents of each label."""
        gold_NL, predicted_NL = self.targets_NL, self.statistics.predicted_NL
        return CodeCounts(
            gold_NL.sum(axis=0), predicted_NL.sum(axis=0), (gold_NL & predicted_NL).sum(axis=0)
        )

    def f1_of_code(self) -> Floats:
        """Return the F1 of each label (L,); NaN if it is neither gold nor predicted."""
        counts = self.by_code
        either_L = counts.gold_L + counts.predicted_L
        f1_L: Floats = np.divide(
            2 * counts.right_L, either_L, out=np.full(len(either_L), np.nan), where=either_L > 0
        )
        return f1_L

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``metrics.json``: no texts, no document ids; None if undefined."""
        threshold: dict[str, Any] = {
            "threshold": self.threshold.value,
            "threshold_how": self.threshold.how,
        }
        if self.threshold.how != "fixed":
            threshold["threshold_tuned_on"] = self.threshold.tuned_on
        rows = {row.without or "nothing": row.metrics for row in self.ablation}
        ablation = {"ablation": rows} if rows else {}
        checks = {"checks": self.checks.to_json()} if self.checks else {}
        plain: dict[str, Any] = json_values(
            {
                "split": self.split,
                **self.about,
                **threshold,
                **self.counts,
                "notes": self.notes,
                "metrics": self.metrics,
                "interval_of": f"95 %, {RESAMPLES} resamples of the documents",
                "intervals": self.intervals,
                **({"hierarchical": self.hierarchical} if self.hierarchical else {}),
                "by_kind": self.by_kind,
                "by_training_frequency": self.by_training_frequency,
                "by_chapter": self.by_chapter,
                **checks,
                **({} if self.acceptance is None else {"acceptance": self.acceptance.to_json()}),
                **ablation,
            }
        )
        return plain


def evaluate_split(
    split: str,
    scored: SplitScores,
    labels: Labels,
    threshold: Threshold,
    system: CodeSystem | None = None,
    about: Mapping[str, object] | None = None,
    days: Sequence[date | None] = (),
) -> Evaluation:
    """Evaluate a model on a split.

    Args:
        split: The split.
        scored: The scores of the split.
        labels: The label space.
        threshold: The model's threshold.
        system: The coding system, for chapters and checks; None: unknown.
        about: Reported with the metrics: run, checkpoint, data set, protocol and so on.
        days: The day of discharge of each document, for the checks; empty: unknown.

    Raises:
        DataError: If a score is NaN or infinite; the message names the documents.
    """
    if wrong := non_finite_documents(scored.scores_NL, scored.documents.ids):
        raise DataError(
            f"{split} split: the scores of document {wrong} are not finite numbers. The model's "
            "weights are broken or too large for its precision. Evaluate another checkpoint with "
            "--load, or train again with a lower lr0."
        )
    documents = scored.documents
    scores_NL, targets_NL, unscored_L = with_missed(
        scored.scores_NL, documents.targets_NL(len(labels)), missed_columns(documents)
    )
    if unscored_L is not None:
        threshold = threshold.with_more(int(unscored_L.sum()))
        labels = add_outside(labels, documents, system)
        scored = replace(scored, scores_NL=scores_NL)
    threshold_L = threshold.values_L(len(labels))
    statistics = statistics_of(
        scores_NL, targets_NL, threshold_L, scored.losses_N, unscored_NL=unscored_L
    )
    if scored.principal_NL is not None and scored.principal_N is not None:
        statistics = with_principal(statistics, scored.principal_NL, scored.principal_N)
    kinds, chapters, frequencies = (
        evaluate_groups(scores_NL, targets_NL, threshold_L, labels_of_group, unscored_L)
        for labels_of_group in (
            by_kind(labels),
            by_chapter(labels, system),
            by_training_frequency(labels),
        )
    )
    return Evaluation(
        split,
        about or {},
        labels,
        threshold,
        scored,
        targets_NL,
        statistics,
        intervals(statistics),
        by_kind=kinds,
        by_chapter=chapters,
        by_training_frequency=frequencies,
        checks=None
        if system is None
        else check_split(scores_NL, targets_NL, statistics.predicted_NL, labels, system, days),
        outside=0 if unscored_L is None else int(unscored_L.sum()),
        hierarchical={}
        if system is None
        else hierarchical_counts_of(
            targets_NL, statistics.predicted_NL, labels.codes, labels.kinds, system
        ).metrics(),
    )


def label_space_notes(evaluation: Evaluation) -> Iterator[str]:
    """Yield what a reader must know about the label space behind the numbers."""
    gold, outside = int(evaluation.targets_NL.sum()), evaluation.gold_outside
    if outside:
        yield (
            f"Gold codes outside the label space ({evaluation.label_space or 'of the model'}): "
            f"{outside:,} of {gold:,} ({outside / gold:.1%}). They count as missed in every metric."
        )
    unseen = evaluation.gold_unseen
    if evaluation.label_space == "seen" and evaluation.split != "train" and unseen:
        yield (
            f"Gold codes that training never saw: {unseen:,} of {gold:,} ({unseen / gold:.1%}). "
            f"They are candidates only because documents of the {evaluation.split} split have them "
            "(label_space: seen). For new notes, nobody knows these codes. For a number that holds "
            "for new notes, train with label_space: train, categories or assignable."
        )
