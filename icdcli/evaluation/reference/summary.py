"""The summary of a training in its checkpoints, and of an evaluation beside them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icdcli.data.corpus.reader import Corpus
from icdcli.errors import DataError
from icdcli.evaluation.reference.scores import ScoreReference, summarize_scores
from icdcli.evaluation.reference.texts import TextReference, summarize_texts
from icdcli.io.files import write_json, writing
from icdcli.io.manifest import checkpoint_identity
from icdcli.metrics.arrays import Scores
from icdcli.model.coding_model import CodingModel
from icdcli.run_dir import RunDir, run_of

REFERENCE = "reference.json"
"""The file of a summary."""

_FORMAT = 1


@dataclass(frozen=True)
class ReferenceSummary:
    """What incoming notes are compared with.

    Attributes:
        texts: The summary of training texts.
        scores: The summary of the model's scores on documents that it hasn't seen.
    """

    texts: TextReference
    scores: ScoreReference

    def to_json(self) -> dict[str, Any]:
        """Return the content of `REFERENCE`."""
        summaries = {"texts": self.texts.to_json(), "scores": self.scores.to_json()}
        return {"format": _FORMAT, **summaries}


def summarize_training(corpus: Corpus) -> TextReference | None:
    """Return the summary of a corpus's training texts; None: they have no words."""
    documents = corpus.documents("train")
    return summarize_texts(corpus.texts("train"), len(documents), documents.subject_ids)


def read_reference(checkpoint: Path, manifest: Mapping[str, Any]) -> ReferenceSummary | None:
    """Return the summary of a checkpoint, or that of its evaluation on the validation split.

    Args:
        checkpoint: The folder of the checkpoint.
        manifest: The content of its manifest.

    Returns:
        The summary; None: there is none.

    Raises:
        DataError: If it can't be read.
    """
    found = _read(checkpoint / REFERENCE)
    if found is None:
        found = _read(_beside(checkpoint))
        if found is None or found.get("of") != checkpoint_identity(manifest):
            return None
    try:
        texts = TextReference.from_json(found["texts"])
        return ReferenceSummary(texts, ScoreReference.from_json(found["scores"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{checkpoint}: its {REFERENCE} is damaged ({error}). Run `icdcode evaluate RUN_DIR "
            "--split validation` again."
        ) from None


def add_reference(
    checkpoint: Path,
    manifest: Mapping[str, Any],
    corpus: Corpus,
    model: CodingModel,
    scores_NL: Scores,
) -> None:
    """Write the summary that a checkpoint of an earlier version lacks, beside its evaluation.

    Args:
        checkpoint: The folder of the checkpoint.
        manifest: The content of its manifest.
        corpus: The corpus of its run.
        model: The model.
        scores_NL: The scores of the validation split.

    Raises:
        DataError: If the summary can't be written.
    """
    if (checkpoint / REFERENCE).exists() or (texts := summarize_training(corpus)) is None:
        return
    threshold_L = model.threshold.values_L(len(model.labels))
    scores = summarize_scores(scores_NL, threshold_L, model.labels, "validation")
    content = {"of": checkpoint_identity(manifest), **ReferenceSummary(texts, scores).to_json()}
    path = _beside(checkpoint)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, content)


def _beside(checkpoint: Path) -> Path:
    return RunDir(run_of(checkpoint) or checkpoint).evaluation("validation") / REFERENCE


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: can't be read ({error}). Run `icdcode evaluate RUN_DIR --split validation` "
            "again."
        ) from None
    if content.get("format") != _FORMAT:
        raise DataError(f"{path}: was written by another version of icdcode. Update icdcode.")
    return content
