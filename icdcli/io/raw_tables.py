"""Finding the raw tables in a folder, compressed or not, with names in upper or lower case."""

from collections.abc import Sequence
from pathlib import Path

from icdcli.errors import DataError

_ENDINGS = (".csv", ".csv.gz")


def find_tables(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Find raw tables as ``NAME.csv`` or ``NAME.csv.gz``, in upper or lower case.

    Args:
        folder: The folder of the tables.
        names: The names of the tables, without the ending.

    Returns:
        Name to file.

    Raises:
        DataError: If tables are missing (the message names all of them), or two files fit one name.
    """
    found: dict[str, Path] = {}
    for name in names:
        matches = matching_tables(folder, name)
        if len(matches) > 1:
            both = " and ".join(match.name for match in matches)
            raise DataError(f"{folder}: {both} could both be {name}. Remove or rename one.")
        if matches:
            found[name] = matches[0]
    missing = [name for name in names if name not in found]
    if missing:
        looked_for = ", ".join(f"{name}.csv or {name}.csv.gz" for name in missing)
        raise DataError(
            f"{folder}: missing {looked_for}. Put every table of the data set into this folder."
        )
    return found


def matching_tables(folder: Path, name: str) -> list[Path]:
    """Return all files that could be one raw table, which may be none.

    Raises:
        DataError: If the folder doesn't exist or can't be read.
    """
    wanted = {name.lower() + ending for ending in _ENDINGS}
    return sorted(file for file in list_folder(folder) if file.name.lower() in wanted)


def list_folder(folder: Path) -> list[Path]:
    """Return the files and folders in a folder.

    Raises:
        DataError: If the folder doesn't exist or can't be read.
    """
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: can't be read as a folder ({error.strerror}).") from error
