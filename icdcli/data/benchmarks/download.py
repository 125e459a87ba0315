"""Downloading the published split lists: the only code of `icdcli.data` that uses a network.

Files are accepted only with the published SHA-256, so that a mirror, a proxy's error page or a
changed file can't replace the published splits by others.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from icdcli.data.benchmarks.split_lists import PublishedFile, published_lists, sha256_of
from icdcli.errors import DataError
from icdcli.io.download import check_mirror, download
from icdcli.io.files import replacing
from icdcli.io.progress import Progress

_TIMEOUT = 30.0  # seconds without an answer of the server
_BY_HAND = "`icdcode splits list` shows the addresses, to copy the files by hand."


def fetch_split_lists(
    protocols: Sequence[str],
    folder: Path,
    address: str | None = None,
    on_progress: Progress | None = None,
) -> list[Path]:
    """Download the preferred published lists of some protocols, all or none.

    Files that exist with the right content are kept. Proxies of the environment (``https_proxy``,
    ``no_proxy``) are used.

    Args:
        protocols: Protocols of `icdcli.data.benchmarks.split_lists.PUBLISHED`.
        folder: The folder for the files; it is made if it doesn't exist.
        address: Replaces scheme and host of the public addresses, e.g. ``https://mirror.hospital``.
        on_progress: Called after each downloaded file.

    Returns:
        The files that were downloaded.

    Raises:
        ConfigError: If a protocol has no published lists, or the address is invalid.
        DataError: If a file can't be downloaded or isn't the published one, or the folder can't be
            written.
    """
    wanted = {
        file.name: file for protocol in protocols for file in published_lists(protocol)[0].files
    }
    addresses = {
        name: file.address if address is None else _on_mirror(file, address)
        for name, file in wanted.items()
    }
    missing = [file for file in wanted.values() if sha256_of(folder / file.name) != file.sha256]
    contents: dict[Path, bytes] = {}
    for number, file in enumerate(missing, start=1):
        contents[folder / file.name] = _download(addresses[file.name], file)
        if on_progress:
            on_progress("downloading split lists", number, len(missing), "files")
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path, private=False) as temporary:  # a public file
                temporary.write_bytes(content)
    except OSError as error:
        raise DataError(
            f"{folder}: can't be written ({error.strerror}). Free space or choose another folder."
        ) from error
    return list(contents)


def _on_mirror(file: PublishedFile, address: str) -> str:
    check_mirror(address)
    return address.rstrip("/") + urlsplit(file.address).path


def _download(address: str, file: PublishedFile) -> bytes:
    content = download(address, _TIMEOUT, _BY_HAND)
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise DataError(
            f"{file.name}: the file at {address} isn't the published one: its sha256 should be "
            f"{file.sha256}, but is {found} ({len(content):,} bytes). Nothing was written. "
            f"{_BY_HAND}"
        )
    return content
