"""Score one split of a corpus with a trained model.

Shapes: N documents, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.reader import Corpus, Documents
from icdcli.io.progress import Progress
from icdcli.model.coding_model import CodingModel
from icdcli.model.fusion import probabilities
from icdcli.model.principal.choice import principal_labels


def with_missed(
    scores_NL: NDArray[np.float32],
    targets_NL: NDArray[np.bool_],
    missed_NU: NDArray[np.bool_] | None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_] | None]:
    """Add a column at the end for each gold code outside of the label space, as metrics need it.

    Args:
        scores_NL: Scores.
        targets_NL: The gold labels.
        missed_NU: What `missed_columns` returns; None: nothing is missed.

    Returns:
        The scores, 0 in these columns; the gold codes; and which columns have no score (L,). None
        if the label space has all gold codes: nothing was added.
    """
    if missed_NU is None or not missed_NU.size:
        return scores_NL, targets_NL, None
    unscored_L = np.repeat([False, True], [scores_NL.shape[1], missed_NU.shape[1]])
    return (
        np.hstack([scores_NL, np.zeros(missed_NU.shape, np.float32)]),
        np.hstack([targets_NL, missed_NU]),
        unscored_L,
    )


@dataclass(frozen=True)
class SplitScores:
    """The scores of a model on a split.

    Attributes:
        documents: The documents of the split, with their gold labels.
        scores_NL: The probability of each code.
        losses_N: The loss of each document, positives not weighted.
        cut_documents: The number of documents of which the model read only the beginning.
        principal_NL: The logits of the principal diagnosis; None: the model doesn't choose one.
        principal_N: Its label in each document, or below 0; None as well.
    """

    documents: Documents
    scores_NL: NDArray[np.float32]
    losses_N: NDArray[np.float64]
    cut_documents: int = 0
    principal_NL: NDArray[np.float32] | None = None
    principal_N: NDArray[np.int64] | None = None


def score_split(
    model: CodingModel,
    corpus: Corpus,
    split: str,
    on_progress: Progress | None = None,
    only: Sequence[int] | None = None,
    state_cache_gb: float = 20,
) -> SplitScores:
    """Score the documents of a split; see `icdcli.model.coding_model.CodingModel.score_split`."""
    found = model.score_split(corpus, split, on_progress, only, state_cache_gb)
    scores_NL = probabilities(found.parts, model.fusion)
    scored = SplitScores(found.documents, scores_NL, found.losses_N, found.cut_documents)
    if model.principal is None or found.principal_NL is None:
        return scored
    return replace(
        scored,
        principal_NL=model.principal.logits(scores_NL, found.principal_NL),
        principal_N=principal_labels(found.documents, corpus.code_index),
    )


def non_finite_documents(scores_NL: NDArray[np.float32], ids: Sequence[str]) -> str:
    """Return the ids of the first documents with a score that is NaN or infinite, as one string.

    It is empty if there are none.
    """
    rows = np.flatnonzero(~np.isfinite(scores_NL.sum(axis=1)))
    return ", ".join(ids[row] for row in rows[:5]) + (
        f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    )
