"""Load a trained model, of either kind, from a run folder or a checkpoint folder."""

import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from icdcli.io.manifest import MANIFEST
from icdcli.model.coding_model import CodingModel
from icdcli.model.files.checkpoint_files import is_tfidf
from icdcli.model.neural_model import NeuralModel
from icdcli.model.tfidf_model import TfidfModel
from icdcli.run_dir import RunDir, find_checkpoint, require_folder


def load_model(
    path: str | Path,
    load: str = "metric",
    device: str = "cpu",
    on_warning: Callable[[str], object] = warnings.warn,
) -> CodingModel:
    """Load a trained model.

    Args:
        path: The folder of a run or of a checkpoint.
        load: The checkpoint of a run: ``metric``, ``loss`` or ``last``.
        device: The torch device that a network computes on; a TF-IDF model always uses the CPU.
        on_warning: Called with a message for each warning, now or when the model is used.

    Raises:
        ConfigError: If there is no such folder, or if the base model can't be loaded.
        ResumeError: If the checkpoint is incomplete or was changed.

    Example:
        >>> model = load_model("outputs/mimic3/automatic_coding")  # doctest: +SKIP
        >>> model.predict(["Chest pain and shortness of breath."])  # doctest: +SKIP
    """
    checkpoint = checkpoint_of(path, load)
    if is_tfidf(checkpoint):
        return TfidfModel.load(checkpoint)
    return NeuralModel.load(checkpoint, torch.device(device), on_warning=on_warning)


def checkpoint_of(path: str | Path, load: str = "metric") -> Path:
    """Return the folder of a run's checkpoint, or the folder itself if it is a checkpoint.

    Raises:
        ConfigError: If there is no such folder.
        ResumeError: If the run has no such checkpoint.
    """
    folder = Path(path)
    require_folder(folder, "no such run or checkpoint folder")
    if (folder / MANIFEST).is_file() or not (folder / "weights").is_dir():
        return folder
    return find_checkpoint(RunDir(folder), load)
