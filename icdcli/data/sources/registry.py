"""The registry of data sources, and the choice of the one that a configuration points at.

To add a source, add one module to this folder. It defines a class that fulfills `Source`, and
registers a `SourceType` under the module's own name; `mimic4.py` is a short example. ``dataset:``
then accepts the name, and a folder or file of this kind is recognized. Three things are kept
elsewhere: a new protocol name and a new configuration key in `icdcli.data.section`, the reason why
a resumed run can't change that key in `icdcli.training.allowed_changes`, and the name of a module
of this folder that isn't a source in `icdcli.data.sources.names`.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

from icdcli.data.benchmarks import protocols
from icdcli.data.section import DataConfig
from icdcli.data.sources.admission import Admission, Code
from icdcli.data.sources.names import source_names
from icdcli.errors import ConfigError, DataError, nearest
from icdcli.icd.code_system import (
    EARLIER,
    CodeSystem,
    earlier_editions,
    names_several,
    open_code_system,
    shape_of,
)
from icdcli.icd.codes import System, system_name
from icdcli.io.csv_reader import Reading
from icdcli.io.files import is_pipe
from icdcli.io.raw_tables import list_folder
from icdcli.io.tables.parquet import is_parquet_folder
from icdcli.io.tables.records import is_table


class Source(Protocol):
    """A data set on the disk, which yields one `Admission` per document."""

    @property
    def reading(self) -> Reading:
        """Return how raw tables are read; it collects the numbers of dropped rows and notes."""

    @property
    def system(self) -> System | None:
        """Return the system whose rules decide how codes are written; None: unchanged."""

    @property
    def titles(self) -> dict[Code, str]:
        """Return the codes of the data set's own code tables with their titles, if it has any."""

    def files(self) -> list[Path]:
        """Return the files that the corpus depends on."""

    def admissions(self, protocol: protocols.Protocol, work: Path) -> Iterator[Admission]:
        """Yield the admissions, reading each raw table once.

        Args:
            protocol: Decides which notes and codes count.
            work: A private folder for temporary files.
        """


@dataclass(frozen=True)
class Inspection:
    """What the content of a source decides about its corpus, before the corpus is written.

    Attributes:
        entries: Entries of ``card.json``.
        reads_differently: Whether version 0.1.0 read the same content in another way, so that the
            corpus needs another name.
    """

    entries: dict[str, Any]
    reads_differently: bool


@dataclass(frozen=True)
class ChosenSource:
    """A source as the configuration opens it.

    Attributes:
        dataset: The source's name.
        source: The source itself.
        protocol: The protocol that turns it into a benchmark.
        options: The options, besides the protocol, that change the corpus; they go into its hash.
        inspect: Reads what has to be decided from the content as a whole; None: nothing.
        refuse: Raises an error if the entries of a card show a problem that isn't accepted.
        notices: What the user must know about the choice, one sentence each.
        code_system: The editions in which titles are looked up; None: unknown.
        last_day: Returns the latest day of discharge, which chooses the editions; None: no days.
        order: What the corpus keeps of the order of the codes, as columns of its documents.
    """

    dataset: str
    source: Source
    protocol: protocols.Protocol
    options: dict[str, Any]
    inspect: Callable[[], Inspection] | None = None
    refuse: Callable[[Mapping[str, Any]], None] | None = None
    notices: tuple[str, ...] = ()
    code_system: CodeSystem | None = None
    last_day: Callable[[], date | None] | None = None
    order: tuple[str, ...] = ()


class Match(IntEnum):
    """How well a folder or file fits a source."""

    NONE = 0
    POSSIBLE = 1
    CERTAIN = 2


@dataclass(frozen=True)
class SourceType:
    """One kind of data set.

    Attributes:
        name: The value of ``dataset:``, and the name of the module.
        looks_like: A description of its folder or file, for messages.
        protocols: Its protocols, the default first.
        recognizes: Returns how well a folder, or a file if `is_file`, fits.
        open: Opens the configured folder or file; the registry adds the options that all sources
            share.
        is_file: Whether it is one table (a file, or a folder of Parquet files) rather than a
            folder of tables; None: it may be either.
        own_options: Keys of the configuration that no other source reads.
        system: The coding system, if it is the same in every such data set.
    """

    name: str
    looks_like: str
    protocols: tuple[protocols.Protocol, ...]
    recognizes: Callable[[Path], Match]
    open: Callable[[DataConfig, Reading], ChosenSource]
    is_file: bool | None = False
    own_options: tuple[str, ...] = ()
    system: System | None = None


_OTHER_KINDS = (
    ((".xls", ".xlsb", ".ods"), "Save the workbook as .xlsx, or the table as CSV in UTF-8"),
    ((".txt", ".dat", ".asc"), "If it is a table, rename it to .csv or .tsv"),
    ((".zip", ".7z", ".tar", ".tgz", ".bz2", ".xz", ".zst"), "Unpack it first"),
    ((".feather", ".arrow", ".orc", ".avro", ".pkl", ".pickle"), "Save the table as Parquet"),
    (
        (".sas7bdat", ".xpt", ".sav", ".dta", ".rds", ".rdata", ".sqlite", ".db", ".mdb"),
        "Export the table as CSV in UTF-8 or as Parquet",
    ),
    ((".xml", ".pdf", ".doc", ".docx", ".rtf", ".html"), "Make it a table of texts"),
)
"""Endings of files that are common and aren't read, and what to do with them."""

_OF_ALL = frozenset(
    (
        *("workers", "mimic3_data_path", "data_path", "dataset", "protocol", "splits_path"),
        *("text_cleaning", "chunk_size", "skip_bad_rows", "label_pruning", "label_space"),
        *("code_system", "cache_dir", "encoding", "principal"),
    )
)
"""The keys of the configuration that aren't any source's own."""

_registered: dict[str, SourceType] = {}


def register(source_type: SourceType) -> None:
    """Register a source under its name."""
    _registered[source_type.name] = source_type


def source_type(name: str) -> SourceType:
    """Return a source by its name, which is one of `source_names`."""
    importlib.import_module(f"icdcli.data.sources.{name}")
    return _registered[name]


def source_types() -> list[SourceType]:
    """Return all sources, in the order of `source_names`."""
    return [source_type(name) for name in source_names()]


def system_of(dataset: str) -> System | None:
    """Return the coding system that all data sets of a name have; None if there is none."""
    return source_type(dataset).system if dataset in source_names() else None


def recognize(path: Path) -> str:
    """Return the name of the data set that a folder or file holds.

    Raises:
        DataError: If it looks like none of the known ones, or can't be read.
    """
    best, name = Match.NONE, ""
    for kind in map(source_type, source_names()):  # those after a certain one aren't imported
        if kind.is_file not in (None, _is_table(path)):
            continue
        match = kind.recognizes(path)
        if match > best:
            best, name = match, kind.name
        if best is Match.CERTAIN:
            break
    if best is Match.NONE:
        raise DataError(
            f"{path}: is not a data set that icdcode knows.{_advice(path)} It reads:{_looks_like()}"
        )
    return name


def _is_table(path: Path) -> bool:
    """Return whether a path is one table: a file, or a folder of Parquet files."""
    return path.is_file() or is_parquet_folder(path)


def _advice(path: Path) -> str:
    """Return what to do with data of a common kind that isn't read; else nothing."""
    if path.is_dir():
        tables = sorted(file for file in list_folder(path) if is_table(file))
        return f" It has tables: to use one, give its name, such as {tables[0]}." if tables else ""
    name = path.name.lower()
    if name.endswith(".gz.gz"):
        return f" If it is compressed twice, decompress it once: gunzip {path.name}."
    ending = Path(name.removesuffix(".gz")).suffix
    found = next((what for endings, what in _OTHER_KINDS if ending in endings), None)
    return f" {found}." if found else ""


def choose_source(config: DataConfig, reading: Reading) -> ChosenSource:
    """Open the data set that the configuration points at.

    Args:
        config: The configuration.
        reading: Reads the raw tables; it receives their encoding.

    Raises:
        ConfigError: If the data set doesn't know the protocol or an option.
        DataError: If there is no data set.
    """
    reading.encoding = config.encoding
    path = config.path
    if not path.exists():
        where = "" if path.is_absolute() else f" in {Path.cwd()}"
        siblings = path.parent.iterdir() if path.parent.is_dir() else ()
        hint = nearest(path.name, (other.name for other in siblings))
        demo = "" if path.suffix else f", or make synthetic data with `icdcode demo-data {path}`"
        raise DataError(
            f"{path}: no such file or folder{where}{hint}. Check the path (data_path){demo}."
        )
    if is_pipe(path):
        raise DataError(
            f"{path}: is a pipe. The data are read several times, so save them to a file first."
        )
    dataset = config.dataset or recognize(path)
    chosen_type = source_type(dataset)
    if chosen_type.is_file not in (None, _is_table(path)):
        wanted, given = ("file", "folder") if chosen_type.is_file else ("folder", "file")
        raise DataError(
            f"{path}: is a {given}, but dataset: {dataset} is a {wanted}. icdcode reads:"
            f"{_looks_like()}"
        )
    ignored = _ignored(config, _options_of_others(config, dataset))
    chosen = chosen_type.open(config, reading)
    ignored += _ignored(config, _unread_options(config, chosen))
    options = chosen.options | {
        "text_cleaning": config.text_cleaning,
        "skip_bad_rows": config.skip_bad_rows,
    }
    if config.encoding is not None:
        options["encoding"] = config.encoding
    if config.principal:
        if "principal" not in chosen.order:
            raise ConfigError(
                f"principal: {dataset} has no order of its codes, so that the principal diagnosis "
                "isn't known. Leave it out."
            )
        if "long_format" not in options:  # which has it with and without the key
            options["principal"] = True
    # An option at its old default stays out of the options, so that earlier corpora keep their
    # hash.
    code_system = _code_system(config, chosen)
    if code_system is not None:
        editions = code_system.to_json()
        if editions != earlier_editions(code_system.shape):
            options |= {"code_system": code_system.name, "editions": editions}
        elif "code_system" in options:
            options["code_system"] = code_system.shape
    if config.label_space == "described" and not chosen.protocol.is_benchmark:
        if code_system is None:
            raise ConfigError(
                "label_space: described needs the coding system. Set code_system; `icdcode codes "
                "list` shows the editions."
            )
        options["label_space"] = config.label_space
    return replace(
        chosen,
        dataset=dataset,
        options=options,
        notices=(*chosen.notices, *ignored),
        code_system=code_system,
    )


def _code_system(config: DataConfig, chosen: ChosenSource) -> CodeSystem | None:
    """Open the coding system of a source: the configured one, or the newest of the source's own.

    Runs of version 0.1.0 keep its editions.
    """
    shape = chosen.source.system
    name = config.code_system or shape
    if name is None:
        return None
    if config.of_a_run and shape is not None and system_name(name) == shape:
        name = EARLIER[shape]
    chosen_by_day = chosen.last_day is not None and names_several(name)
    return open_code_system(name, chosen.last_day() if chosen_by_day and chosen.last_day else None)


def _options_of_others(config: DataConfig, dataset: str) -> Iterator[str]:
    """Yield why options aren't read: they belong to other data sets."""
    fields = DataConfig.model_fields.items()
    if not {name for name, one in fields if getattr(config, name) != one.default} - _OF_ALL:
        return  # without importing the other sources
    own = source_type(dataset).own_options
    for other in source_types():
        for option in (one for one in other.own_options if one not in own):
            if getattr(config, option) != DataConfig.model_fields[option].default:
                yield f"{option}: is for dataset: {other.name}, but {config.path} is {dataset}"


def _unread_options(config: DataConfig, chosen: ChosenSource) -> Iterator[str]:
    """Yield why options aren't read: the protocol decides."""
    name, system = chosen.protocol.name, chosen.source.system
    if config.splits_path is not None and not chosen.protocol.is_benchmark:
        yield f"splits_path: protocol {name} reads no split lists"
    if config.code_system is not None and shape_of(config.code_system) != system:
        yield f"code_system: is {config.code_system}, but protocol {name} has codes of {system}"


def _ignored(config: DataConfig, reasons: Iterable[str]) -> tuple[str, ...]:
    """Return the reasons why options aren't read as warnings, for a run that exists.

    Raises:
        ConfigError: If there is one, and it is a new run.
    """
    found = tuple(reasons)
    if found and not config.of_a_run:
        raise ConfigError(f"{found[0]}. Leave it out.")
    return tuple(f"ignored: {reason}" for reason in found)


def _looks_like() -> str:
    kinds = source_types()
    width = max(len(kind.name) for kind in kinds) + 1
    return "".join(f"\n  {kind.name + ':':{width}} {kind.looks_like}" for kind in kinds)
