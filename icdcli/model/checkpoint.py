"""Load a trained model, of any kind, from a run folder or a checkpoint folder."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from icdcli.checkpoint_path import checkpoint_of
from icdcli.errors import ResumeError
from icdcli.garbage import paused_collection
from icdcli.io.manifest import MANIFEST, read_manifest
from icdcli.model.coding_model import CodingModel
from icdcli.model.ensemble.references import is_ensemble
from icdcli.model.files.checkpoint_files import is_tfidf
from icdcli.model.section import CpuPrecision
from icdcli.model.tfidf_model import TfidfModel

_ATTEMPTS = 10
Read = TypeVar("Read")


def load_model(
    path: str | Path,
    load: str = "metric",
    device: str = "cpu",
    on_warning: Callable[[str], object] = warnings.warn,
    cpu_precision: CpuPrecision | None = None,
) -> CodingModel:
    """Load a trained model.

    Args:
        path: The folder of a run or of a checkpoint.
        load: The checkpoint of a run: ``metric``, ``loss`` or ``last``.
        device: The torch device that a network computes on; a TF-IDF model always uses the CPU.
        on_warning: Called with a message for each warning, now or when the model is used.
        cpu_precision: The precision that a network with ``bit: 32`` computes in on a CPU:
            ``float32``, ``bfloat16`` or ``auto``; None: that of the training.

    Raises:
        ConfigError: If there is no such folder, or if the base model can't be loaded.
        ResumeError: If the checkpoint is incomplete or was changed.

    Example:
        >>> model = load_model("outputs/mimic3/automatic_coding")  # doctest: +SKIP
        >>> model.predict(["Chest pain and shortness of breath."])  # doctest: +SKIP
    """
    return load_checkpoint(path, load, device, on_warning, cpu_precision).model


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A checkpoint in memory; training may replace its folder meanwhile.

    Attributes:
        folder: The folder that it was loaded from.
        manifest: The content of its manifest.
        model: The model.
    """

    folder: Path
    manifest: Mapping[str, Any]
    model: CodingModel


def load_checkpoint(
    path: str | Path,
    load: str = "metric",
    device: str = "cpu",
    on_warning: Callable[[str], object] = warnings.warn,
    cpu_precision: CpuPrecision | None = None,
) -> LoadedCheckpoint:
    """Load a trained model together with what its manifest says; see `load_model`."""

    def read(folder: Path) -> tuple[dict[str, Any], CodingModel]:
        if is_tfidf(folder):
            return read_manifest(folder), TfidfModel.load(folder)
        # PyTorch takes seconds to import, and a TF-IDF model doesn't need it.
        import torch

        from icdcli.model.ensemble.loading import Loading, load_ensemble

        loading = Loading(torch.device(device), on_warning, cpu_precision)
        if is_ensemble(folder):
            return read_manifest(folder), load_ensemble(folder, loading)
        return read_manifest(folder), loading.one(folder)

    with paused_collection():
        folder, (manifest, model) = read_checkpoint(path, load, read)
    return LoadedCheckpoint(folder, manifest, model)


def read_checkpoint(path: str | Path, load: str, read: Callable[[Path], Read]) -> tuple[Path, Read]:
    """Read files of one checkpoint, all of the same step, while training may replace it.

    Training makes a name refer to a new folder and then removes the old one. If that happens while
    the old one is read, the new one is read from the start.

    Args:
        path: The folder of a run or of a checkpoint.
        load: The checkpoint of a run: ``metric``, ``loss`` or ``last``.
        read: Reads from the checkpoint's folder.

    Returns:
        The folder, and what `read` returned.

    Raises:
        ConfigError: If there is no such folder.
        ResumeError: If the run has no such checkpoint, or it is replaced again and again.
    """
    for _ in range(_ATTEMPTS):
        folder = checkpoint_of(path, load)
        before = _manifest_bytes(folder)
        try:
            result = read(folder)
        except Exception:  # each library has its own for files that vanish while it reads them
            if before == _manifest_bytes(folder):
                raise  # it is the same checkpoint: the problem is its own
            continue
        if before == _manifest_bytes(folder):
            return folder, result
    raise ResumeError(
        f"{path}: training replaces the checkpoint faster than it can be read. Copy the folder of "
        "the checkpoint, or wait for the end of the training"
    )


def _manifest_bytes(folder: Path) -> bytes:
    try:
        return (folder / MANIFEST).read_bytes()
    except OSError:
        return b""
