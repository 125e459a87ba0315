"""The network with the backbone as it was before training, loaded again."""

from icdcli.model.backbone import load_backbone
from icdcli.model.files.base_identity import BaseIdentity
from icdcli.model.hub import find_pretrained
from icdcli.model.network import CodingNetwork
from icdcli.model.packing.probe import choose_padding
from icdcli.model.section import ModelConfig


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
    choose_padding(original, "auto")
    return original
