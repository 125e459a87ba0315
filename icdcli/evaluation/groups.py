"""Labels by what they are: by kind of code, by chapter, and by how often training saw them.

One number over thousands of codes hides that common ones are coded well and rare ones not at all.

Shapes: L labels.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from icdcli.data.corpus.reader import Labels
from icdcli.icd.codes import KINDS
from icdcli.icd.hierarchy import chapter_of, chapters
from icdcli.metrics.arrays import Booleans, Scores
from icdcli.metrics.metrics import evaluate

FREQUENCIES = {
    "never": (0, 0),
    "1-10": (1, 10),
    "11-50": (11, 50),
    "51-500": (51, 500),
    ">500": (501, None),
}
"""Documents of the training split that have the code: from, to; None: without end."""

NO_CHAPTER = "in no chapter"

Groups = dict[str, Booleans]


def by_kind(labels: Labels) -> Groups:
    """Which labels are diagnoses, which procedures (L,); kinds without a label are left out."""
    kinds = np.array(labels.kinds)
    return {kind: kinds == kind for kind in KINDS if kind in labels.kinds}


def by_training_frequency(labels: Labels) -> Groups:
    """Which labels training saw never, one to ten times … (L,); intervals without a label are left out."""
    counts_L = np.array(labels.train_counts)
    groups = {
        name: (counts_L >= least) & (counts_L <= (counts_L if most is None else most))
        for name, (least, most) in FREQUENCIES.items()
    }
    return {name: chosen_L for name, chosen_L in groups.items() if chosen_L.any()}


def by_chapter(labels: Labels, system: str | None) -> Groups:
    """Which labels are in which chapter (L,), by title and range, in official order, what is in none last.

    Args:
        labels: The label space.
        system: ``icd9`` or ``icd10``; None, unknown: no groups.
    """
    if system is None:
        return {}
    names = [
        f"{chapter.title} ({chapter.id})" for kind in KINDS for chapter in chapters(system, kind)
    ] + [NO_CHAPTER]
    found = [
        chapter_of(code, kind, system)
        for code, kind in zip(labels.codes, labels.kinds, strict=True)
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
    k: Sequence[int] = (5, 8, 15),
    names: Sequence[str] | None = None,
) -> dict[str, dict[str, float]]:
    """Compute metrics of groups of labels, each as if there were no other labels.

    Args:
        scores_NL: As in `icdcli.metrics.metrics.evaluate`.
        targets_NL: As there.
        threshold_L: A threshold a label.
        groups: A group's name to its labels.
        k: As there.
        names: As there.

    Returns:
        A group's name to its metrics, and before them what `counts` says.
    """
    return {
        name: counts(targets_NL[:, chosen_L])
        | evaluate(scores_NL[:, chosen_L], targets_NL[:, chosen_L], threshold_L[chosen_L], k, names)
        for name, chosen_L in groups.items()
    }


def counts(targets_NL: Booleans) -> dict[str, int]:
    """What metrics rest on: how many labels, how many of them without a positive or a negative, and gold codes."""
    gold_L = targets_NL.sum(axis=0)
    return {
        "labels": len(gold_L),
        "labels_without_positive": int(np.count_nonzero(gold_L == 0)),
        "labels_without_negative": int(np.count_nonzero(gold_L == len(targets_NL))),
        "documents_without_gold": int(np.count_nonzero(~targets_NL.any(axis=1))),
        "gold": int(gold_L.sum()),
    }
