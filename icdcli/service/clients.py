"""The clients of the service and their tokens, of which only hashes are kept in memory."""

import base64
import binascii
import hashlib
import hmac
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from icdcli.errors import ConfigError

SHORTEST_TOKEN = 16
"""Characters. `python -c "import secrets; print(secrets.token_urlsafe())"` prints 43."""

_LINE = "Write a line NAME:TOKEN, or NAME:sha256:HASH"
_NAME = re.compile(r"[\w.@-]{1,64}", re.ASCII)
_HASHED = re.compile(r"sha256:([0-9a-fA-F]{64})")


@dataclass(frozen=True)
class Client:
    """Who sends a request.

    Attributes:
        name: The name in the file of tokens; empty if nobody needs a token.
    """

    name: str = ""


@dataclass(frozen=True)
class ServiceClients:
    """The clients that may use the service.

    Attributes:
        hashes: The name of a client and the SHA-256 of a token, for each token.
    """

    hashes: Sequence[tuple[str, bytes]] = field(repr=False)

    def client_of(self, authorization: str | None) -> Client | None:
        """Return the client whose token a request has; None: there is none.

        All hashes are compared, each in constant time, so that the time says nothing of them.

        Args:
            authorization: The header: ``Bearer TOKEN``, or ``Basic`` with the token as the password
                and any user name, for programs that know nothing else.
        """
        found, digest = None, hashlib.sha256(_token_of(authorization or "")).digest()
        for name, known in self.hashes:
            if hmac.compare_digest(known, digest):
                found = Client(name)
        return found


def _token_of(authorization: str) -> bytes:
    scheme, _, value = authorization.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return value.encode("utf-8", "surrogateescape")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""


def read_token_file(path: Path | str) -> ServiceClients:
    """Read a file of tokens, with a line ``NAME:TOKEN`` or ``NAME:sha256:HASH`` for each.

    A client may have several tokens, so that one can be replaced by another without a break. Empty
    lines, and those that begin with #, are left out.

    Args:
        path: The file, which only its owner and its group may read.

    Raises:
        ConfigError: If it can't be read, others may read it, or a line is wrong.
    """
    where, place = f"--token-file {path}", Path(path)
    try:
        mode = place.stat().st_mode
        if os.name == "posix" and mode & stat.S_IRWXO:
            raise ConfigError(f"{where}: other users may read or write it. Run: chmod 600 {path}")
        lines = place.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it isn't UTF-8"
        raise ConfigError(f"{where}: can't be read ({reason}).") from None
    hashes: dict[bytes, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, token = (part.strip() for part in line.partition(":"))
        here = f"{where}, line {number}"  # never the line itself: it has a token
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{here}: begins with no name of letters and digits. {_LINE}.")
        hashed = _HASHED.fullmatch(token)
        if hashed is None and (len(token) < SHORTEST_TOKEN or token.startswith("sha256:")):
            raise ConfigError(
                f"{here}: the token has fewer than {SHORTEST_TOKEN} characters, or its hash isn't "
                f"64 hexadecimal digits. {_LINE}."
            )
        digest = (
            bytes.fromhex(hashed[1]) if hashed else hashlib.sha256(token.encode("utf-8")).digest()
        )
        if hashes.setdefault(digest, name) != name:
            raise ConfigError(f"{here}: {hashes[digest]!r} has the same token. Make another one.")
    if not hashes:
        raise ConfigError(f"{where}: has no token. {_LINE}.")
    return ServiceClients(tuple((name, digest) for digest, name in hashes.items()))
