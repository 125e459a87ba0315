"""The file systems of fsspec, and what goes wrong with them as an `OSError` with a message.

Each package raises exceptions of its own, some of which quote what was sent. Here they become what
the operating system raises for a local file, so that the same code reports both. Access keys are
found by the packages, as the tools of each service find them; they are never part of a path.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from icdcli.errors import ConfigError
from icdcli.offline import OfflineError

_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs"}
"""The packages of some services, which their users needn't know."""
_OWN = ("builtins", "icdcli")
_ACCESS = re.compile("Credential|Refresh|Token|Profile|Forbidden|Unauthorized|AccessDenied")
_NETWORK = re.compile("Connect|Timeout|DNS|Disconnected|Endpoint|SSL|Payload")


def file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the name of the file in it.

    Raises:
        ConfigError: If a package is missing, or the file system is unknown.
        OSError: If it can't be reached.
    """
    scheme, _, rest = url.partition("://")
    if "@" in rest.partition("/")[0] and ":" in rest.partition("@")[0]:
        raise ConfigError(
            f"{scheme}://…: has a password in it. Leave it out, and set it as the tools of the "
            "service find it, e.g. in the environment."
        )
    if "::" in url:
        raise ConfigError(f"{url}: combines several file systems. Give the URL of one.")
    try:
        from fsspec.core import url_to_fs

        with storage_errors():
            system, name = url_to_fs(url)
    except ImportError as error:
        package = _PACKAGES.get(scheme, error.name or f"for {scheme}://")
        install = "icdcode[remote]" if package in ("fsspec", "s3fs") else package
        raise ConfigError(
            f"{url}: needs the package {package}, which isn't installed: pip install '{install}'"
        ) from None
    except ValueError:
        raise ConfigError(
            f"{url}: {scheme}:// isn't a file system that is known. Known are s3://, gs://, "
            "hdfs:// and others of fsspec."
        ) from None
    return system, str(name)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Raise an `OSError` with a number and a reason for what a file system raises.

    Raises:
        ConfigError: If icdcode works offline, and the block needs another computer.
        OSError: If the block raises one, or an exception of a package for a file system.
    """
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        if (refusal := _refusal(error)) is not None:
            raise ConfigError(str(refusal)) from None
        if isinstance(error, OSError):
            if error.strerror and type(error).__module__ == "builtins":
                raise
        elif type(error).__module__.partition(".")[0] in _OWN:
            raise
        raise _os_error(error) from None


def _refusal(error: BaseException) -> OfflineError | None:
    """Return the error of offline work that an error comes from; the packages raise it anew."""
    while not isinstance(error, OfflineError):
        before = error.__cause__ or error.__context__
        if before is None:
            return None
        error = before
    return error


def _os_error(error: Exception) -> OSError:
    name, text = type(error).__name__, str(error)
    if isinstance(error, FileNotFoundError):
        bucket = "bucket" in text.lower() and "exist" in text.lower()
        return OSError(errno.ENOENT, "no such bucket" if bucket else "no such file")
    if isinstance(error, PermissionError) or _ACCESS.search(name):
        return OSError(errno.EACCES, "access denied: check the access keys and the permissions")
    if name == "FileExpired":
        return OSError(errno.ESTALE, "it was replaced while it was read; run the command again")
    if isinstance(error, ConnectionError | TimeoutError) or _NETWORK.search(name):
        return OSError(errno.EHOSTUNREACH, "the server can't be reached: check network and address")
    return OSError(errno.EIO, f"the file system reports {name}")
