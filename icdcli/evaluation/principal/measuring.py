"""Accuracy and mean reciprocal rank of the principal diagnosis.

Documents whose principal diagnosis isn't known are left out. One outside of the label space counts
as missed: it has no rank. Codes that are as likely as the right one share its rank: half of them
count as more likely.

Shapes: N documents, B some of them, L labels.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from icdcli.config.metric_names import PRINCIPAL_METRICS
from icdcli.metrics.arrays import Floats, row_blocks
from icdcli.metrics.document_statistics import Statistics
from icdcli.model.principal.choice import OUTSIDE, UNKNOWN_PRINCIPAL


def principal_values(
    logits_NL: NDArray[np.float32], principal_N: NDArray[np.int64]
) -> dict[str, Floats]:
    """Return the value of each of `PRINCIPAL_METRICS` for each document, NaN if left out.

    Args:
        logits_NL: Any scores that rise with the probability to be the principal diagnosis.
        principal_N: What `icdcli.model.principal.choice.principal_labels` returns.
    """
    accuracy_N, reciprocal_N = np.zeros((2, len(principal_N)))
    rows = np.flatnonzero(principal_N >= 0)
    for block in row_blocks(len(rows), logits_NL.shape[1]):
        own_B = rows[block]
        logits_BL, gold_B = logits_NL[own_B], principal_N[own_B]
        gold_B1 = np.take_along_axis(logits_BL, gold_B[:, None], axis=1)
        above_B = (logits_BL > gold_B1).sum(axis=1)
        equal_B = (logits_BL == gold_B1).sum(axis=1) - 1
        reciprocal_N[own_B] = 1 / (1 + above_B + equal_B / 2)
        accuracy_N[own_B] = logits_BL.argmax(axis=1) == gold_B
    for values_N in (accuracy_N, reciprocal_N):
        values_N[principal_N == UNKNOWN_PRINCIPAL] = np.nan
    return dict(zip(PRINCIPAL_METRICS, (accuracy_N, reciprocal_N), strict=True))


def means_of(values: Mapping[str, Floats]) -> dict[str, float]:
    """Return the mean of each metric over the documents that count; NaN if none does."""
    return {
        name: float(np.nanmean(values_N)) if np.isfinite(values_N).any() else np.nan
        for name, values_N in values.items()
    }


def with_principal(
    statistics: Statistics, logits_NL: NDArray[np.float32], principal_N: NDArray[np.int64]
) -> Statistics:
    """Return statistics with the metrics of the principal diagnosis, if it is known at all."""
    if (principal_N == UNKNOWN_PRINCIPAL).all():
        return statistics
    values = principal_values(logits_NL, principal_N)
    return replace(
        statistics,
        metrics={**statistics.metrics, **means_of(values)},
        means={**statistics.means, **values},
    )


def principal_notes(principal_N: NDArray[np.int64]) -> Iterator[str]:
    """Yield what a reader must know about documents that are left out or count as missed."""
    unknown = int((principal_N == UNKNOWN_PRINCIPAL).sum())
    outside = int((principal_N == OUTSIDE).sum())
    if unknown:
        yield (
            "principal_accuracy and principal_mrr leave out documents whose principal diagnosis "
            f"isn't known ({unknown:,} of {len(principal_N):,})."
        )
    if outside:
        yield (
            "Principal diagnoses outside of the label space count as missed "
            f"({outside:,} of {len(principal_N):,} documents)."
        )
