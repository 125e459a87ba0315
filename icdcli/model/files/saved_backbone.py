"""Load the parts of a checkpoint: its backbone, or that of its base model; its lexical model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from icdcli.light_transformers import postponed
from icdcli.model.backbone import architecture_settings, load_backbone, new_backbone
from icdcli.model.files.base_identity import BaseIdentity, find_base, naming_checkpoint
from icdcli.model.files.checkpoint_files import BACKBONE
from icdcli.model.section import ModelConfig
from icdcli.model.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from icdcli.lexical.lexical_model import LexicalModel


@dataclass(frozen=True)
class SavedBackbone:
    """The backbone of a checkpoint.

    Attributes:
        network: The backbone; if its weights belong to the checkpoint, they are still random.
        tokenizer: Its tokenizer.
        base: The base model, if the checkpoint has or needs one.
    """

    network: nn.Module
    tokenizer: PreTrainedTokenizerFast
    base: BaseIdentity | None


def load_saved_backbone(
    folder: Path,
    settings: Mapping[str, Any],
    config: ModelConfig,
    device: torch.device,
    shared: nn.Module | None = None,
) -> SavedBackbone:
    """Load a checkpoint's backbone and tokenizer; the base model is recognized by its files.

    Args:
        folder: The checkpoint's folder.
        settings: The checkpoint's settings.
        config: The model section of the configuration.
        device: The device that the network computes on.
        shared: The base model that another network has loaded; None: load it.

    Raises:
        ConfigError: If the base model is needed and can't be loaded.
        ResumeError: If the base model isn't the one of the training.
    """
    base = find_base(folder, settings)
    if settings["own_backbone"]:
        backbone = new_backbone(config, architecture_settings(folder / BACKBONE), device)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / BACKBONE)
        return SavedBackbone(backbone, tokenizer, base)
    assert base is not None
    with naming_checkpoint(folder):
        backbone = load_backbone(config, base.source, device) if shared is None else shared
        tokenizer = load_tokenizer(base.source)
    base.check(folder)  # again: files from the hub are on this machine only now
    return SavedBackbone(backbone, tokenizer, base)


def saved_lexical(folder: Path, labels: int) -> "LexicalModel":
    """Load the lexical model of a checkpoint from its folder."""
    # SciPy takes a moment to import, and many models have no lexical part. It would also import
    # a compiler of Fortran, because it copies all names of numpy.
    with postponed(["numpy.f2py"]):
        from icdcli.lexical.lexical_model import LexicalModel

    return LexicalModel.load(folder, labels)
