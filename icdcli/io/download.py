"""Downloading a file from its public address."""

import urllib.request
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlsplit

from icdcli.errors import ConfigError, DataError
from icdcli.offline import OfflineError, refuse_download


def download(address: str, timeout: float, advice: str) -> bytes:
    """Return the content of a file; proxies of the environment are used.

    Args:
        address: Its address.
        timeout: Seconds without an answer of the server.
        advice: What to do if it can't be downloaded, as a sentence.

    Raises:
        DataError: If it can't be downloaded.
        OfflineError: If icdcode works offline.
    """
    refuse_download(address, advice)
    try:
        # A new opener, because the shared one keeps the proxies of the first request of the
        # process.
        with urllib.request.build_opener().open(address, timeout=timeout) as response:
            content: bytes = response.read()
    except HTTPError as error:
        with error:  # it holds the connection
            answer = f"{error.code} {error.reason}"
        raise DataError(
            f"{address}: the server answers {answer}. Nothing was written. {advice}"
        ) from error
    except (OSError, HTTPException, ValueError) as error:  # ValueError: an invalid host or port
        reason = getattr(error, "reason", error)
        if isinstance(reason, OfflineError):  # a mirror on this computer leads to another one
            raise reason from None
        raise DataError(
            f"{address}: can't be downloaded ({reason}). Nothing was written. Try again, or name a "
            f"mirror with --address. {advice}"
        ) from error
    return content


def check_mirror(address: str) -> None:
    """Raise a `ConfigError` unless an address has a scheme and a host."""
    try:
        parts = urlsplit(address)
        right = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        right = False
    if not right:
        raise ConfigError(
            f"address: {address!r} should begin with http:// or https:// and name a host."
        )
