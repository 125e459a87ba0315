"""Groups of labels: by kind of code, by chapter, and by frequency in training.

One number over thousands of codes hides that common codes are predicted well and rare ones never.

Shapes: N documents, L labels.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from icdcli.data.corpus.reader import Labels
from icdcli.icd.code_system import CodeSystem
from icdcli.icd.codes import KINDS
from icdcli.metrics.arrays import Booleans, Scores
from icdcli.metrics.metrics import evaluate

FREQUENCIES = {
    "never": (0, 0),
    "1-10": (1, 10),
    "11-50": (11, 50),
    "51-500": (51, 500),
    ">500": (501, None),
}
"""Band to its range of training documents with the code, both ends included; None: no limit."""

NO_CHAPTER = "in no chapter"

LabelGroups = dict[str, Booleans]
"""A group's name to a mask of its labels (L,)."""

GroupMetrics = dict[str, dict[str, float]]
"""A group's name to its metrics, metric name to value."""


def by_kind(labels: Labels) -> LabelGroups:
    """Group labels into diagnoses and procedures; kinds without a label are left out."""
    kinds = np.array(labels.kinds)
    return {kind: kinds == kind for kind in KINDS if kind in labels.kinds}


def by_training_frequency(labels: Labels) -> LabelGroups:
    """Group labels into the bands of `FREQUENCIES`; bands without a label are left out."""
    counts_L = np.array(labels.train_counts)
    groups = {
        name: (counts_L >= least) & (counts_L <= (counts_L if most is None else most))
        for name, (least, most) in FREQUENCIES.items()
    }
    return {name: chosen_L for name, chosen_L in groups.items() if chosen_L.any()}


def by_chapter(labels: Labels, system: CodeSystem | None) -> LabelGroups:
    """Group labels into chapters, named by title and range, in official order.

    Labels in no chapter are the last group.

    Args:
        labels: The label space.
        system: Their coding system; None (unknown): no groups.
    """
    if system is None:
        return {}
    names = [
        f"{chapter.title} ({chapter.id})" for kind in KINDS for chapter in system.chapters(kind)
    ] + [NO_CHAPTER]
    found = [
        system.chapter_of(code, kind) for code, kind in zip(labels.codes, labels.kinds, strict=True)
    ]
    name_L = np.array(
        [f"{chapter.title} ({chapter.id})" if chapter else NO_CHAPTER for chapter in found]
    )
    return {name: name_L == name for name in names if (name_L == name).any()}


def evaluate_groups(
    scores_NL: Scores,
    targets_NL: Booleans,
    threshold_L: np.typing.NDArray[np.float32],
    groups: Mapping[str, Booleans],
    unscored_L: Booleans | None = None,
    names: Sequence[str] | None = None,
) -> GroupMetrics:
    """Compute the metrics of groups of labels, each as if there were no other labels.

    Args:
        scores_NL: As in `icdcli.metrics.metrics.evaluate`.
        targets_NL: As there.
        threshold_L: The threshold of each label.
        groups: A group's name to its labels.
        unscored_L: The labels without scores; None: all have them.
        names: The metrics to compute; None: all.

    Returns:
        A group's name to the counts of `count_targets` and the metrics.
    """
    return {
        name: count_targets(targets_NL[:, chosen_L])
        | evaluate(
            scores_NL[:, chosen_L],
            targets_NL[:, chosen_L],
            threshold_L[chosen_L],
            names=names,
            unscored_NL=None if unscored_L is None else unscored_L[chosen_L],
        )
        for name, chosen_L in groups.items()
    }


def count_targets(targets_NL: Booleans) -> dict[str, int]:
    """Count labels, labels without a positive or a negative, documents without gold, gold codes."""
    gold_L = targets_NL.sum(axis=0)
    return {
        "labels": len(gold_L),
        "labels_without_positive": int(np.count_nonzero(gold_L == 0)),
        "labels_without_negative": int(np.count_nonzero(gold_L == len(targets_NL))),
        "documents_without_gold": int(np.count_nonzero(~targets_NL.any(axis=1))),
        "gold": int(gold_L.sum()),
    }
