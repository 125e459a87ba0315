"""The baseline of `model: tfidf` as a coder: the same folder on disk as a neural one's, the same label space and threshold.

In place of weights and a tokenizer a checkpoint holds ``tfidf.npz`` and ``vocabulary.json``. Whoever loads a checkpoint without
knowing what is in it calls `load_trained`.

Shapes: B documents, L labels.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from icdcli import __version__
from icdcli.data.corpus.reader import Labels, read_labels, write_labels
from icdcli.errors import ResumeError
from icdcli.io.manifest import verify
from icdcli.model.checkpoint import NeuralModel, load_saved
from icdcli.model.section import TFIDF, ModelConfig
from icdcli.model.threshold import Threshold

if TYPE_CHECKING:
    from icdcli.lexical.tfidf import Tfidf

FORMAT = 1
_LABELS, _CODER = "labels.parquet", "coder.json"


@dataclass
class TfidfModel:
    """A baseline with what makes codes of its output.

    Attributes:
        words: Texts to logits.
        labels: The label space, in the order of the logits.
        config: What it was made from.
        threshold: The score from which a code counts as predicted.
        text_cleaning: What was done to the texts that it learned from, and is done to those that it codes.
    """

    words: "Tfidf"
    labels: Labels
    config: ModelConfig
    threshold: Threshold
    text_cleaning: str = "none"

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Score documents, as clean as those that it learned from: (B, L)."""
        return self.words.logits(texts)


def save_tfidf(folder: Path, model: TfidfModel) -> None:
    """Write a baseline into an empty folder; `write_manifest` completes it."""
    model.words.save(folder)
    write_labels(folder / _LABELS, model.labels)
    about = {
        "format": FORMAT,
        "icdcode": __version__,
        "model": model.config.model_dump(mode="json"),
        "threshold": model.threshold.to_json(),
        "text_cleaning": model.text_cleaning,
    }
    (folder / _CODER).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def load_trained(folder: Path, device: torch.device) -> NeuralModel | TfidfModel:
    """Read a coder back, whichever it is; see `icdcli.model.checkpoint.load_saved`.

    Args:
        folder: A checkpoint's folder; its manifest is verified first.
        device: Where a network shall compute; a baseline always does on the CPU.

    Raises:
        ResumeError: When the folder is incomplete or was changed.
        ConfigError: When the base model can't be had.
    """
    if not _is_tfidf(folder):
        return load_saved(folder, device)
    verify(folder)
    about = json.loads((folder / _CODER).read_text(encoding="utf-8"))
    if about["format"] != FORMAT:
        raise ResumeError(
            f"{folder}: written by another version of icdcode ({about['icdcode']}); this one is {__version__}"
        )
    from icdcli.lexical.tfidf import (
        Tfidf,  # scikit-learn and scipy, which a network need not wait for
    )

    labels = read_labels(folder / _LABELS)
    threshold = Threshold.from_json(about["threshold"])
    words = Tfidf.load(folder, len(labels))
    return TfidfModel(
        words, labels, ModelConfig(**about["model"]), threshold, about["text_cleaning"]
    )


def _is_tfidf(folder: Path) -> bool:
    try:
        about = json.loads((folder / _CODER).read_text(encoding="utf-8"))
        return bool(about["model"]["model"] == TFIDF)
    except (OSError, ValueError, KeyError, TypeError):
        return False  # whoever loads it as a network says what is wrong
