"""The refusal to read data that aren't on this machine, with the command that copies them."""

import re
from pathlib import Path, PurePosixPath

from icdcli.config.fields import is_path
from icdcli.errors import ConfigError, in_shell
from icdcli.io.tables.database import is_database, without_password

_SCHEME_END = re.compile(r":/+")


def require_copied(path: Path | str) -> Path | str:
    """Return a path of this machine unchanged, and raise ValueError for any other data.

    Args:
        path: A path, or the address of a database or of an object store.
    """
    if is_path(path):
        return path
    url = str(path)
    if isinstance(path, Path) and not url.startswith("sqlite:"):
        url = _SCHEME_END.sub("://", url, count=1)  # Path makes one slash of two
    name = "" if is_database(url) else PurePosixPath(url).name
    file = f"/{name}" if PurePosixPath(name).suffix else ""
    raise ValueError(
        "should be a file or folder of this machine, not a URL, so that all commands read the same "
        f"notes. Copy them: icdcode copy-data {in_shell(without_password(url))} DIR, and use "
        f"DIR{file}"
    )


def refuse_uncopied(path: str, argument: str) -> None:
    """Raise an error if an argument names data that aren't on this machine.

    Args:
        path: The data.
        argument: How the user wrote it, for the message.

    Raises:
        ConfigError: If so.
    """
    try:
        require_copied(path)
    except ValueError as error:
        raise ConfigError(f"{without_password(argument)}: {error}.") from None
