"""A table of the user's own notes: a CSV, JSONL or Parquet file with texts and codes."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from icdcli.data.benchmarks.protocols import PATIENT, SPLIT_COLUMN, choose_protocol
from icdcli.data.section import DataConfig
from icdcli.data.sources.admission import CODES_COLUMN
from icdcli.data.sources.long_format.opening import (
    OWN_OPTIONS,
    long_codes,
    order_columns,
    overlooked_sequence,
    require_ids,
)
from icdcli.data.sources.registry import ChosenSource, Inspection, Match, SourceType, register
from icdcli.data.sources.tables.codes import listed_codes, refuse_problem
from icdcli.data.sources.tables.rows import moreover
from icdcli.data.sources.tables.source import OPTIONAL_COLUMNS, TableSource
from icdcli.data.sources.tables.splits import (
    ignored_splits,
    overlooked_columns,
    refuse_ignored_splits,
    refuse_leaks,
)
from icdcli.errors import ConfigError
from icdcli.icd.code_system import shape_of
from icdcli.io.csv_reader import Reading
from icdcli.io.tables.records import ENDINGS, is_table

_PROTOCOLS = (PATIENT,)
_COLUMNS = ("text_column", "codes_column", "id_column", "subject_column", "split_column")


def _recognizes(file: Path) -> Match:
    return Match.CERTAIN if is_table(file) else Match.NONE


def _open(config: DataConfig, reading: Reading) -> ChosenSource:
    options: dict[str, Any] = {name: getattr(config, name) for name in _COLUMNS}
    for name in (*OPTIONAL_COLUMNS, "note_types"):
        if (value := getattr(config, name)) is not None:
            options[name] = value
    if config.note_types is not None and config.note_type_column is None:
        raise ConfigError(
            "note_types: needs the column of the types. Set note_type_column, or leave it out."
        )
    accepted = config.accept_unknown_codes
    long = long_codes(config, reading)
    source = TableSource(
        config.path,
        **options,
        reading=reading,
        system=None if config.code_system is None else shape_of(config.code_system),
        code_kind=config.code_kind,
        accept_unknown_codes=accepted,
        long_codes=long,
        ordered=config.principal,
    )
    listed = listed_codes(config.code_system, source.last_day)
    source = replace(source, listed=listed)
    if long is not None:
        require_ids(config.path, source.columns.names)
        long.listed = listed
        options["long_format"] = long.columns
    order = order_columns(config, long)
    column = source.own_splits
    known = _PROTOCOLS if column is None else (SPLIT_COLUMN, *_PROTOCOLS)
    protocol = choose_protocol("table", known, config.protocol)
    others = () if long is not None else overlooked_sequence(source.columns.others)
    notices = (*moreover(source.columns), *overlooked_columns(source.columns), *others)
    if column is not None and protocol is not SPLIT_COLUMN:
        if not config.ignore_split_column:
            refuse_ignored_splits(config.path, column, protocol.name)
        notices = (*notices, ignored_splits(column, protocol.name))
    options["code_system"] = config.code_system
    if config.code_kind is not None:
        options["code_kind"] = config.code_kind

    def refuse(card: Mapping[str, Any]) -> None:
        refuse_problem(config.path, card.get(CODES_COLUMN, {}), accepted)
        refuse_leaks(config.path, card, config.accept_leaks)

    return ChosenSource(
        "table",
        source,
        protocol,
        options,
        lambda: Inspection({CODES_COLUMN: source.codes.entry}, source.codes.reads_differently),
        refuse,
        notices,
        last_day=source.last_day,
        order=order,
    )


register(
    SourceType(
        name="table",
        looks_like=f"a table with a column of texts and one of codes, ending in {ENDINGS}",
        protocols=_PROTOCOLS,
        recognizes=_recognizes,
        open=_open,
        is_file=True,
        own_options=(*_COLUMNS, *OPTIONAL_COLUMNS, "note_types", "code_kind", *OWN_OPTIONS),
    )
)
