"""The weights of a network in the files of a checkpoint.

``head.safetensors`` has the weights of the head and of the description prior, and those of the
backbone if they can't be loaded from elsewhere: all of them were trained, or the backbone is
`tiny`. ``backbone/`` then has its architecture and its tokenizer. ``adapter/`` is written by peft.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from icdcli.errors import ResumeError
from icdcli.model.backbone import ADAPTER
from icdcli.model.files.checkpoint_files import ADAPTER_FOLDER, SETTINGS
from icdcli.model.network import CodingNetwork

_HEAD, _ADAPTER_WEIGHTS = "head.safetensors", "adapter_model.safetensors"


def save_weights(folder: Path, network: CodingNetwork, own_backbone: bool, adapter: bool) -> None:
    """Write a network's weights, except those of a base model that can be loaded from elsewhere.

    Args:
        folder: The checkpoint's folder.
        network: The network.
        own_backbone: Whether the backbone's weights belong to the checkpoint.
        adapter: Whether the backbone has an adapter that was trained.
    """
    if adapter:
        from peft import get_peft_model_state_dict

        (folder / ADAPTER_FOLDER).mkdir()
        backbone: Any = network.backbone
        weights = get_peft_model_state_dict(
            backbone, adapter_name=ADAPTER, save_embedding_layers=False
        )
        save_file(
            _on_cpu(weights), folder / ADAPTER_FOLDER / _ADAPTER_WEIGHTS, metadata={"format": "pt"}
        )
    head = _head_weights(network)
    if own_backbone:
        head |= {
            f"backbone.{name}": weight
            for name, weight in _backbone_weights(network.backbone).items()
        }
    save_file(_on_cpu(head), folder / _HEAD, metadata={"format": "pt"})


def load_weights(folder: Path, network: CodingNetwork, own_backbone: bool, adapter: bool) -> None:
    """Load the weights that `save_weights` wrote into a network of the same architecture.

    Raises:
        ResumeError: If the weights can't be read or are those of another network.
    """
    device = str(network.device)
    try:
        head = load_file(folder / _HEAD, device=device)
        expected = _head_weights(network)
        _copy({name: head.pop(name) for name in [*head] if name in expected}, expected, folder)
        if own_backbone:
            expected = _backbone_weights(network.backbone)
            loaded = {name.removeprefix("backbone."): weight for name, weight in head.items()}
            _copy(loaded, expected, folder)
        if adapter:
            from peft import set_peft_model_state_dict

            weights = load_file(folder / ADAPTER_FOLDER / _ADAPTER_WEIGHTS, device=device)
            result: Any = set_peft_model_state_dict(network.backbone, weights, adapter_name=ADAPTER)
            if result.unexpected_keys:
                raise ResumeError(
                    f"{folder / ADAPTER_FOLDER}: the adapter's weights don't fit the base model: "
                    f"{result.unexpected_keys[0]}"
                )
    except (SafetensorError, RuntimeError, FileNotFoundError) as error:
        raise ResumeError(f"{folder}: the weights can't be loaded: {error}") from error


@torch.no_grad()
def _copy(loaded: Mapping[str, Tensor], into: Mapping[str, Tensor], folder: Path) -> None:
    if into.keys() != loaded.keys():
        differing = ", ".join(sorted(into.keys() ^ loaded.keys())[:3])
        raise ResumeError(
            f"{folder / _HEAD}: its weights don't fit the network in {SETTINGS} ({differing})"
        )
    for name, weight in into.items():
        weight.copy_(loaded[name])


def _head_weights(network: CodingNetwork) -> dict[str, Tensor]:
    """Return all weights except the backbone's, by their names in the network."""
    return {
        name: weight
        for name, weight in network.state_dict().items()
        if not name.startswith("backbone.")
    }


def _backbone_weights(backbone: nn.Module) -> dict[str, Tensor]:
    """Return the backbone's own weights by their own names, whether or not peft wraps it."""
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
