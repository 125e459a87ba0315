"""How the review page is served: by which names, for whom, and behind which proxy."""

import getpass
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from icdcli.errors import ConfigError
from icdcli.review.users import SESSION_LENGTH

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
"""The names by which a browser on this computer reaches the page."""


@dataclass(frozen=True)
class PageSettings:
    """The settings of a review page.

    Attributes:
        host_names: Further names by which browsers reach the page, as its ``Host``.
        trusted_header: The header in which a proxy gives the name of the user; None: there is none.
        trusted_proxies: The addresses of proxies, or networks, whose headers are believed.
        local_name: The name of the only user if the store has no users; None: that of the system.
        session_length: How long a session lasts.
        reload_files: Read templates, scripts and styles anew for each request, to develop them.
    """

    host_names: Sequence[str] = ()
    trusted_header: str | None = None
    trusted_proxies: Sequence[str] = ()
    local_name: str | None = None
    session_length: timedelta = SESSION_LENGTH
    reload_files: bool = False

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigError: If the header lacks its proxy, or an address can't be read.
        """
        if self.trusted_header and not self.trusted_proxies:
            raise ConfigError(
                f"the header {self.trusted_header} is believed only from a proxy. Give the "
                "proxy's address with --trusted-proxy."
            )
        for address in self.trusted_proxies:
            try:
                ipaddress.ip_network(address, strict=False)
            except ValueError:
                raise ConfigError(
                    f"--trusted-proxy: {address!r} is no address. Give one such as 10.0.0.2, or a "
                    "network such as 10.0.0.0/24."
                ) from None

    def trusts(self, address: str) -> bool:
        """Return whether a request from an address is a trusted proxy's."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in ipaddress.ip_network(one, strict=False) for one in self.trusted_proxies)

    @property
    def local_user(self) -> str:
        """Return the name of the only user of a store without users."""
        if self.local_name:
            return self.local_name
        try:
            return getpass.getuser()
        except (KeyError, OSError):  # an account that the system has no name for
            return "local"
