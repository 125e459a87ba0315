"""How a network computes: padding and kernels, which change its speed but not its results."""

from dataclasses import dataclass

from torch import nn

from icdcli.model.kernels.choice import WantedKernels, choose_kernels
from icdcli.model.network import CodingNetwork
from icdcli.model.packing.probe import WantedPadding, choose_padding


@dataclass(frozen=True)
class Execution:
    """The wanted way to compute; `SharedBackbone` is another one.

    Attributes:
        padding: ``padding`` of the configuration.
        kernels: ``kernels`` of the configuration.
    """

    padding: WantedPadding = "auto"
    kernels: WantedKernels = "auto"

    @property
    def shared(self) -> nn.Module | None:
        """Return the backbone that a network shares with another one; None: it loads its own."""
        return None

    def choose(self, network: CodingNetwork) -> None:
        """Let a network compute as wanted, as far as a trial on a few tokens allows.

        Raises:
            ConfigError: If something is demanded that the network or the device doesn't support.
        """
        choose_padding(network, self.padding)
        choose_kernels(network, self.kernels)


@dataclass(frozen=True)
class SharedBackbone(Execution):
    """The way another network computes, with the backbone of that network.

    Attributes:
        other: The network that was loaded before.
    """

    other: CodingNetwork | None = None

    @property
    def shared(self) -> nn.Module | None:
        """Return the backbone of the other network."""
        return None if self.other is None else self.other.backbone

    def choose(self, network: CodingNetwork) -> None:
        """Let a network compute as the other one does, whose trials hold for the same backbone."""
        other = self.other
        assert other is not None
        network.packed, network.without_padding = other.packed, other.without_padding
        network.rotary, network.fused = other.rotary, other.fused
        network.pass_limit = other.pass_limit


FASTEST = Execution()
"""Whatever is fastest on the device."""
