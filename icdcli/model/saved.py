"""A trained coder on disk: write, verify, load. All that predicting needs lies in one folder, the base model apart.

``head.safetensors`` holds the output layer, and the whole backbone where its weights can't be had again: trained through and
through, or made on the spot (`tiny`). In that case ``backbone/`` holds its architecture and its tokenizer. With adapters,
``adapter/`` is what peft itself writes.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from icdcli import __version__
from icdcli.config import ModelConfig
from icdcli.data.batches import Frame
from icdcli.data.corpus import Labels, read_labels, write_labels
from icdcli.errors import ConfigError, ResumeError
from icdcli.model.backbone import ADAPTER, architecture_settings, load_backbone, new_backbone, tiny_config
from icdcli.model.coder import CoderNetwork, build_network
from icdcli.model.source import TINY, find_source
from icdcli.model.tokenizer import frame_of, load_tokenizer, train_tokenizer

if TYPE_CHECKING:
    from icdcli.model.predict import CodePrediction

FORMAT = 1
_HEAD, _LABELS, _CODER, _MANIFEST = "head.safetensors", "labels.parquet", "coder.json", "manifest.json"


@dataclass
class Coder:
    """A network with what turns text into its input and its output into codes.

    Attributes:
        network: Tokens to logits.
        tokenizer: Text to tokens.
        frame: The special tokens around a document.
        labels: The label space, in the order of the logits.
        config: What the network was built from.
        threshold: The score from which a code counts as predicted.
        own_backbone: Whether the backbone's weights belong to this coder rather than to a base model.
    """

    network: CoderNetwork
    tokenizer: PreTrainedTokenizerFast
    frame: Frame
    labels: Labels
    config: ModelConfig
    threshold: float
    own_backbone: bool

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return self.network.output.weight.device

    def predict(self, texts: Sequence[str]) -> list[list["CodePrediction"]]:
        """Code notes.

        Args:
            texts: The notes; what goes beyond ``max_len`` tokens is not read.

        Returns:
            For each note, its codes with titles and scores at or above the threshold, highest score first.
        """
        from icdcli.model.predict import predict

        return predict(self, texts)


def tokenizer_for(config: ModelConfig, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """The tokenizer that a new coder reads with; `tiny` trains its own on the training notes."""
    if config.model == TINY:
        return train_tokenizer(texts)
    return load_tokenizer(find_source(config.model))


def new_coder(
    config: ModelConfig,
    tokenizer: PreTrainedTokenizerFast,
    labels: Labels,
    threshold: float,
    device: torch.device,
    seed: int,
) -> Coder:
    """A coder to be trained: pretrained backbone (or a new `tiny`), new adapters, new output layer.

    Raises:
        ConfigError: When the configured model can't be loaded or can't do what is asked.
    """
    torch.manual_seed(seed)
    own = config.model == TINY or not config.frozen
    if config.model == TINY:
        backbone = new_backbone(config, tiny_config(tokenizer), device)
    else:
        backbone = load_backbone(config, find_source(config.model), device)
    network = build_network(config, backbone, len(labels))
    return Coder(network, tokenizer, frame_of(tokenizer, config.pooling_mode), labels, config, threshold, own)


def save_coder(folder: Path, coder: Coder) -> None:
    """Write a coder into an empty folder; `write_manifest` completes it."""
    if coder.config.lora_activate:
        from peft import get_peft_model_state_dict

        adapter = folder / "adapter"
        adapter.mkdir()
        model: Any = coder.network.backbone
        weights = get_peft_model_state_dict(model, adapter_name=ADAPTER, save_embedding_layers=False)
        save_file(_on_cpu(weights), adapter / "adapter_model.safetensors", metadata={"format": "pt"})
        model.peft_config[ADAPTER].save_pretrained(str(adapter))
    head = {f"output.{name}": weight for name, weight in coder.network.output.state_dict().items()}
    if coder.own_backbone:
        head |= {f"backbone.{name}": weight for name, weight in _plain_weights(coder.network.backbone).items()}
        settings: Any = coder.network.backbone.config
        settings.save_pretrained(folder / "backbone")
        coder.tokenizer.save_pretrained(folder / "backbone")
    save_file(_on_cpu(head), folder / _HEAD, metadata={"format": "pt"})
    write_labels(folder / _LABELS, coder.labels)
    about = {
        "format": FORMAT,
        "icdcode": __version__,
        "model": coder.config.model_dump(mode="json"),
        "own_backbone": coder.own_backbone,
        "threshold": coder.threshold,
        "frame": asdict(coder.frame),
    }
    (folder / _CODER).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def load_saved(folder: Path, device: torch.device, trainable: bool = False) -> Coder:
    """Read a coder back; the same scores as before it was written.

    Args:
        folder: A checkpoint's folder; its manifest is verified first.
        device: Where the network shall compute.
        trainable: Whether training goes on; else nothing wants a gradient.

    Raises:
        ResumeError: When the folder is incomplete or was changed.
        ConfigError: When the base model can't be had.
    """
    verify(folder)
    about = json.loads((folder / _CODER).read_text(encoding="utf-8"))
    if about["format"] != FORMAT:
        raise ResumeError(f"{folder}: written by another version of icdcode ({about['icdcode']}); this one is {__version__}")
    config = ModelConfig(**about["model"])
    labels = read_labels(folder / _LABELS)
    if about["own_backbone"]:
        backbone = new_backbone(config, architecture_settings(folder / "backbone"), device)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "backbone")
    else:
        try:
            source = find_source(config.model)
            backbone, tokenizer = load_backbone(config, source, device), load_tokenizer(source)
        except ConfigError as error:
            raise ConfigError(f"{folder}: its base model is needed to load it. {error}") from error
    network = build_network(config, backbone, len(labels))
    _load_weights(network, folder, about["own_backbone"], config.lora_activate)
    frame = Frame(tuple(about["frame"]["prefix"]), tuple(about["frame"]["suffix"]), about["frame"]["pad"])
    if not trainable:
        network.requires_grad_(False)
    return Coder(network.eval(), tokenizer, frame, labels, config, about["threshold"], about["own_backbone"])


def _load_weights(network: CoderNetwork, folder: Path, own_backbone: bool, adapter: bool) -> None:
    device = str(network.output.weight.device)
    try:
        head = load_file(folder / _HEAD, device=device)
        network.output.load_state_dict(
            {name.removeprefix("output."): head.pop(name) for name in [*head] if name.startswith("output.")}
        )
        if own_backbone:
            expected = _plain_weights(network.backbone)
            loaded = {name.removeprefix("backbone."): weight for name, weight in head.items()}
            if expected.keys() != loaded.keys():
                raise ResumeError(f"{folder / _HEAD}: its weights are not those of {folder / 'backbone'}")
            with torch.no_grad():
                for name, weight in expected.items():
                    weight.copy_(loaded[name])
        if adapter:
            from peft import set_peft_model_state_dict

            weights = load_file(folder / "adapter" / "adapter_model.safetensors", device=device)
            result: Any = set_peft_model_state_dict(network.backbone, weights, adapter_name=ADAPTER)
            if result.unexpected_keys:
                raise ResumeError(f"{folder / 'adapter'}: its weights do not fit the base model: {result.unexpected_keys[0]}")
    except (SafetensorError, RuntimeError, FileNotFoundError) as error:
        raise ResumeError(f"{folder}: its weights can't be loaded: {error}") from error


def _plain_weights(backbone: nn.Module) -> dict[str, Tensor]:
    """The backbone's own weights under their own names, whether or not peft has wrapped it."""
    if not hasattr(backbone, "peft_config"):
        return dict(backbone.state_dict())
    wrapped: Any = backbone
    weights = wrapped.get_base_model().state_dict()
    return {name.replace(".base_layer.", "."): weight for name, weight in weights.items() if ".lora_" not in name}


def _on_cpu(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}


def write_manifest(folder: Path, about: Mapping[str, Any]) -> None:
    """Note every file's sha256, so that a broken or changed one is found; ``about`` is kept beside them."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / _MANIFEST]
    files = {path.relative_to(folder).as_posix(): _sha256(path) for path in paths}
    (folder / _MANIFEST).write_text(json.dumps({**about, "files": files}, indent=2) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """A checkpoint's manifest, taken at its word.

    Raises:
        ResumeError: When it is missing or can't be read.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ResumeError(f"{folder}: holds no checkpoint (no {_MANIFEST})") from None
    except ValueError as error:
        raise ResumeError(f"{folder / _MANIFEST}: can't be read: {error}") from None
    return manifest


def verify(folder: Path) -> dict[str, Any]:
    """Compare a checkpoint with its manifest, and return the manifest.

    Raises:
        ResumeError: When it is missing, a file of it is, or one was changed.
    """
    manifest = read_manifest(folder)
    for name, digest in manifest["files"].items():
        if not (folder / name).is_file():
            raise ResumeError(f"{folder}: the checkpoint is incomplete: {name} is missing")
        if _sha256(folder / name) != digest:
            raise ResumeError(f"{folder / name}: was changed or is broken (its sha256 is not the manifest's)")
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
