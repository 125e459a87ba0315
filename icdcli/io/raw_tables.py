"""Finding the raw tables in a folder, whatever the case of their names, compressed or not."""

from collections.abc import Sequence
from pathlib import Path

from icdcli.errors import DataError

_ENDINGS = (".csv", ".csv.gz")


def find_tables(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Find raw tables as ``NAME.csv`` or ``NAME.csv.gz``, whatever the case of the file's name.

    Args:
        folder: The folder that the tables lie in.
        names: The tables' names without ending.

    Returns:
        Each name with its file.

    Raises:
        DataError: Naming all tables that are missing, or two files that could both be meant.
    """
    found: dict[str, Path] = {}
    for name in names:
        matches = matching_tables(folder, name)
        if len(matches) > 1:
            both = " and ".join(match.name for match in matches)
            raise DataError(f"{folder}: {both} could both be {name}; remove or rename one")
        if matches:
            found[name] = matches[0]
    missing = [name for name in names if name not in found]
    if missing:
        looked_for = ", ".join(f"{name}.csv or {name}.csv.gz" for name in missing)
        raise DataError(
            f"{folder}: missing {looked_for}; put every table of the data set into this folder"
        )
    return found


def find_table(folder: Path, name: str) -> Path:
    """Find one raw table; see `find_tables`."""
    return find_tables(folder, [name])[name]


def matching_tables(folder: Path, name: str) -> list[Path]:
    """All files that could be one raw table; none is no error.

    Raises:
        DataError: When there is no such folder, or it can't be read.
    """
    wanted = {name.lower() + ending for ending in _ENDINGS}
    return sorted(file for file in list_folder(folder) if file.name.lower() in wanted)


def list_folder(folder: Path) -> list[Path]:
    """The files and folders in a folder.

    Raises:
        DataError: When there is no such folder, or it can't be read.
    """
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: can't be read as a folder ({error.strerror})") from error
