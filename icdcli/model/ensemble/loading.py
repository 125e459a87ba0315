"""Load the members of an ensemble, and a backbone that some of them share only once."""

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from icdcli.errors import ResumeError
from icdcli.model.coding_model import CodingModel
from icdcli.model.ensemble.ensemble_model import EnsembleModel
from icdcli.model.ensemble.member import Member, neutral_logits
from icdcli.model.ensemble.references import MemberReference, is_ensemble, read_references
from icdcli.model.execution import FASTEST, Execution, SharedBackbone
from icdcli.model.files.base_identity import BaseIdentity
from icdcli.model.files.checkpoint_files import is_tfidf, peek_settings
from icdcli.model.files.checkpoint_labels import checkpoint_labels
from icdcli.model.fusion import Fusion
from icdcli.model.inference.kept_states import KeptStates
from icdcli.model.network import CodingNetwork
from icdcli.model.neural_model import NeuralModel
from icdcli.model.precision import saved_config
from icdcli.model.section import CpuPrecision, ModelConfig
from icdcli.model.tfidf_model import TfidfModel
from icdcli.model.threshold import Threshold

Warn = Callable[[str], object]


@dataclass
class Loading:
    """How models are loaded, and the networks that were loaded so far.

    Attributes:
        device: The device that networks compute on.
        on_warning: Receives warnings.
        cpu_precision: The precision of a 32-bit network on a CPU; None: that of its training.
        networks: Those whose backbone another network can share, by all that its hidden states
            depend on.
    """

    device: torch.device
    on_warning: Warn = warnings.warn
    cpu_precision: CpuPrecision | None = None
    networks: dict[str, CodingNetwork] = field(default_factory=dict)

    def one(self, folder: Path) -> CodingModel:
        """Load a checkpoint that isn't an ensemble.

        Raises:
            ConfigError: If its base model can't be loaded.
            ResumeError: If it is incomplete or was changed.
        """
        if is_tfidf(folder):
            return TfidfModel.load(folder)
        key = self._backbone(folder)
        execution: Execution = FASTEST
        if key is not None and key in self.networks:
            execution = SharedBackbone(other=self.networks[key])
        model = NeuralModel.load(
            folder,
            self.device,
            execution=execution,
            on_warning=self.on_warning,
            cpu_precision=self.cpu_precision,
        )
        if key is not None:
            self._share(self.networks.setdefault(key, model.network), model.network)
        return model

    @property
    def kept(self) -> list[KeptStates]:
        """Return the hidden states that several networks have in common."""
        return [one.kept for one in self.networks.values() if one.kept is not None]

    def _share(self, first: CodingNetwork, network: CodingNetwork) -> None:
        if first is not network:
            first.kept = network.kept = first.kept or KeptStates()

    def _backbone(self, folder: Path) -> str | None:
        """Return all that the hidden states of a checkpoint's backbone depend on, as text.

        It is None if the backbone belongs to the checkpoint, or was changed by training.
        """
        settings = peek_settings(folder)
        base = BaseIdentity.from_json(settings.get("base"))
        if base is None or settings.get("own_backbone", True):
            return None
        config = saved_config(settings["model"], self.device, self.cpu_precision, lambda _: None)
        if config.lora_activate or not config.frozen:
            return None
        # By its files, not by its place: an exported ensemble has a copy beside each member.
        files = [sorted(part.files.items()) for part in base.parts]
        if not all(files):
            return None
        return json.dumps([files, config.bit, config.attention, config.cpu_precision])


def load_ensemble(folder: Path, loading: Loading) -> EnsembleModel:
    """Load the checkpoint of an ensemble with its members.

    Raises:
        ConfigError: If the base model of a member can't be loaded.
        ResumeError: If the checkpoint or a member is missing, incomplete, or was changed.
    """
    settings, references = read_references(folder)
    labels = checkpoint_labels(folder)
    members = load_members(references, loading)
    neutral_L = neutral_logits(labels, settings["documents"])
    return EnsembleModel(
        [
            Member(one.name, model, labels, neutral_L, one.calibration)
            for one, model in zip(references, members, strict=True)
        ],
        labels,
        ModelConfig(**settings["model"]),
        Threshold.from_json(settings["threshold"]),
        Fusion.from_json(settings["fusion"]),
        settings["documents"],
        settings["text_cleaning"],
        references,
        loading.kept,
    )


def load_members(references: Sequence[MemberReference], loading: Loading) -> list[CodingModel]:
    """Load the members of an ensemble.

    Raises:
        ConfigError: If the base model of a member can't be loaded.
        ResumeError: If a member is an ensemble itself, incomplete, or was changed.
    """
    models = []
    for one in references:
        if is_ensemble(one.folder):
            raise ResumeError(f"{one.folder}: is an ensemble, which can't be a member of another.")
        models.append(loading.one(one.folder))
    return models
