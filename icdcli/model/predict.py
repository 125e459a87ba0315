"""Code notes from Python: text in, codes with titles and scores out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from icdcli.data.batches import collate
from icdcli.data.tokens import encode
from icdcli.errors import ConfigError
from icdcli.model.inputs import Inputs
from icdcli.model.saved import Coder, load_saved


@dataclass(frozen=True, slots=True)
class CodePrediction:
    """A code that a note is given.

    Attributes:
        code: The dotted code.
        title: Its official title, where it has one.
        score: Its probability.
    """

    code: str
    title: str | None
    score: float


def load_coder(path: str | Path, load: str = "metric", device: str = "cpu") -> Coder:
    """Load a trained coder.

    Args:
        path: A run's folder or a checkpoint's.
        load: Which checkpoint of a run: ``metric``, ``loss`` or ``last``.
        device: A torch device.

    Raises:
        ConfigError: When there is no such folder, or the base model can't be had.
        ResumeError: When the checkpoint is incomplete or was changed.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such run or checkpoint folder")
    checkpoint = folder if (folder / "manifest.json").is_file() else folder / "weights" / load
    return load_saved(checkpoint, torch.device(device))


def predict(coder: Coder, texts: Sequence[str], at_once: int = 8) -> list[list[CodePrediction]]:
    """The codes of each text at or above the coder's threshold, highest score first; see `Coder.predict`."""
    ids_of = encode(coder.tokenizer.backend_tokenizer)
    found = []
    for start in range(0, len(texts), at_once):
        framed = [coder.frame.around(ids, coder.config.max_len) for ids in ids_of(list(texts[start : start + at_once]))]
        inputs = Inputs.of(collate(framed, coder.frame.pad, coder.network.padding)).to(coder.device)
        with torch.inference_mode():
            logits_BL = coder.network(*inputs)
        for scores_L in torch.sigmoid(logits_BL).cpu().numpy():
            order = np.argsort(-scores_L, kind="stable")
            kept = order[scores_L[order] >= np.float32(coder.threshold)]
            found.append(
                [CodePrediction(coder.labels.codes[i], coder.labels.titles[i], float(scores_L[i])) for i in kept.tolist()]
            )
    return found
