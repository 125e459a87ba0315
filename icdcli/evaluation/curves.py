"""Data of an evaluation's figures, and the confusions between codes.

Shapes: N documents, L labels, P positives, U distinct scores of positives, M codes missed, E codes
predicted but not gold (extra).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from icdcli.evaluation.error_groups import category_of
from icdcli.evaluation.evaluate import Evaluation
from icdcli.evaluation.groups import by_chapter, by_training_frequency
from icdcli.icd.code_system import CodeSystem
from icdcli.metrics.arrays import Booleans, Floats, Scores
from icdcli.metrics.calibration import BINS, expected_calibration_error
from icdcli.metrics.proportions import wilson_interval
from icdcli.metrics.ranking import counts_below

_POINTS = 400  # points per curve
_CODES = 200  # codes per chapter whose confusions are counted, those most often missed or extra
_PAIRS = 8  # confusions reported per chapter


@dataclass(frozen=True)
class Curve:
    """Points of a curve, ascending in x.

    Attributes:
        x: Horizontal coordinates.
        y: Vertical coordinates.
    """

    x: list[float]
    y: list[float]


@dataclass(frozen=True)
class Calibration:
    """A reliability diagram; bins without a score are left out.

    Attributes:
        scores: The mean score of each bin.
        gold: The share of gold codes among the bin's pairs of a document and a code.
        counts: The number of pairs in the bin.
        intervals: The 95 % interval of the share (Wilson's).
        above: The upper end of the lowest bin, which has nearly all pairs; 0: there is no other.
        error_above: The expected calibration error of the other bins; NaN: there are none.
    """

    scores: list[float]
    gold: list[float]
    counts: list[int]
    intervals: list[tuple[float, float]]
    above: float
    error_above: float


@dataclass(frozen=True)
class Confusion:
    """A gold code that was missed in documents in which another code of its chapter was predicted.

    Attributes:
        missed: The gold code.
        instead: The code that was predicted and isn't gold.
        documents: The number of documents with both.
        of: The number of documents in which the gold code was missed.
    """

    missed: str
    instead: str
    documents: int
    of: int


def precision_recall(scores_NL: Scores, targets_NL: Booleans, missed: int = 0) -> Curve:
    """Return precision by recall of all pairs of a document and a code, at up to 400 thresholds.

    Args:
        scores_NL: Scores.
        targets_NL: The gold codes.
        missed: Other gold codes, which have no scores: the recall that they take away.
    """
    positives_P = np.sort(scores_NL[targets_NL])
    if not len(positives_P):
        return Curve([], [])
    tried_U, first_U = np.unique(positives_P, return_index=True)
    # Highest threshold first, at even steps of recall.
    places = np.unique(
        np.searchsorted(first_U, np.linspace(0, len(positives_P) - 1, _POINTS), "right") - 1
    )[::-1]
    below, _ = counts_below(scores_NL, tried_U[places][::-1])
    right = len(positives_P) - first_U[places]
    gold = len(positives_P) + missed
    return Curve((right / gold).tolist(), (right / (scores_NL.size - below[::-1])).tolist())


def precision_recall_curves(evaluation: Evaluation) -> dict[str, Curve]:
    """Return the precision-recall curves of all codes and of each band of training frequency."""
    scores_NL, targets_NL = evaluation.scored.scores_NL, evaluation.targets_NL
    groups = by_training_frequency(evaluation.labels)
    known = len(evaluation.labels) - evaluation.outside
    scores_NL, known_NL = scores_NL[:, :known], targets_NL[:, :known]
    outside_NU = targets_NL[:, known:]
    curves = {"all codes": precision_recall(scores_NL, known_NL, int(outside_NU.sum()))}
    if len(groups) > 1:
        for name, chosen_L in reversed(groups.items()):
            here_L, missed = chosen_L[:known], outside_NU[:, chosen_L[known:]].sum()
            curves[f"{name} in training"] = precision_recall(
                scores_NL[:, here_L], known_NL[:, here_L], int(missed)
            )
    return {name: curve for name, curve in curves.items() if curve.x}


def calibration(evaluation: Evaluation) -> Calibration:
    """Return the reliability diagram of the bins of the expected calibration error."""
    bins_B3 = evaluation.statistics.bins_NB3.sum(axis=0)
    higher_B3 = bins_B3[1:]
    has_higher = bool(higher_B3[:, 0].sum())
    error = float(expected_calibration_error(higher_B3)) if has_higher else float("nan")
    counts, scores, gold = bins_B3[bins_B3[:, 0] > 0].T
    return Calibration(
        (scores / counts).tolist(),
        (gold / counts).tolist(),
        counts.astype(int).tolist(),
        [
            wilson_interval(int(hits), int(count))
            for hits, count in zip(gold.tolist(), counts.tolist(), strict=True)
        ],
        1 / BINS if has_higher else 0.0,
        error,
    )


def f1_by_frequency(evaluation: Evaluation) -> tuple[Curve, dict[str, float]]:
    """Return F1 against the training documents of each gold code, and the mean F1 of each band."""
    gold_L = evaluation.by_code.gold_L > 0
    counts_L, f1_L = (
        np.array(evaluation.labels.train_counts)[gold_L],
        evaluation.f1_of_code()[gold_L],
    )
    order = np.argsort(counts_L, kind="stable")
    means = {name: values["f1_macro"] for name, values in evaluation.by_training_frequency.items()}
    return Curve(counts_L[order].tolist(), f1_L[order].tolist()), {
        k: v for k, v in means.items() if not np.isnan(v)
    }


def confusions(evaluation: Evaluation, system: CodeSystem | None) -> Mapping[str, list[Confusion]]:
    """Return the most frequent confusions of each chapter, those in most documents first.

    A document with several codes doesn't show which extra code was predicted instead of which
    missed code, so every pair within a chapter counts. Chapters without confusions are left out.

    Args:
        evaluation: The evaluation.
        system: The coding system; None (unknown): all codes are one chapter.
    """
    gold_NL, predicted_NL = evaluation.targets_NL, evaluation.statistics.predicted_NL
    codes = np.array(evaluation.labels.codes)
    found = {}
    for name, chosen_L in (
        by_chapter(evaluation.labels, system) or {"all codes": np.ones(len(codes), bool)}
    ).items():
        labels = np.flatnonzero(chosen_L)
        missed_L, missed_NM = _most(gold_NL[:, labels] & ~predicted_NL[:, labels])
        extra_L, extra_NE = _most(predicted_NL[:, labels] & ~gold_NL[:, labels])
        together_ME = missed_NM.T @ extra_NE
        times_M = missed_NM.sum(axis=0)
        of_one_ME = _categories(codes[labels[missed_L]])[:, None] == _categories(
            codes[labels[extra_L]]
        )
        # Pairs of one category first: the others are often only frequent in the same documents.
        order = np.lexsort((-together_ME.ravel(), ~(of_one_ME & (together_ME > 0)).ravel()))
        places = order[:_PAIRS]
        pairs = [
            Confusion(
                str(codes[labels[missed_L[m]]]),
                str(codes[labels[extra_L[e]]]),
                int(together_ME[m, e]),
                int(times_M[m]),
            )
            for m, e in zip(*np.unravel_index(places, together_ME.shape), strict=True)
            if together_ME[m, e] > 0
        ]
        if pairs:
            found[name] = pairs
    return found


def _categories(codes: Iterable[str]) -> np.typing.NDArray[np.str_]:
    return np.array([category_of(code) for code in codes], dtype=np.str_)


def _most(mask_NL: Booleans) -> tuple[np.typing.NDArray[np.intp], Floats]:
    """Return the labels that are true most often, and their columns as floats.

    Products of complete label spaces would fill the memory.
    """
    counts_L = mask_NL.sum(axis=0)
    chosen = np.argsort(-counts_L, kind="stable")[:_CODES]
    chosen = chosen[counts_L[chosen] > 0]
    return chosen, mask_NL[:, chosen].astype(np.float64)
