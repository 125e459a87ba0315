"""Copying notes and codes to a folder of this machine, complete or not at all."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from icdcli.config.fields import is_path
from icdcli.data.copies.omop_tables import copy_omop_tables
from icdcli.data.copies.remote_files import copy_remote_files
from icdcli.errors import ConfigError
from icdcli.io.files import write_json
from icdcli.io.fingerprints import file_hash, source_files
from icdcli.io.folders import new_folder
from icdcli.io.progress import Progress
from icdcli.io.tables.database import is_database, without_password

ABOUT_COPY = "_copied.json"  # which readers of Parquet folders skip, like _SUCCESS


@dataclass(frozen=True)
class CopiedData:
    """A folder of copied data.

    Attributes:
        folder: The folder.
        source: Where the data are from, without a password.
        copied: The time of the copy.
        files: Its files as `source_files` lists them, those of tables with ``rows``.
        left_out: The tables of a database that weren't copied, since they are missing or empty.
        data_path: What to use as ``data_path``.
    """

    folder: Path
    source: str
    copied: str
    files: list[dict[str, Any]]
    left_out: tuple[str, ...]
    data_path: Path

    def to_json(self) -> dict[str, Any]:
        """Return the values that ``icdcode copy-data --json`` prints."""
        return {
            "folder": self.folder,
            "data_path": self.data_path,
            "left_out": self.left_out,
            **self.about(),
        }

    def about(self) -> dict[str, Any]:
        """Return the entries of the file `ABOUT_COPY`."""
        return {"source": self.source, "copied": self.copied, "files": self.files}


def copy_data(source: str, folder: Path | str, on_progress: Progress | None = None) -> CopiedData:
    """Copy notes and codes from an OMOP database or an object store to a folder.

    Of a database, the tables and columns that ``dataset: omop`` reads are copied, to Parquet; it is
    opened for reading only. Files are copied as they are. Only the user can read the folder.

    Args:
        source: The address of a database, or the URL of a file or folder.
        folder: The folder to write; it must not exist.
        on_progress: Called with the rows or bytes that are copied.

    Raises:
        ConfigError: If the folder exists or can't be made, the source is on this machine, or a
            package for it is missing.
        DataError: If the source can't be read, or lacks a table or a column; or if the disk is
            full. Nothing is left behind.

    Example:
        >>> copy_data("postgresql://me@host/cdm", "data/cdm")  # doctest: +SKIP
    """
    folder, shown = Path(folder), without_password(source)
    if is_path(source) or source.lower().startswith(("file:", "local:")):
        raise ConfigError(f"{source}: is on this machine. Use it as it is: no copy is needed.")
    rows: dict[str, int] = {}
    left_out: tuple[str, ...] = ()
    with new_folder(folder) as partial:
        if is_database(source):
            rows, left_out = copy_omop_tables(source, partial, on_progress)
        else:
            copy_remote_files(source, partial, on_progress)
        about = partial / ABOUT_COPY  # which may be there, if a copy is copied
        paths = sorted(path for path in partial.rglob("*") if path.is_file() and path != about)
        hashes = {path: file_hash(path, on_progress) for path in paths}
        files = [
            dict(file) | ({"rows": rows[file["name"]]} if file["name"] in rows else {})
            for file in source_files(hashes, partial)
        ]
        only = folder / str(files[0]["name"]) if len(files) == 1 and not rows else folder
        now = datetime.now(UTC).isoformat(timespec="seconds")
        made = CopiedData(folder, shown, now, files, left_out, only)
        write_json(about, made.about())
    return made
