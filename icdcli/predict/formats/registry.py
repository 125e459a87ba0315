"""The formats of ``--format``: which there are, and which files they are written to."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

from icdcli.data.notes.text import Note
from icdcli.errors import ConfigError
from icdcli.predict.formats.blocks import CodedBlock, Format, ModelName
from icdcli.predict.formats.codiesp import require_one_line_id, write_codiesp
from icdcli.predict.formats.fhir import write_fhir
from icdcli.predict.formats.format_name import TABLES, FormatName
from icdcli.predict.formats.hl7 import write_dg1
from icdcli.predict.formats.label_studio import (
    gather_label_studio,
    join_label_studio,
    write_label_studio,
)
from icdcli.predict.formats.omop import (
    NOTE_NLP,
    gather_omop_csv,
    join_omop_csv,
    join_omop_parquet,
    require_note_id,
    write_omop,
)
from icdcli.predict.formats.omop_occurrences import Occurrences, require_occurrence
from icdcli.predict.writers import TABLE_FORMATS, join_lines, table_format

if TYPE_CHECKING:
    import pyarrow as pa


class Shape(NamedTuple):
    """What a file has.

    Attributes:
        format: Its format; None: by the ending of its name.
        evidence: Whether codes have evidence.
        check: Whether notes have findings.
        resolve: Whether codes are removed by hard rules.
        actions: Whether codes are marked for acceptance or for review.
        encounters: Whether several notes of an encounter are joined.
        principal: Whether the principal diagnosis is marked.
        concepts: The folder with OMOP's tables of concepts.
    """

    format: FormatName | None = None
    evidence: bool = False
    check: bool = False
    resolve: bool = False
    actions: bool = False
    encounters: bool = False
    principal: bool = False
    concepts: str | None = None


_ENDINGS: dict[str, tuple[str, ...]] = {
    "jsonl": (".jsonl",),
    "csv": (".csv",),
    "parquet": (".parquet",),
    "fhir": (".ndjson", ".jsonl"),
    "omop": (".csv", ".parquet"),
    "omop-conditions": (".csv", ".parquet"),
    "omop-procedures": (".csv", ".parquet"),
    "dg1": (".hl7",),
    "labelstudio": (".json",),
    "codiesp": (".tsv",),
}
_NEED_EVIDENCE = ("omop", "labelstudio")
_OCCURRENCES = {"omop-conditions": "diagnosis", "omop-procedures": "procedure"}
_WITHOUT_ACTIONS = {
    "dg1": "HL7 v2",
    "codiesp": "CodiEsp's format",
    **dict.fromkeys(_OCCURRENCES, "OMOP"),
}


def needs_evidence(format: FormatName | None) -> bool:
    """Return whether a format always has evidence."""
    return format in _NEED_EVIDENCE


def choose_format(path: Path, model: ModelName, shape: Shape | None = None) -> Format:
    """Return the format for a file.

    Args:
        path: The file.
        model: The model whose codes it gets.
        shape: What it has.

    Raises:
        ConfigError: If the ending of its name doesn't fit.
    """
    shape = shape or Shape()
    ending = path.suffix.lower()
    if shape.format is None and ending not in TABLE_FORMATS:
        others = ", ".join(name for name in get_args(FormatName) if name not in TABLES)
        raise ConfigError(
            f"--output {path}: the name must end in {', '.join([*TABLE_FORMATS][:-1])} or "
            f"{[*TABLE_FORMATS][-1]}. For other formats, pass --format ({others})."
        )
    if shape.format is not None and ending not in _ENDINGS[shape.format]:
        raise ConfigError(
            f"--output {path}: with --format {shape.format}, the name must end in "
            f"{' or '.join(_ENDINGS[shape.format])}."
        )
    if shape.format in _WITHOUT_ACTIONS and shape.actions:
        raise ConfigError(
            f"--accept-at: {_WITHOUT_ACTIONS[shape.format]} has no field for whether a code must "
            "be reviewed. Choose another --format, or leave out one of the options."
        )
    if shape.concepts is not None and shape.format not in _OCCURRENCES:
        raise ConfigError(
            f"--concepts: is for --format {' and '.join(_OCCURRENCES)}. Leave it out."
        )
    if shape.format is None or shape.format in TABLES:
        return table_format(ending, *shape[1:-1])
    if shape.format in _OCCURRENCES:
        folder = None if shape.concepts is None else Path(shape.concepts)
        table = Occurrences(_OCCURRENCES[shape.format], folder)
        require = require_occurrence(shape.format)
        return _omop_format(ending, ".occurrences", table.write, table.schema, require)
    return _OTHERS[shape.format](model, ending)


def _omop_format(
    ending: str,
    part: str,
    write: Callable[[Path, CodedBlock], None],
    schema: "pa.Schema",
    require: Callable[[Note], None],
) -> Format:
    join, gather = (
        (join_omop_csv, gather_omop_csv)
        if ending == ".csv"
        else (join_omop_parquet, join_omop_parquet)
    )
    return Format(part, write, partial(join, schema), partial(gather, schema), require)


def _omop(model: ModelName, ending: str) -> Format:
    return _omop_format(ending, ".nlp", partial(write_omop, model), NOTE_NLP, require_note_id)


_OTHERS: dict[str, Callable[[ModelName, str], Format]] = {
    "fhir": lambda model, ending: Format(
        ".ndjson", partial(write_fhir, model), join_lines, join_lines
    ),
    "dg1": lambda model, ending: Format(".hl7", partial(write_dg1, model), join_lines, join_lines),
    "labelstudio": lambda model, ending: Format(
        ".tasks", partial(write_label_studio, model), join_label_studio, gather_label_studio
    ),
    "codiesp": lambda model, ending: Format(
        ".ranked", write_codiesp, join_lines, join_lines, require_one_line_id
    ),
    "omop": _omop,
}
