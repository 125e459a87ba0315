"""What is served, where, and how: by which names, for whom, and behind which proxy."""

import getpass
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icdcli.errors import ConfigError
from icdcli.io.progress import Progress
from icdcli.review.users import SESSION_LENGTH

if TYPE_CHECKING:  # which import torch
    from icdcli.model.section import CpuPrecision
    from icdcli.service.coding_service import ServiceSettings

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


@dataclass(frozen=True)
class ServedModel:
    """The model of a server.

    Attributes:
        run: The folder of a run or of a checkpoint.
        load: The checkpoint of a run: ``metric``, ``loss`` or ``last``.
        device: The device, as configured; None: the first GPU, else the CPU.
        cpu_precision: See `icdcli.model.checkpoint.load_model`.
        top: The highest-scored codes that are suggested besides predicted ones.
        accept_others: Whether the store may have suggestions of another label space or edition.
    """

    run: Path
    load: str = "metric"
    device: str | None = None
    cpu_precision: "CpuPrecision | None" = None
    top: int = 10
    accept_others: bool = False


@dataclass(frozen=True)
class ServedNotes:
    """Notes that a server imports before it begins.

    Attributes:
        names: Files, folders or pipes.
        text_column: The column of texts in tables; None: ``text``.
        id_column: The column of ids; None: ``id``.
        date_column: The column of the days of discharge; None: they are unknown.
        language: The language of notes whose table doesn't say it.
    """

    names: Sequence[str] = ()
    text_column: str | None = None
    id_column: str | None = None
    date_column: str | None = None
    language: str | None = None


@dataclass(frozen=True)
class ServerSettings:
    """Where and what a server serves.

    Attributes:
        host: The address to listen at.
        port: The port; 0: any that is free.
        page: Whether it has the review page.
        service: What the coding service allows; None: there is no service.
        jobs: The folder of jobs; None: beside the store.
        double_share: For a new store: the share of notes that two people read.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    page: bool = True
    service: "ServiceSettings | None" = None
    jobs: Path | None = None
    double_share: float | None = None


@dataclass(frozen=True)
class ServerReports:
    """What a server calls to report.

    Attributes:
        message: Receives messages.
        warning: Receives warnings.
        progress: Receives the progress of an import.
        started: Receives what is served where, once it is.
    """

    message: Callable[[str], object]
    warning: Callable[[str], object]
    progress: Progress | None = None
    started: Callable[[dict[str, Any]], object] = field(default=lambda _: None)
