"""Opening the table of codes that a configuration names."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from icdcli.data.section import DataConfig
from icdcli.data.sources.long_format.code_rows import LongCodes
from icdcli.data.sources.long_format.columns import ROLES, uncounted, usual_column
from icdcli.errors import ConfigError, DataError
from icdcli.io.csv_reader import Reading, plain_name
from icdcli.io.tables.records import ENDINGS, column_names, is_table

OWN_OPTIONS = ("codes_path", "sequence_column", "poa_column", "version_column")
"""The keys of the configuration that are about codes in long format."""


def long_codes(config: DataConfig, reading: Reading) -> LongCodes | None:
    """Return the table with one row per encounter and code; None: there is none.

    Without ``codes_path``, it is the table of notes itself if a column of sequences, of POA or of
    versions is set.

    Args:
        config: The configuration.
        reading: How tables are read.

    Raises:
        ConfigError: If the table doesn't exist or isn't one, or an option doesn't go with it.
        DataError: If it can't be read.
    """
    set_options = [name for name in OWN_OPTIONS if getattr(config, name) is not None]
    if not set_options:
        return None
    path = config.codes_path or config.path
    if not path.exists() or not is_table(path):
        what = "is not a table" if path.exists() else "no such file"
        raise ConfigError(f"codes_path: {path}: {what}. Give a table that ends in {ENDINGS}.")
    if not isinstance(config.codes_column, str):
        raise ConfigError(
            f"{set_options[0]}: a table with one row per code has one column of codes, but "
            "codes_column has several. Set it to one."
        )
    configured: dict[str, str | None] = {role: getattr(config, role) for role in ROLES}
    if config.codes_column == DataConfig.model_fields["codes_column"].default:
        configured["codes_column"] = None
    if config.codes_path is not None:
        own = uncounted(reading)
        available = {*map(plain_name, column_names(path, own))}
        name = config.encounter_column or config.id_column
        there = name is not None and plain_name(name) in available
        configured["id_column"] = name if there else None  # it may have another name there
    else:
        configured["id_column"] = config.encounter_column or config.id_column or "id"
    return LongCodes(
        path,
        configured,
        reading,
        config.code_system,
        code_kind=config.code_kind,
        accept_unknown_codes=config.accept_unknown_codes,
    )


def order_columns(config: DataConfig, codes: LongCodes | None) -> tuple[str, ...]:
    """Return what a table's corpus keeps of the order of codes, as columns of its documents.

    Raises:
        ConfigError: If the principal diagnosis is wanted, but the table of codes has no sequence.
    """
    if codes is None:
        if config.principal and config.encounter_column is not None:
            raise ConfigError(
                "principal: with encounter_column, the order of the codes isn't known. Set "
                "codes_path or sequence_column, or leave principal out."
            )
        return ("principal", "codes_in_order") if config.principal else ()
    if not codes.has_order:
        if config.principal:
            raise ConfigError(
                f"principal: {codes.path} has no column of sequences, so that the principal "
                "diagnosis isn't known. Set sequence_column, or leave principal out."
            )
        return ()
    poa = ("poa",) if "poa_column" in codes.columns else ()
    return ("principal", "codes_in_order", *poa)


def require_ids(path: Path, columns: Iterable[str]) -> None:
    """Raise a `DataError` if a table of notes has no ids by which their codes are found.

    Args:
        path: The table.
        columns: The keys of the columns that it has.
    """
    if not {"id_column", "encounter_column"} & {*columns}:
        raise DataError(
            f"{path}: the codes of a note are found by its id. Set id_column or encounter_column."
        )


def refuse_unordered(path: Path) -> NoReturn:
    """Raise the error for rows of one document whose order isn't known.

    Raises:
        DataError: Always.
    """
    raise DataError(
        f"{path}: has several rows per document, and the principal diagnosis is that of the "
        "first code. Set sequence_column to the column of the codes' order."
    )


def overlooked_sequence(names: Iterable[str]) -> Iterator[str]:
    """Yield the warning about a column of sequences that isn't read.

    Args:
        names: The columns of a table of notes that aren't read.
    """
    name = usual_column("sequence_column", list(names))
    if name is not None:
        yield (
            f"column {name!r} isn't read. If the table has one row per code, and it has their "
            f"order, set sequence_column={name}"
        )
