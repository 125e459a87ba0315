"""The Ray cluster that does the work: that of RAY_ADDRESS, or one on this computer alone."""

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
# Ray reads the token once per process. Without one, any user of this computer could read the notes.
_SETTINGS = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on any system: everything is on the loopback
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # its advice is for programmers
}


def require_ray() -> None:
    """Check that Ray is installed, and that the cluster may be used from here.

    Raises:
        ConfigError: If Ray isn't installed, or if the cluster can't be reached from here.
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
                with _own_settings(private), _connected(address=_OWN, num_cpus=cpus, **own):
                    yield
            return
        with _connected(address=address):
            yield


def _require_reachable(address: str) -> None:
    """Check that something listens at an address; Ray itself would wait minutes for it.

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

    if ray.is_initialized():  # by the program that calls us, which also ends the connection
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        try:
            with _without_stderr():
                ray.init(logging_level=logging.ERROR, log_to_driver=False, **options)
        except SystemExit:  # Ray's answer to SIGTERM while it starts
            signal.signal(signal.SIGTERM, handler)
            signal.raise_signal(signal.SIGTERM)
            raise
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
        with _without_stderr():
            ray.shutdown()


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Discard what Ray prints when it starts and ends: its log level, and which work it left."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _own_settings(private: str) -> Iterator[None]:
    """Set the variables that Ray and its processes read, during the block.

    Args:
        private: The folder of the cluster, which also gets the temporary files of its processes.
    """
    before = dict(os.environ)
    os.environ.update({name: value for name, value in _SETTINGS.items() if name not in before})
    os.environ["TMPDIR"] = private
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
