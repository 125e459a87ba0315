"""A trained coder on disk: write, verify, load. All that predicting needs lies in one folder, the base model apart.

``head.safetensors`` holds the head and the prior, and the whole backbone where its weights can't be had again: trained through
and through, or made on the spot (`tiny`). In that case ``backbone/`` holds its architecture and its tokenizer. With adapters,
``adapter/`` is what peft itself writes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from icdcli import __version__
from icdcli.data.batching import Chunks, SpecialTokens
from icdcli.data.corpus.reader import Documents, Labels, read_labels, write_labels
from icdcli.data.token_cache import EncodedDocuments, Tokens
from icdcli.errors import ConfigError, ResumeError
from icdcli.io.manifest import verify
from icdcli.lexical.descriptions import Descriptions
from icdcli.model.backbone import (
    ADAPTER,
    architecture_settings,
    load_backbone,
    new_backbone,
    tiny_config,
)
from icdcli.model.description_states import embed_descriptions
from icdcli.model.fusion import NETWORK, Fusion, probabilities
from icdcli.model.heads.label_attention import LabelAttention
from icdcli.model.hub import TINY, find_pretrained
from icdcli.model.network import CodingNetwork, build_network
from icdcli.model.section import ModelConfig
from icdcli.model.threshold import Threshold
from icdcli.model.tokenizer import chunks_of, load_tokenizer, special_tokens_of, train_tokenizer

if TYPE_CHECKING:
    from icdcli.lexical.lexical_model import Lexical

FORMAT = 2
_HEAD, _LABELS, _CODER, _LEXICAL = "head.safetensors", "labels.parquet", "coder.json", "lexical"


@dataclass
class NeuralModel:
    """A network with what turns text into its input and its output into codes.

    Attributes:
        network: Tokens to logits.
        tokenizer: Text to tokens.
        special_tokens: The special tokens around a document.
        labels: The label space, in the order of the logits.
        config: What the network was built from.
        threshold: The score from which a code counts as predicted.
        own_backbone: Whether the backbone's weights belong to this coder rather than to a base model.
        chunks: How documents beyond the model's window are read; None: there are none.
        lexical: What scores the words alone; None: nothing does.
        fusion: How that and the network's logits become one score; None: as yet not fitted.
        text_cleaning: What was done to the texts that it learned from, and is done to those that it codes.
    """

    network: CodingNetwork
    tokenizer: PreTrainedTokenizerFast
    special_tokens: SpecialTokens
    labels: Labels
    config: ModelConfig
    threshold: Threshold
    own_backbone: bool
    chunks: Chunks | None = None
    lexical: "Lexical | None" = None
    fusion: Fusion | None = None
    text_cleaning: str = "none"

    @property
    def trained_backbone(self) -> bool:
        """Whether training changes the backbone's states."""
        return self.config.lora_activate or not self.config.frozen

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return self.network.device

    def encoded(self, tokens: Tokens, documents: Documents) -> EncodedDocuments:
        """A split's documents as the network reads them."""
        return tokens.of(documents, self.special_tokens, self.config.max_len, self.chunks)

    def fused(self, logits_NL: NDArray[np.float32], texts: Iterable[str]) -> NDArray[np.float32]:
        """Make the network's logits, and what the words alone say, into scores_NL in [0, 1]; overwrites the logits."""
        words = (
            {} if self.lexical is None or self.fusion is None else self.lexical.scores(list(texts))
        )
        return probabilities({NETWORK: logits_NL, **words}, self.fusion)


def tokenizer_for(config: ModelConfig, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """The tokenizer that a new coder reads with; `tiny` trains its own on the training notes."""
    if config.model == TINY:
        return train_tokenizer(texts)
    return load_tokenizer(find_pretrained(config.model))


def new_model(
    config: ModelConfig,
    tokenizer: PreTrainedTokenizerFast,
    labels: Labels,
    threshold: Threshold,
    device: torch.device,
    seed: int,
    descriptions: Descriptions = (),
) -> NeuralModel:
    """A coder to be trained: pretrained backbone (or a new `tiny`), new adapters, new head.

    Args:
        config: What it is made of.
        tokenizer: Its backbone's.
        labels: The label space.
        threshold: The score from which a code counts as predicted.
        device: Where the network shall compute.
        seed: What everything random follows from.
        descriptions: What each label's code means, where the head or the prior starts from that.

    Raises:
        ConfigError: When the configured model can't be loaded or can't do what is asked.
    """
    torch.manual_seed(seed)
    own = config.model == TINY or not config.frozen
    if config.model == TINY:
        backbone = new_backbone(config, tiny_config(tokenizer), device)
    else:
        backbone = load_backbone(config, find_pretrained(config.model), device)
    network = build_network(
        config, backbone, len(labels), [max(len(texts), 1) for texts in descriptions]
    )
    special_tokens = special_tokens_of(tokenizer, config.pooling_mode)
    model = NeuralModel(
        network,
        tokenizer,
        special_tokens,
        labels,
        config,
        threshold,
        own,
        chunks_of(config, backbone.config, special_tokens),
    )
    if descriptions:
        _start_from_descriptions(model, descriptions)
    return model


def _start_from_descriptions(model: NeuralModel, descriptions: Descriptions) -> None:
    network = model.network
    if not any(descriptions):
        key = "description_prior: True" if network.prior is not None else "label_init: descriptions"
        raise ConfigError(
            f"{key}: none of the {len(descriptions)} codes has a title; name their system (code_system: icd9 or icd10), or set "
            "label_init: random and description_prior: False"
        )
    described = embed_descriptions(network, model.tokenizer, model.special_tokens, descriptions)
    if isinstance(network.head, LabelAttention) and model.config.label_init == "descriptions":
        network.head.start_from_descriptions(described.titles_LD, described.known_L)
    if network.prior is not None:
        network.prior.start_from_descriptions(described.vectors_MD)


def save_model(folder: Path, model: NeuralModel) -> None:
    """Write a coder into an empty folder; `write_manifest` completes it."""
    if model.config.lora_activate:
        from peft import get_peft_model_state_dict

        adapter = folder / "adapter"
        adapter.mkdir()
        backbone: Any = model.network.backbone
        weights = get_peft_model_state_dict(
            backbone, adapter_name=ADAPTER, save_embedding_layers=False
        )
        save_file(
            _on_cpu(weights), adapter / "adapter_model.safetensors", metadata={"format": "pt"}
        )
        backbone.peft_config[ADAPTER].save_pretrained(str(adapter))
    head, prior = _own_weights(model.network), model.network.prior
    if model.own_backbone:
        head |= {
            f"backbone.{name}": weight
            for name, weight in _plain_weights(model.network.backbone).items()
        }
        settings: Any = model.network.backbone.config
        settings.save_pretrained(folder / "backbone")
        model.tokenizer.save_pretrained(folder / "backbone")
    save_file(_on_cpu(head), folder / _HEAD, metadata={"format": "pt"})
    write_labels(folder / _LABELS, model.labels)
    about = {
        "format": FORMAT,
        "icdcode": __version__,
        "model": model.config.model_dump(mode="json"),
        "own_backbone": model.own_backbone,
        "threshold": model.threshold.to_json(),
        "frame": asdict(model.special_tokens),
        "descriptions": None if prior is None else prior.counts,
        "fusion": None if model.fusion is None else model.fusion.to_json(),
        "lexical": model.lexical is not None,
        "text_cleaning": model.text_cleaning,
        "chunks": None if model.chunks is None else asdict(model.chunks),
    }
    if model.lexical is not None:
        (folder / _LEXICAL).mkdir()
        model.lexical.save(folder / _LEXICAL)
    (folder / _CODER).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def load_saved(folder: Path, device: torch.device, trainable: bool = False) -> NeuralModel:
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
        raise ResumeError(
            f"{folder}: written by another version of icdcode ({about['icdcode']}); this one is {__version__}"
        )
    config = ModelConfig(**about["model"])
    labels = read_labels(folder / _LABELS)
    if about["own_backbone"]:
        backbone = new_backbone(config, architecture_settings(folder / "backbone"), device)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "backbone")
    else:
        try:
            source = find_pretrained(config.model)
            backbone, tokenizer = load_backbone(config, source, device), load_tokenizer(source)
        except ConfigError as error:
            raise ConfigError(f"{folder}: its base model is needed to load it. {error}") from error
    network = build_network(config, backbone, len(labels), about["descriptions"])
    _load_weights(network, folder, about["own_backbone"], config.lora_activate)
    special_tokens = SpecialTokens(
        tuple(about["frame"]["prefix"]), tuple(about["frame"]["suffix"]), about["frame"]["pad"]
    )
    chunks = None if about["chunks"] is None else Chunks(**about["chunks"])
    if not trainable:
        network.requires_grad_(False)
    lexical = None
    if about["lexical"]:
        from icdcli.lexical.lexical_model import (
            Lexical,  # scikit-learn and scipy, which most coders need not wait for
        )

        lexical = Lexical.load(folder / _LEXICAL, len(labels))
    fusion = Fusion.from_json(about["fusion"])
    own, threshold = about["own_backbone"], Threshold.from_json(about["threshold"])
    return NeuralModel(
        network.eval(),
        tokenizer,
        special_tokens,
        labels,
        config,
        threshold,
        own,
        chunks,
        lexical,
        fusion,
        about["text_cleaning"],
    )


def _load_weights(network: CodingNetwork, folder: Path, own_backbone: bool, adapter: bool) -> None:
    device = str(network.device)
    try:
        head = load_file(folder / _HEAD, device=device)
        expected = _own_weights(network)
        _copy({name: head.pop(name) for name in [*head] if name in expected}, expected, folder)
        if own_backbone:
            expected = _plain_weights(network.backbone)
            loaded = {name.removeprefix("backbone."): weight for name, weight in head.items()}
            _copy(loaded, expected, folder)
        if adapter:
            from peft import set_peft_model_state_dict

            weights = load_file(folder / "adapter" / "adapter_model.safetensors", device=device)
            result: Any = set_peft_model_state_dict(network.backbone, weights, adapter_name=ADAPTER)
            if result.unexpected_keys:
                raise ResumeError(
                    f"{folder / 'adapter'}: its weights do not fit the base model: {result.unexpected_keys[0]}"
                )
    except (SafetensorError, RuntimeError, FileNotFoundError) as error:
        raise ResumeError(f"{folder}: its weights can't be loaded: {error}") from error


@torch.no_grad()
def _copy(loaded: Mapping[str, Tensor], into: Mapping[str, Tensor], folder: Path) -> None:
    if into.keys() != loaded.keys():
        odd = ", ".join(sorted(into.keys() ^ loaded.keys())[:3])
        raise ResumeError(f"{folder / _HEAD}: its weights are not those of {_CODER} ({odd})")
    for name, weight in into.items():
        weight.copy_(loaded[name])


def _own_weights(network: CodingNetwork) -> dict[str, Tensor]:
    """Everything but the backbone, under the names that it has in the network."""
    return {
        name: weight
        for name, weight in network.state_dict().items()
        if not name.startswith("backbone.")
    }


def _plain_weights(backbone: nn.Module) -> dict[str, Tensor]:
    """The backbone's own weights under their own names, whether or not peft has wrapped it."""
    if not hasattr(backbone, "peft_config"):
        return dict(backbone.state_dict())
    wrapped: Any = backbone
    weights = wrapped.get_base_model().state_dict()
    return {
        name.replace(".base_layer.", "."): weight
        for name, weight in weights.items()
        if ".lora_" not in name
    }


def _on_cpu(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}
