"""How a network computes: padding and kernels, which change its speed but not its results."""

from dataclasses import dataclass

from icdcli.model.kernels.choice import WantedKernels, choose_kernels
from icdcli.model.network import CodingNetwork
from icdcli.model.packing.probe import WantedPadding, choose_padding


@dataclass(frozen=True)
class Execution:
    """The wanted way to compute.

    Attributes:
        padding: ``padding`` of the configuration.
        kernels: ``kernels`` of the configuration.
    """

    padding: WantedPadding = "auto"
    kernels: WantedKernels = "auto"

    def choose(self, network: CodingNetwork) -> None:
        """Let a network compute as wanted, as far as a trial on a few tokens allows.

        Raises:
            ConfigError: If something is demanded that the network or the device doesn't support.
        """
        choose_padding(network, self.padding)
        choose_kernels(network, self.kernels)


FASTEST = Execution()
"""Whatever is fastest on the device."""
