"""The confidence of a checkpoint, fitted to the validation predictions that its run has.

Shapes: P pairs of a document and a code.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from icdcli.errors import DataError
from icdcli.evaluation.files import METRICS_JSON, TOP_CODES
from icdcli.io.manifest import checkpoint_identity
from icdcli.metrics.arrays import Booleans, Floats, Integers
from icdcli.metrics.confidence import SUGGESTED, Confidence, fit_confidence
from icdcli.run_dir import RunDir, run_of

VALIDATION = "validation"
"""The split whose documents show what scores mean."""


class StoredPairs(NamedTuple):
    """The pairs of a document and a code in the predictions of the validation split.

    Attributes:
        scores_P: The scores.
        predicted_P: Whether the score reaches the threshold.
        gold_P: Whether the code is gold.
        documents_P: The place of the document.
        documents: The number of documents.
    """

    scores_P: Floats
    predicted_P: Booleans
    gold_P: Booleans
    documents_P: Integers
    documents: int


def validation_metrics(checkpoint: Path, manifest: dict[str, Any]) -> dict[str, float]:
    """Return the metrics on the validation split that a checkpoint and its run have.

    Args:
        checkpoint: The folder of the checkpoint.
        manifest: The content of its manifest.
    """
    found = {**manifest.get("at_threshold", {}), **(manifest.get("metrics") or {})}
    found["validation_loss"] = manifest.get("validation_loss")
    found |= (_evaluated(checkpoint, manifest) or {}).get("metrics", {})
    return {name: float(value) for name, value in found.items() if value is not None}


def stored_pairs(checkpoint: Path, manifest: Mapping[str, Any]) -> StoredPairs | None:
    """Read the predictions that ``icdcode evaluate --split validation`` wrote.

    Args:
        checkpoint: The folder of the checkpoint.
        manifest: The content of its manifest.

    Returns:
        All gold and predicted codes and the highest scores of each document; None: this checkpoint
        wasn't evaluated on the validation split.

    Raises:
        DataError: If the predictions can't be read.
    """
    if _evaluated(checkpoint, manifest) is None:
        return None
    path = _folder(checkpoint) / "predictions.parquet"
    try:
        table = pq.read_table(path, columns=["id", "score", "predicted", "gold"])
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{path}: can't be read ({error}). Delete the folder, or evaluate again."
        ) from None
    ids, documents_P = np.unique(table["id"].to_numpy(), return_inverse=True)
    scores_P, predicted_P, gold_P = (
        table[name].to_numpy() for name in ("score", "predicted", "gold")
    )
    return StoredPairs(scores_P.astype(np.float64), predicted_P, gold_P, documents_P, len(ids))


def stored_confidence(checkpoint: Path, manifest: Mapping[str, Any]) -> Confidence | None:
    """Fit the confidence to the predictions that ``icdcode evaluate --split validation`` wrote.

    Args:
        checkpoint: The folder of the checkpoint.
        manifest: The content of its manifest.

    Returns:
        The confidence; None: this checkpoint wasn't evaluated on the validation split, or there are
        too few documents.

    Raises:
        DataError: If the predictions can't be read.
    """
    pairs = stored_pairs(checkpoint, manifest)
    if pairs is None:
        return None
    scores_P, predicted_P, gold_P, documents_P, _ = pairs
    # Gold codes are in the file whatever their scores, which would flatter the lowest scores.
    order = np.lexsort((-scores_P, documents_P))
    starts = np.searchsorted(documents_P[order], documents_P[order], side="left")
    rank_P = np.empty(len(order), np.int64)
    rank_P[order] = np.arange(len(order)) - starts
    kept_P = (rank_P < min(SUGGESTED, TOP_CODES)) | predicted_P
    return fit_confidence(scores_P[kept_P], gold_P[kept_P], documents_P[kept_P], VALIDATION)


def _folder(checkpoint: Path) -> Path:
    return RunDir(run_of(checkpoint) or checkpoint).evaluation(VALIDATION)


def _evaluated(checkpoint: Path, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the validation metrics if they are those of this checkpoint."""
    try:
        metrics = json.loads((_folder(checkpoint) / METRICS_JSON).read_text(encoding="utf-8"))
        same = metrics.items() >= checkpoint_identity(manifest).items()
    except (OSError, ValueError, AttributeError):
        return None
    return metrics if same else None
