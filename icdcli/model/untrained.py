"""The backbone as it was before our training, which the description prior goes by: its states never move."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from icdcli.model.backbone import ADAPTER, load_backbone
from icdcli.model.hub import find_pretrained
from icdcli.model.network import CodingNetwork
from icdcli.model.packing import choose_padding

if TYPE_CHECKING:
    from icdcli.model.checkpoint import NeuralModel


@contextmanager
def untrained(model: "NeuralModel", fresh: bool = False) -> Iterator[CodingNetwork]:
    """A network whose `states` are those of the backbone before training.

    That is the coder's own where the backbone is frozen, or once our adapters are off; else the base model is loaded again.

    Args:
        model: Its network is as it was afterwards.
        fresh: Whether no step has changed the backbone.

    Raises:
        ConfigError: When the base model is needed and can't be had.
    """
    network = model.network
    if fresh or not model.trained_backbone:
        yield network
    elif not model.own_backbone:
        with _without_adapter(network.backbone):
            yield network
    else:
        frozen = model.config.model_copy(update={"lora_activate": False, "freeze_backbone": True})
        original = CodingNetwork(
            load_backbone(frozen, find_pretrained(frozen.model), network.device), network.head
        )
        original.autocast = network.autocast
        choose_padding(original, "auto")
        yield original


@contextmanager
def _without_adapter(backbone: Any) -> Iterator[None]:
    """Switch our adapter off, and leave pretrained ones on."""
    pretrained = [name for name in backbone.peft_config if name != ADAPTER]
    if not pretrained:
        with backbone.disable_adapter():
            yield
        return
    wanted = {name: weight.requires_grad for name, weight in backbone.named_parameters()}
    active = list(backbone.active_adapters)
    backbone.base_model.set_adapter(pretrained)
    try:
        yield
    finally:
        backbone.base_model.set_adapter(active)
        for name, weight in backbone.named_parameters():
            weight.requires_grad_(wanted[name])
