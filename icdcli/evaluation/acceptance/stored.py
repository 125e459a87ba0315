"""The acceptance table of a checkpoint, and the score that it has for a precision."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from icdcli.errors import ConfigError
from icdcli.evaluation.stored_confidence import VALIDATION, stored_confidence, stored_pairs
from icdcli.io.manifest import read_manifest
from icdcli.metrics.acceptance import (
    FEWEST,
    PRECISIONS,
    AcceptanceTable,
    PredictedPairs,
    fit_acceptance,
)
from icdcli.metrics.confidence import Confidence


def checkpoint_acceptance(checkpoint: Path, manifest: Mapping[str, Any]) -> AcceptanceTable | None:
    """Return the acceptance table of a checkpoint.

    It is in the manifest, as training chose it; otherwise it is chosen from the predictions that
    ``icdcode evaluate --split validation`` wrote.

    Args:
        checkpoint: The folder of the checkpoint.
        manifest: The content of its manifest.

    Returns:
        The table; None: this checkpoint has none and wasn't evaluated on the validation split, or
        it predicts too few codes there.

    Raises:
        DataError: If the predictions can't be read.
    """
    if (stored := manifest.get("acceptance")) is not None:
        return AcceptanceTable.from_json(stored)
    pairs = stored_pairs(checkpoint, manifest)
    if pairs is None:
        return None
    chosen_P = pairs.predicted_P
    predicted = PredictedPairs.of(
        pairs.scores_P[chosen_P],
        pairs.gold_P[chosen_P],
        pairs.documents_P[chosen_P],
        pairs.documents,
    )
    return fit_acceptance(predicted, VALIDATION)


def stored_decisions(
    checkpoint: Path, manifest: Mapping[str, Any]
) -> tuple[AcceptanceTable | None, Confidence | None]:
    """Return the acceptance table and the confidence of a checkpoint, each None if it has none.

    Args:
        checkpoint: The folder of the checkpoint.
        manifest: The content of its manifest.

    Raises:
        DataError: If the predictions of an earlier evaluation can't be read.
    """
    confidence = Confidence.from_json(manifest.get("confidence"))
    return (
        checkpoint_acceptance(checkpoint, manifest),
        confidence or stored_confidence(checkpoint, manifest),
    )


def require_precision(precision: float) -> None:
    """Raise an error if acceptance tables have no such precision.

    Args:
        precision: The value of ``--accept-at``.

    Raises:
        ConfigError: If so.
    """
    if not 0 < precision < 1:
        raise ConfigError(
            f"--accept-at {precision:g}: isn't a precision. Pass a share between 0 and 1, such as "
            ".95."
        )
    if all(abs(precision - known) > 1e-9 for known in PRECISIONS):
        raise ConfigError(
            f"--accept-at {precision:g}: acceptance tables have scores for the precisions "
            f"{PRECISIONS[0]:.2f}, {PRECISIONS[1]:.2f} … {PRECISIONS[-1]:.2f}. Choose one of them."
        )


def accept_score(checkpoint: Path, precision: float) -> float:
    """Return the lowest score from which a checkpoint's codes are accepted.

    Args:
        checkpoint: The folder of the checkpoint.
        precision: The precision, one of `PRECISIONS`.

    Raises:
        ConfigError: If the checkpoint has no acceptance table, or no score reaches the precision.
        DataError: If its predictions can't be read.
        ResumeError: If the folder is no checkpoint.
    """
    require_precision(precision)
    option, manifest = f"--accept-at {precision:g}", read_manifest(checkpoint)
    table = checkpoint_acceptance(checkpoint, manifest)
    if table is None:
        if "acceptance" in manifest or stored_pairs(checkpoint, manifest) is not None:
            raise ConfigError(
                f"{option}: {checkpoint} predicts fewer than {FEWEST} codes on the validation "
                "split, too few for an acceptance table. Validate on more documents."
            )
        raise ConfigError(
            f"{option}: {checkpoint} has no acceptance table. Run "
            "`icdcode evaluate RUN_DIR --split validation` first, and pass the run's folder."
        )
    row = table.row(precision)
    if row is None or row.score is None:
        reached = [one.precision for one in table.rows if one.score is not None]
        advice = (
            f"The highest precision that it can reach is {max(reached):.2f}."
            if reached
            else "It reaches no other precision either: review all codes."
        )
        raise ConfigError(
            f"{option}: no score of {checkpoint} reaches this precision on {table.documents:,} "
            f"documents ({table.fitted_on}). {advice}"
        )
    return row.score
