"""Values per document whose means are metrics, each paper's way of counting by itself.

Shapes: N documents, L labels, K ranks, B documents of a block.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from icdcli.metrics.arrays import Booleans, Floats, Integers, Scores, row_blocks
from icdcli.metrics.ranking import areas_under_curves, highest

CODIESP_DEPTH = 1000
"""The ranks that CodiEsp's evaluation script reads."""


@dataclass(frozen=True, slots=True)
class Hits:
    """Numbers of gold codes among the codes with the highest scores, per document.

    Attributes:
        gold_N: The number of gold codes of each document.
        at: Rank k to the number of gold codes among the k codes with the highest scores (N,).
        at_gold_N: The same with k = the document's number of gold codes.
    """

    gold_N: Integers
    at: dict[int, Integers]
    at_gold_N: Integers


def hits_by_document(
    scores_NL: Scores,
    targets_NL: Booleans,
    k: Sequence[int],
    unscored_NL: Booleans | None = None,
) -> Hits:
    """Count the gold codes among the codes with the highest scores, those without one left out."""
    gold_N = targets_NL.sum(axis=1)
    if unscored_NL is not None:
        targets_NL = targets_NL & ~unscored_NL
    # R-precision needs as many ranks as the document with the most gold codes has.
    depth = min(max((1, int(gold_N.max()), *k)), targets_NL.shape[1])
    labels_NK = highest(scores_NL, depth)
    hits_NK: Integers = np.cumsum(np.take_along_axis(targets_NL, labels_NK, axis=1), axis=1)
    at_gold_N = np.take_along_axis(hits_NK, np.maximum(gold_N - 1, 0)[:, None], axis=1)[:, 0]
    return Hits(
        gold_N,
        {rank: hits_NK[:, min(rank, depth) - 1] for rank in k},
        np.where(gold_N > 0, at_gold_N, 0),
    )


def exact_matches(
    scores_NL: Scores, targets_NL: Booleans, threshold: npt.NDArray[np.float32]
) -> Booleans:
    """Return for each document (N,) whether exactly its gold codes reach the threshold."""
    return np.logical_not(np.asarray(((scores_NL >= threshold) ^ targets_NL).any(axis=1)))


def caml_recalls(hits: Hits) -> dict[str, Floats]:
    """Return recall@k of each document as CAML counts it: 0 without a gold code."""
    return {
        f"recall_at_{rank}_caml": hits_N / np.maximum(hits.gold_N, 1)
        for rank, hits_N in hits.at.items()
    }


def codiesp_precisions(
    scores_NL: Scores, targets_NL: Booleans, unscored_NL: Booleans | None = None
) -> Floats:
    """Return the average precision of each document (N,) as CodiEsp's script computes it.

    It reads the first 1,000 codes of a ranking, in which no two codes have the same rank. A
    document without a gold code has 0. A code without a score isn't in the ranking.
    """
    documents, labels = scores_NL.shape
    depth = min(CODIESP_DEPTH, labels)
    precision_N = np.zeros(documents)
    for block in row_blocks(documents, labels):
        targets_BL = targets_NL[block]
        found_BL = targets_BL if unscored_NL is None else targets_BL & ~unscored_NL[block]
        hits_BK = np.take_along_axis(found_BL, highest(scores_NL[block], depth), axis=1)
        precision_BK = np.cumsum(hits_BK, axis=1) / np.arange(1, depth + 1)
        sums_B = np.where(hits_BK, precision_BK, 0.0).sum(axis=1)
        precision_N[block] = sums_B / np.maximum(targets_BL.sum(axis=1), 1)
    return precision_N


def edin_values(
    scores_NL: Scores,
    targets_NL: Booleans,
    threshold: npt.NDArray[np.float32],
    k: Sequence[int],
    unscored_NL: Booleans | None = None,
) -> dict[str, Floats]:
    """Return what Edin et al. 2023 average over documents: only labels present in the split exist.

    Args:
        scores_NL: Scores.
        targets_NL: The gold codes.
        threshold: One threshold, or one per label.
        k: Ranks of precision and recall.
        unscored_NL: True for pairs without a score; None: all have one.

    Returns:
        Metric name to (N,); NaN for documents without a gold code, which don't count.
    """
    present_L: Booleans = np.asarray(targets_NL.any(axis=0))
    names = [f"{share}_at_{rank}_edin" for share in ("precision", "recall") for rank in k]
    names = ["exact_match_edin", *names, "r_precision_edin", "map_edin"]
    values = {name: np.full(len(scores_NL), np.nan) for name in names}
    if not present_L.any():
        return values
    threshold = threshold[present_L] if threshold.ndim else threshold
    for block in row_blocks(*scores_NL.shape):
        scores_BL, targets_BL = scores_NL[block][:, present_L], targets_NL[block][:, present_L]
        unscored_BL = None if unscored_NL is None else unscored_NL[block][:, present_L]
        hits = hits_by_document(scores_BL, targets_BL, k, unscored_BL)
        gold_B = np.where(hits.gold_N > 0, hits.gold_N, np.nan)
        exact_B = exact_matches(scores_BL, targets_BL, threshold)
        values["exact_match_edin"][block] = np.where(hits.gold_N > 0, exact_B, np.nan)
        for rank, hits_B in hits.at.items():
            at_rank_B = np.where(hits.gold_N > 0, hits_B / rank, np.nan)
            values[f"precision_at_{rank}_edin"][block] = at_rank_B
            values[f"recall_at_{rank}_edin"][block] = hits_B / gold_B
        values["r_precision_edin"][block] = hits.at_gold_N / gold_B
        values["map_edin"][block] = areas_under_curves(scores_BL, targets_BL, unscored_BL)[1]
    return values


def edin_decisions(predicted_NL: Booleans, targets_NL: Booleans) -> Booleans:
    """Return the decisions that count for Edin et al. 2023: of documents with a gold code.

    Decisions on labels that aren't present in the split don't count either; they are left here,
    since macro metrics of present labels don't contain them.
    """
    has_gold_N: Booleans = np.asarray(targets_NL.any(axis=1))
    return predicted_NL & has_gold_N[:, None]
