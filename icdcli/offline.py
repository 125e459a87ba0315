"""Work without a network: ``icdcode --offline``, ``ICDCODE_OFFLINE=1`` or ``HF_HUB_OFFLINE=1``.

With any of them nothing is downloaded. The first two also forbid connections to other computers,
by an audit hook (PEP 578) that Python calls before each of its own socket operations; nothing in
the process can remove it. Python doesn't see what libraries in C connect to, such as PyTorch's
process groups and database drivers: their callers ask `refuse_connection` first.
"""

import os
import socket
import sys
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

from icdcli.errors import ConfigError

OPTION, VARIABLE, HUB_VARIABLE = "--offline", "ICDCODE_OFFLINE", "HF_HUB_OFFLINE"

# What other programs and libraries read when they are started or imported.
_SETTINGS = {
    HUB_VARIABLE: "1",
    "WANDB_MODE": "offline",
    "CLEARML_OFFLINE_MODE": "1",
    # By themselves, these choose the address of a network card also between local processes.
    "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
    "NCCL_SOCKET_IFNAME": "lo",
}
_ADDRESS, _HOST = 1, 0
# Audit event: the place of the host, or of an address with it, among the event's arguments.
_EVENTS = {
    "socket.bind": _ADDRESS,
    "socket.connect": _ADDRESS,
    "socket.sendmsg": _ADDRESS,
    "socket.sendto": _ADDRESS,
    "socket.getaddrinfo": _HOST,
    "socket.gethostbyaddr": _HOST,
    "socket.gethostbyname": _HOST,
    "socket.getnameinfo": _HOST,
}
# Sockets that reach no network: files, and the kernel's own.
_LOCAL_FAMILIES = frozenset(
    getattr(socket, name, None) for name in ("AF_UNIX", "AF_NETLINK", "AF_ALG")
)
_guarded = False


class OfflineError(ConfigError, OSError):
    """Something needs another computer, and icdcode works offline.

    It is an `OSError`, too, so that libraries which do without a network if there is none still do.
    """

    def __init__(self, message: str) -> None:
        """Keep the message as the reason, too, which is what is reported of an `OSError`."""
        super().__init__(message)
        self.strerror = message


def is_local(host: str) -> bool:
    """Return whether a host is this computer: the loopback or a Unix socket."""
    if host.startswith(("/", "@", "\0")):
        return True
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return host.lower() == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def forbid_network() -> None:
    """Forbid this process, and those that it starts, every connection to other computers."""
    global _guarded
    os.environ[VARIABLE] = "1"
    os.environ.update(_SETTINGS)
    if (hub := sys.modules.get("huggingface_hub.constants")) is not None:
        hub.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]  # it has read the variable already
    if not _guarded:
        _guarded = True
        sys.addaudithook(_guard)


def forbid_network_if_set() -> None:
    """Forbid connections if the environment asks for it."""
    if _is_set(VARIABLE):
        forbid_network()


def offline_switch() -> str | None:
    """Return what keeps icdcode from downloading, as messages name it; None: nothing does."""
    if _is_set(VARIABLE):
        return f"{OPTION} or {VARIABLE}"
    return HUB_VARIABLE if _is_set(HUB_VARIABLE) else None


def refuse_download(address: str, advice: str) -> None:
    """Refuse to download if icdcode works offline.

    Args:
        address: Where from; this computer is allowed.
        advice: What to do instead, as a sentence.

    Raises:
        OfflineError: It does.
    """
    switch = offline_switch()
    if switch is None:
        return
    with suppress(ValueError):  # an address that can't be read isn't one of this computer
        if is_local(urlsplit(address).hostname or ""):
            return
    raise OfflineError(
        f"{address}: isn't downloaded, because icdcode works offline ({switch}). {advice}"
    )


def refuse_connection(subject: str, host: str | None) -> None:
    """Refuse a connection to another computer if icdcode works offline.

    Args:
        subject: What needs it, for the message.
        host: The host; None: this computer.

    Raises:
        OfflineError: It does, and the host is another computer.
    """
    if _is_set(VARIABLE) and host is not None and not is_local(host):
        raise _refusal(subject)


def _refusal(subject: str) -> OfflineError:
    return OfflineError(
        f"{subject}: icdcode works offline ({OPTION} or {VARIABLE}), so that it connects to "
        "nothing but this computer. Leave the switch out, or name something on this computer."
    )


def _is_set(variable: str) -> bool:
    """Return whether a variable is on, read as Hugging Face's libraries read theirs."""
    return os.environ.get(variable, "").upper() in ("1", "ON", "YES", "TRUE")


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse an operation of a socket that would reach another computer."""
    place = _EVENTS.get(event)
    if place is None:
        return
    given = arguments[place]
    if place == _ADDRESS and arguments[0].family in _LOCAL_FAMILIES:
        return
    host = given[0] if isinstance(given, tuple) else given
    if host is None:  # a socket that is connected already, or the wildcard without a look-up
        return
    host = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else str(host)
    if not is_local(host):
        raise _refusal(host or "every address of this computer")
