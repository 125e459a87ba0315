"""Every metric from scores and targets, each convention under its own name.

The names and definitions are in ``icdcli/config/metric_names.py``.

Undefined values are left out of means, and a mean of no values is NaN: labels without a positive or
a negative have no AUROC, labels without a positive no average precision, documents without a gold
code no recall@k, R-precision or average precision. In precision@k such documents count as zero. For
metrics with the name of a paper, `icdcli.metrics.by_document` has the rules. A
ratio of decisions whose denominator is zero (precision of a label that is never predicted, F1 of a
label that is neither predicted nor gold) is zero, as in the papers and in scikit-learn.

Ties count in AUROC and average precision as in scikit-learn. If k codes must be chosen, the earlier
of two labels with the same score comes first. Precision@k divides by k even if there are fewer
labels.

Shapes: N documents, L labels, K ranks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from icdcli.metrics.arrays import Booleans, Floats, Numbers, Scores
from icdcli.metrics.by_document import (
    caml_recalls,
    codiesp_precisions,
    edin_decisions,
    edin_values,
    exact_matches,
    hits_by_document,
)
from icdcli.metrics.calibration import calibration_bins, expected_calibration_error
from icdcli.metrics.ranking import areas_under_curves, pooled_areas

Values = dict[str, float]
EDIN_DECISIONS = tuple(
    f"{share}_{mean}_edin" for mean in ("micro", "macro") for share in ("f1", "precision", "recall")
)
"""The metrics of decisions as Edin et al. 2023 count them."""
Rates = tuple[Floats, Floats, Floats]
"""Precision, recall and F1."""


@dataclass(frozen=True, slots=True)
class _Inputs:
    scores_NL: Scores
    targets_NL: Booleans
    threshold: npt.NDArray[np.float32]
    k: tuple[int, ...]
    unscored_NL: Booleans | None


def evaluate(
    scores_NL: npt.NDArray[np.floating],
    targets_NL: Booleans,
    threshold: float | npt.NDArray[np.floating] = 0.5,
    k: Sequence[int] = (5, 8, 15),
    names: Sequence[str] | None = None,
    unscored_NL: Booleans | None = None,
) -> dict[str, float]:
    """Compute metrics of scored documents.

    Args:
        scores_NL: Scores in [0, 1]; converted to float32.
        targets_NL: Whether the document has the label's code; bool.
        threshold: Scores at or above it count as predicted; one number, or one per label (L,). It
            is compared as float32, so that a score stored as 0.7 reaches a threshold of 0.7.
        k: Ranks of precision@k and recall@k.
        names: The metrics to compute; only what they need is computed. None: all metrics.
        unscored_NL: Pairs without a score, such as codes outside a label space; their score must be
            0. A gold one is a miss: it is never found in a ranking of codes and never predicted,
            but counts among the gold codes. It may be of any shape that broadcasts. None: all
            pairs have a score.

    Returns:
        Metric name to value, NaN if undefined; in the order of ``names``, or of
        `icdcli.config.metric_names.METRICS` if all are computed.

    Raises:
        ValueError: If shapes differ or are empty, targets aren't bool, scores are NaN, infinite or
            outside [0, 1] (the message names the first such rows), a threshold is NaN, a rank isn't
            positive, a name is unknown, or a pair without a score has one or reaches the threshold.
    """
    inputs = _checked(scores_NL, targets_NL, threshold, k, unscored_NL)
    groups = _groups(inputs.k)
    known = [name for group in groups for name in group]
    wanted = known if names is None else list(names)
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(
            f"unknown metrics {', '.join(unknown)}; known with k = {inputs.k}: {', '.join(known)}"
        )
    values: Values = {}
    for group, compute in groups.items():
        if not set(group).isdisjoint(wanted):
            values |= compute(inputs)
    return {name: values[name] for name in wanted}


def _checked(
    scores: npt.NDArray[np.floating],
    targets: Booleans,
    threshold: float | npt.NDArray[np.floating],
    k: Sequence[int],
    unscored: Booleans | None,
) -> _Inputs:
    # A float64 that is too large for float32 becomes infinite, which is an error below.
    with np.errstate(over="ignore"):
        scores = np.asarray(scores, dtype=np.float32)
        threshold = np.asarray(threshold, dtype=np.float32)
    targets = np.asarray(targets)
    if scores.ndim != 2 or not scores.size or scores.shape != targets.shape:
        raise ValueError(
            "scores and targets must have the same shape (documents, labels) and not be empty; "
            f"their shapes are {scores.shape} and {targets.shape}"
        )
    if targets.dtype != np.bool_:
        raise ValueError(f"targets must be bool, not {targets.dtype}")
    # Check minimum and maximum first: they are NaN if any score is, and need no memory.
    if not (scores.min() >= 0 and scores.max() <= 1):
        rows = np.flatnonzero(~((scores >= 0) & (scores <= 1)).all(axis=1))
        first = ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")
        raise ValueError(
            "scores must be finite and in [0, 1]; they aren't in "
            f"{len(rows)} documents, rows {first}"
        )
    if threshold.shape not in ((), (scores.shape[1],)) or np.isnan(threshold).any():
        raise ValueError(
            f"threshold must be one number, or one per label ({scores.shape[1]}), and not NaN"
        )
    if any(rank < 1 for rank in k):
        raise ValueError(f"k must be positive ranks, not {tuple(k)}")
    if unscored is not None:
        unscored = np.broadcast_to(unscored, scores.shape)
        if np.any(scores, where=unscored) or np.any(unscored & (scores >= threshold)):
            raise ValueError(
                "pairs without a score must have the score 0, and the threshold must be above it"
            )
    return _Inputs(scores, targets, threshold, tuple(dict.fromkeys(k)), unscored)


def _groups(k: tuple[int, ...]) -> dict[tuple[str, ...], Callable[[_Inputs], Values]]:
    """Return groups of metrics with the function that computes each, in the order of METRICS."""
    edin = [f"{share}_at_{rank}_edin" for share in ("precision", "recall") for rank in k]
    at_k = [f"{share}_at_{rank}" for share in ("precision", "recall") for rank in k]
    macro = [
        f"{share}_macro{labels}"
        for labels in ("", "_all")
        for share in ("f1", "precision", "recall")
    ]
    return {
        ("aucroc_macro", "aucprc_macro"): _curves_by_label,
        (
            "aucroc_micro",
            "aucprc_micro",
            "aucroc_micro_present",
            "aucprc_micro_present",
        ): _curves_of_pools,
        ("f1_micro", "precision_micro", "recall_micro", *macro, "f1_macro_caml"): _decisions,
        ("exact_match",): _exact_match,
        (*at_k, "r_precision"): _highest_ranks,
        ("map",): _curves_by_document,
        ("calibration_error",): _calibration,
        tuple(f"recall_at_{rank}_caml" for rank in k): _recalls_as_caml,
        ("map_codiesp",): _map_as_codiesp,
        EDIN_DECISIONS: _decisions_as_edin,
        ("exact_match_edin", *edin, "r_precision_edin", "map_edin"): _documents_as_edin,
    }


def _mean(values: Floats) -> float:
    """Return the mean of the values that aren't NaN; NaN, without a warning, if there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def _ratio(numerator: Numbers, denominator: Numbers) -> Floats:
    ratio: Floats = np.divide(
        numerator, denominator, out=np.zeros(np.shape(denominator)), where=denominator > 0
    )
    return ratio


def _curves_by_label(inputs: _Inputs) -> Values:
    unscored_LN = None if inputs.unscored_NL is None else inputs.unscored_NL.T
    roc_L, precision_L = areas_under_curves(inputs.scores_NL.T, inputs.targets_NL.T, unscored_LN)
    return {"aucroc_macro": _mean(roc_L), "aucprc_macro": _mean(precision_L)}


def _curves_of_pools(inputs: _Inputs) -> Values:
    of_all, of_present = pooled_areas(inputs.scores_NL, inputs.targets_NL, inputs.unscored_NL)
    return {
        **dict(zip(("aucroc_micro", "aucprc_micro"), of_all, strict=True)),
        **dict(zip(("aucroc_micro_present", "aucprc_micro_present"), of_present, strict=True)),
    }


def _curves_by_document(inputs: _Inputs) -> Values:
    _, precision_N = areas_under_curves(inputs.scores_NL, inputs.targets_NL, inputs.unscored_NL)
    return {"map": _mean(precision_N)}


def _decisions(inputs: _Inputs) -> Values:
    predicted_NL = inputs.scores_NL >= inputs.threshold
    predicted_L, gold_L = predicted_NL.sum(axis=0), inputs.targets_NL.sum(axis=0)
    right_L = np.logical_and(predicted_NL, inputs.targets_NL, out=predicted_NL).sum(axis=0)
    return {
        name: float(value) for name, value in decision_metrics(right_L, predicted_L, gold_L).items()
    }


def decision_metrics(right_L: Numbers, predicted_L: Numbers, gold_L: Numbers) -> dict[str, Floats]:
    """Return precision, recall and F1, micro and macro in three ways, from counts of documents.

    Args:
        right_L: For each label, the number of documents in which it is predicted and gold.
        predicted_L: The number in which it is predicted.
        gold_L: The number in which it is gold.

    Returns:
        Metric name to value.
    """
    rates, present_L = decision_rates(right_L, predicted_L, gold_L), gold_L > 0
    of_all = [np.asarray(rates_L.sum()) for rates_L in rates]
    of_present = [np.asarray(rates_L[present_L].sum()) for rates_L in rates]
    micro = decision_rates(right_L.sum(), predicted_L.sum(), gold_L.sum())
    return micro_decisions(micro) | macro_decisions(
        of_all, of_present, len(gold_L), np.asarray(present_L.sum())
    )


def decision_rates(right: Numbers, predicted: Numbers, gold: Numbers) -> Rates:
    """Return precision, recall and F1 from counts of one shape; 0 if a denominator is 0."""
    return _ratio(right, predicted), _ratio(right, gold), _ratio(2 * right, predicted + gold)


def micro_decisions(rates: Rates) -> dict[str, Floats]:
    """Return the micro metrics from the rates of the counts of all labels together."""
    precision, recall, f1 = rates
    return {"f1_micro": f1, "precision_micro": precision, "recall_micro": recall}


def macro_decisions(
    of_all: Sequence[Floats], of_present: Sequence[Floats], labels: int, present: Numbers
) -> dict[str, Floats]:
    """Return the macro metrics from sums over labels, of any shape.

    Args:
        of_all: The sums over all labels of their precision, recall and F1 (`decision_rates`).
        of_present: The sums over the labels that are gold in any document.
        labels: The number of labels.
        present: The number of labels that are gold in any document.

    Returns:
        Metric name to value; NaN if undefined.
    """
    precision, recall, f1 = (sums / labels for sums in of_all)
    of_present = [
        np.divide(sums, present, out=np.full(np.shape(sums), np.nan), where=present > 0)
        for sums in of_present
    ]
    return {
        "f1_macro": of_present[2],
        "precision_macro": of_present[0],
        "recall_macro": of_present[1],
        "f1_macro_all": f1,
        "precision_macro_all": precision,
        "recall_macro_all": recall,
        "f1_macro_caml": _ratio(2 * precision * recall, precision + recall),
    }


def _exact_match(inputs: _Inputs) -> Values:
    return {
        "exact_match": float(
            exact_matches(inputs.scores_NL, inputs.targets_NL, inputs.threshold).mean()
        )
    }


def _highest_ranks(inputs: _Inputs) -> Values:
    hits = hits_by_document(inputs.scores_NL, inputs.targets_NL, inputs.k, inputs.unscored_NL)
    has_gold_N = hits.gold_N > 0
    gold_N = hits.gold_N[has_gold_N]
    return {
        **{f"precision_at_{rank}": float(hits_N.mean() / rank) for rank, hits_N in hits.at.items()},
        **{
            f"recall_at_{rank}": _mean(hits_N[has_gold_N] / gold_N)
            for rank, hits_N in hits.at.items()
        },
        "r_precision": _mean(hits.at_gold_N[has_gold_N] / gold_N),
    }


def _recalls_as_caml(inputs: _Inputs) -> Values:
    hits = hits_by_document(inputs.scores_NL, inputs.targets_NL, inputs.k, inputs.unscored_NL)
    return {name: _mean(recall_N) for name, recall_N in caml_recalls(hits).items()}


def _map_as_codiesp(inputs: _Inputs) -> Values:
    values_N = codiesp_precisions(inputs.scores_NL, inputs.targets_NL, inputs.unscored_NL)
    return {"map_codiesp": _mean(values_N)}


def _decisions_as_edin(inputs: _Inputs) -> Values:
    present_L = inputs.targets_NL.any(axis=0)
    if not present_L.any():
        return dict.fromkeys(EDIN_DECISIONS, float("nan"))
    predicted_NL = edin_decisions(inputs.scores_NL >= inputs.threshold, inputs.targets_NL)
    predicted_L, gold_L = predicted_NL.sum(axis=0), inputs.targets_NL.sum(axis=0)
    right_L = np.logical_and(predicted_NL, inputs.targets_NL, out=predicted_NL).sum(axis=0)
    found = decision_metrics(right_L[present_L], predicted_L[present_L], gold_L[present_L])
    return {name: float(found[name.removesuffix("_edin")]) for name in EDIN_DECISIONS}


def _documents_as_edin(inputs: _Inputs) -> Values:
    values = edin_values(
        inputs.scores_NL, inputs.targets_NL, inputs.threshold, inputs.k, inputs.unscored_NL
    )
    return {name: _mean(values_N) for name, values_N in values.items()}


def _calibration(inputs: _Inputs) -> Values:
    bins = calibration_bins(inputs.scores_NL, inputs.targets_NL)
    return {"calibration_error": float(expected_calibration_error(bins.sum(axis=0)))}
