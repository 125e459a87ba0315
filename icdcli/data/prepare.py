"""From whatever the user points at to a prepared corpus, once.

The corpus' folder is named by a hash over the source files and every option that changes the result, so that a second
call finds it and does nothing. It is written under another name and renamed when whole: nobody ever sees half a corpus.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_cache_path

from icdcli.config import DataConfig
from icdcli.data.codiesp import CodiespSource
from icdcli.data.corpus import FORMAT, open_corpus
from icdcli.data.corpus_writer import Source, write_corpus
from icdcli.data.mimic3 import TABLES, Mimic3Source
from icdcli.data.progress import Progress
from icdcli.data.protocols import choose_protocol
from icdcli.data.rows import list_folder
from icdcli.data.storage import hash_sources, is_writable, private_folder
from icdcli.data.table import ENDINGS, TableSource
from icdcli.errors import ConfigError, DataError

HOME = ".icdcode"
_HASH_LENGTH = 12
_LOOKS_LIKE = f"""
  mimic3:  a folder with {", ".join(TABLES)} as .csv or .csv.gz
  codiesp: a folder with train/ and dev/, each with text_files_en/ or text_files/, trainD.tsv, devD.tsv …
  table:   a file ending in {", ".join(ENDINGS)} with a column of texts and one of codes"""


@dataclass(frozen=True)
class PreparedCorpus:
    """What `prepare` gives.

    Attributes:
        folder: The corpus' folder.
        created: False where it was there already.
        card: What it was made of, and how.
    """

    folder: Path
    created: bool
    card: dict[str, Any]


def prepare(config: DataConfig, progress: Progress | None = None) -> PreparedCorpus:
    """Prepare a data set as a corpus, unless the same one is there.

    Args:
        config: Where the data lie, and how they are to be read.
        progress: Told (stage, done, total): bytes or documents, total 0 where it isn't known.

    Returns:
        The corpus, which `icdcli.data.corpus.open_corpus` opens.

    Raises:
        ConfigError: When the options don't fit the data set, or no folder for the corpus can be written.
        DataError: When the data can't be recognised or used, or the disk is full.
    """
    path = config.path
    if not path.exists():
        where = "" if path.is_absolute() else f" in {Path.cwd()}"
        raise DataError(
            f"{path}: no such file or folder{where}; set data_path (or mimic3_data_path) to your data, "
            f"or make synthetic ones with `icdcode demo-data {path}`"
        )
    dataset = config.dataset or recognise(path)
    source, options = _source(dataset, config)
    split_column = isinstance(source, TableSource) and source.has_splits
    protocol = choose_protocol(dataset, config.protocol, split_column)
    files = source.files()
    base = path if path.is_dir() else path.parent
    homes = [config.cache_dir] if config.cache_dir is not None else [base / HOME, user_cache_path("icdcode")]
    home = next(filter(is_writable, homes), None)
    if home is None:
        raise ConfigError(f"cache_dir: {homes[-1]} can't be written; set cache_dir to a folder of your own")
    try:
        about: dict[str, Any] = {
            "dataset": dataset,
            "protocol": protocol.name,
            "options": options,
            "sources": hash_sources(files, base, home, progress),
        }
        folder = home / f"{dataset}-{protocol.name}-{_hash(about)}"
        with FileLock(home / f".{folder.name}.lock", mode=0o600):
            card = _intact(folder)
            if card is not None:
                return PreparedCorpus(folder, False, card)
            partial = _begin(folder)
            try:
                card = write_corpus(partial, source, protocol, about, config.label_pruning, progress)
                _finish(partial, folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise DataError(f"{home}: can't be written ({error.strerror or error}); free space or set cache_dir") from error
    return PreparedCorpus(folder, True, card)


def recognise(path: Path) -> str:
    """The name of the data set that a folder or file holds: ``mimic3``, ``codiesp`` or ``table``.

    Raises:
        DataError: When it looks like none of them.
    """
    if path.is_file():
        if path.name.lower().endswith(ENDINGS):
            return "table"
        raise DataError(f"{path}: is no data set that icdcode knows; these are:{_LOOKS_LIKE}")
    names = {entry.name.lower() for entry in list_folder(path)}
    if any(name.startswith("noteevents") for name in names):
        return "mimic3"
    if {"hosp", "note"} & names or any(name.startswith(("discharge.csv", "omr.csv")) for name in names):
        raise DataError(f"{path}: looks like MIMIC-IV, which this version doesn't read yet; it reads:{_LOOKS_LIKE}")
    if any(name.split(".", 1)[0].upper() in TABLES for name in names):
        return "mimic3"
    if (path / "train").is_dir() and any(path.glob("train/text_files*")):
        return "codiesp"
    raise DataError(f"{path}: is no data set that icdcode knows; these are:{_LOOKS_LIKE}")


def _source(dataset: str, config: DataConfig) -> tuple[Source, dict[str, Any]]:
    """The source, and the options beside the protocol that change what comes out of it."""
    path = config.path
    if path.is_file() != (dataset == "table"):
        wanted, given = ("file", "folder") if dataset == "table" else ("folder", "file")
        raise DataError(f"{path}: is a {given}, but dataset: {dataset} is a {wanted}; these are known:{_LOOKS_LIKE}")
    options: dict[str, Any]
    match dataset:
        case "mimic3":
            return Mimic3Source(path, config.chunk_size), {"label_pruning": config.label_pruning}
        case "codiesp":
            options = {"language": config.language, "codes": config.codes}
            return CodiespSource(path, **options), options
        case _:
            columns = ("text_column", "codes_column", "id_column", "subject_column", "split_column")
            options = {name: getattr(config, name) for name in columns}
            table = TableSource(path, **options, chunk_size=config.chunk_size, system=config.code_system)
            return table, {**options, "code_system": config.code_system}


def _hash(about: Mapping[str, Any]) -> str:
    content = json.dumps({"format": FORMAT, **about}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:_HASH_LENGTH]


def _intact(folder: Path) -> dict[str, Any] | None:
    """The card of a corpus that is there and whole."""
    if not folder.is_dir():
        return None
    try:
        return open_corpus(folder).card
    except DataError:
        return None  # a corpus that was damaged since is made again


def _begin(folder: Path) -> Path:
    """An empty folder beside the corpus' own to write into; the caller holds the corpus' lock."""
    partial = folder.with_name(f".{folder.name}.partial")
    if partial.exists():  # of a process that died: a living one would hold the lock
        shutil.rmtree(partial)
    private_folder(partial)
    return partial


def _finish(partial: Path, folder: Path) -> None:
    if folder.exists():  # damaged, or it would have been used
        shutil.rmtree(folder)
    os.rename(partial, folder)
