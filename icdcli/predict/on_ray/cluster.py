"""The Ray cluster that works: the one that RAY_ADDRESS names, or one of this computer alone."""

import logging
import os
import secrets
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from icdcli.errors import ConfigError
from icdcli.extras import require_extra
from icdcli.offline import refuse_connection

ADDRESS = "RAY_ADDRESS"
_OWN = "local"
_PORT = 6379  # of a head node, if the address names none
_PATIENCE = 10  # seconds
# One token per process, because Ray reads it once. Without it, whoever uses this computer could
# read what the workers read.
_SETTINGS = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on any system: everything is on the loopback
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # it advises authors of programs
}


def require_ray() -> None:
    """Check that Ray is installed, and that the cluster may be used from here.

    Raises:
        ConfigError: If it isn't, or mayn't, or if nothing listens at the address of the cluster.
        OfflineError: If icdcode works offline, and the cluster is elsewhere.
    """
    require_extra("ray", "--engine ray", ["ray"])
    address = os.environ.get(ADDRESS, "")
    if "://" in address:
        raise ConfigError(
            f"{ADDRESS}={address}: the notes must be read on a computer of the cluster. Submit the "
            "command as a job: ray job submit -- icdcode predict …"
        )
    if address not in ("", "auto", _OWN):
        refuse_connection(f"{ADDRESS}={address}", urlsplit(f"//{address}").hostname)
        _require_reachable(address)


@contextmanager
def ray_cluster(cpus: int | None = None) -> Iterator[None]:
    """Connect to the cluster of RAY_ADDRESS, or start one on this computer, during the block.

    A cluster of our own listens on the loopback only, has no dashboard, reports no usage, has a
    token of its own, and has its files in a private temporary folder.

    Args:
        cpus: The cores of a cluster of our own; None: all.

    Raises:
        ConfigError: If Ray isn't installed, or the cluster can't be reached.
        OfflineError: If icdcode works offline, and the cluster is elsewhere.
    """
    require_ray()
    address = os.environ.get(ADDRESS) or _OWN
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="ray")  # about Ray itself
        if address == _OWN:
            with TemporaryDirectory(prefix="icdcode-", ignore_cleanup_errors=True) as private:
                own = {"include_dashboard": False, "_temp_dir": str(Path(private) / "ray")}
                with _own_settings(), _connected(address=_OWN, num_cpus=cpus, **own):
                    yield
            return
        with _connected(address=address):
            yield


def _require_reachable(address: str) -> None:
    """Check that something listens at an address, for which Ray itself waits for minutes.

    Raises:
        ConfigError: If nothing does.
    """
    try:
        parts = urlsplit(f"//{address}")
        socket.create_connection((parts.hostname or "", parts.port or _PORT), _PATIENCE).close()
    except ValueError:
        raise _unreachable(address, "it isn't HOST:PORT") from None
    except OSError as error:
        raise _unreachable(address, error.strerror or str(error)) from None


def _unreachable(address: str, reason: str) -> ConfigError:
    return ConfigError(
        f"{ADDRESS}={address}: no Ray cluster can be reached there ({reason}). Start it, correct "
        f"the address, or unset {ADDRESS} to use this computer alone."
    )


@contextmanager
def _connected(**options: Any) -> Iterator[None]:
    import ray

    handler = signal.getsignal(signal.SIGTERM)
    try:
        try:
            with _without_stderr():
                ray.init(logging_level=logging.ERROR, log_to_driver=False, **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            if options["address"] == _OWN:
                raise
            first = str(error).strip().partition("\n")[0]
            raise _unreachable(options["address"], first) from None
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, handler)  # which Ray has replaced
        # A program that imported Ray before us has chosen another address.
        here = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        refuse_connection("--engine ray", here)
        yield
    finally:
        ray.shutdown()


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Discard what Ray's part in C++ prints while it starts: at which level it prints."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _own_settings() -> Iterator[None]:
    """Set what Ray and the processes that it starts read, during the block."""
    before = dict(os.environ)
    os.environ.update({name: value for name, value in _SETTINGS.items() if name not in before})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
