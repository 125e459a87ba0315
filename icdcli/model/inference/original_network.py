"""The network with the backbone as it was before training."""

from collections.abc import Iterator
from contextlib import contextmanager

from icdcli.model.backbone import load_backbone, without_adapter
from icdcli.model.execution import FASTEST
from icdcli.model.files.base_identity import BaseIdentity
from icdcli.model.hub import find_pretrained
from icdcli.model.network import CodingNetwork
from icdcli.model.section import ModelConfig


@contextmanager
def untrained_network(
    network: CodingNetwork, config: ModelConfig, base: BaseIdentity | None, own_backbone: bool
) -> Iterator[CodingNetwork]:
    """Yield a network whose hidden states are those of a trained backbone before training.

    It is the network itself with our adapters switched off, or the base model is loaded again.

    Args:
        network: The network.
        config: The model section of the configuration.
        base: The base model; None: the one that the configuration names.
        own_backbone: Whether the backbone's weights are this model's, not a base model's.

    Raises:
        ConfigError: If the base model is needed and can't be loaded.
    """
    if own_backbone:
        yield original_network(network, config, base)
        return
    with without_adapter(network.backbone):
        yield network


def original_network(
    network: CodingNetwork, config: ModelConfig, base: BaseIdentity | None
) -> CodingNetwork:
    """Load the base model of a network whose backbone is trained, for its hidden states.

    Args:
        network: The network.
        config: The model section of the configuration.
        base: The base model; None: the one that the configuration names.

    Raises:
        ConfigError: If the base model can't be loaded.
    """
    frozen = config.model_copy(update={"lora_activate": False, "freeze_backbone": True})
    source = base.source if base else find_pretrained(config.model)
    original = CodingNetwork(load_backbone(frozen, source, network.device), network.head)
    original.autocast, original.on_warning = network.autocast, network.on_warning
    original.pass_limit = network.pass_limit
    FASTEST.choose(original)
    return original
