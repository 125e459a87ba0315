"""Which data set the user points at, and the source and protocol that it is read with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icdcli.data.benchmarks.protocols import Protocol, choose_protocol
from icdcli.data.corpus.writer import Source
from icdcli.data.section import DataConfig
from icdcli.data.sources.codiesp import CodiespSource
from icdcli.data.sources.mdace import MdaceAnnotations
from icdcli.data.sources.mimic3 import TABLES, Mimic3Source
from icdcli.data.sources.mimic4 import NOTES, Mimic4Source, parts
from icdcli.data.sources.table import ENDINGS, TableSource
from icdcli.errors import ConfigError, DataError
from icdcli.io.csv_reader import Reading
from icdcli.io.raw_tables import list_folder

_LOOKS_LIKE = f"""
  mimic3:  a folder with {", ".join(TABLES)} as .csv or .csv.gz
  mimic4:  a folder with hosp/ (diagnoses_icd, procedures_icd, d_icd_…) and note/ (discharge), as .csv or .csv.gz
  codiesp: a folder with train/ and dev/, each with text_files_en/ or text_files/, trainD.tsv, devD.tsv …
  table:   a file ending in {", ".join(ENDINGS)} with a column of texts and one of codes"""


@dataclass(frozen=True)
class Chosen:
    """What a configuration's data are.

    Attributes:
        dataset: ``mimic3``, ``mimic4``, ``codiesp`` or ``table``.
        source: Reads them.
        protocol: Makes a benchmark of them.
        options: The options beside the protocol that change what comes out.
    """

    dataset: str
    source: Source
    protocol: Protocol
    options: dict[str, Any]


def choose_source(config: DataConfig, reading: Reading) -> Chosen:
    """Find out what the configuration points at.

    Raises:
        ConfigError: When the data set doesn't know the protocol, or an option isn't for it.
        DataError: When there is nothing, or nothing that is known.
    """
    path = config.path
    if not path.exists():
        where = "" if path.is_absolute() else f" in {Path.cwd()}"
        raise DataError(
            f"{path}: no such file or folder{where}; set data_path (or mimic3_data_path) to your data, "
            f"or make synthetic ones with `icdcode demo-data {path}`"
        )
    dataset = config.dataset or recognize(path)
    if path.is_file() != (dataset == "table"):
        wanted, given = ("file", "folder") if dataset == "table" else ("folder", "file")
        raise DataError(
            f"{path}: is a {given}, but dataset: {dataset} is a {wanted}; these are known:{_LOOKS_LIKE}"
        )
    for option, its in (("evidence_column", "table"), ("evidence_path", "mimic3")):
        if getattr(config, option) is not None and dataset != its:
            raise ConfigError(
                f"{option}: is for dataset: {its}, but {path} is {dataset}; leave it out"
            )
    own: dict[str, Any]
    source: Source
    if dataset == "table":
        columns = ("text_column", "codes_column", "id_column", "subject_column", "split_column")
        own = {name: getattr(config, name) for name in columns}
        if config.evidence_column is not None:
            own["evidence_column"] = config.evidence_column
        source = TableSource(path, **own, reading=reading, system=config.code_system)
        protocol = choose_protocol(dataset, config.protocol, source.has_splits)
        own["code_system"] = config.code_system
    elif dataset == "codiesp":
        protocol = choose_protocol(dataset, config.protocol)
        own = {"language": config.language, "codes": config.codes}
        source = CodiespSource(path, **own, reading=reading)
    else:
        protocol = choose_protocol(dataset, config.protocol)
        own = {} if protocol.is_benchmark else {"label_pruning": config.label_pruning}
        if dataset == "mimic4":
            own["code_system"] = protocol.system or config.code_system or "icd10"
            source = Mimic4Source(path, own["code_system"], reading)
        else:
            annotations = (
                MdaceAnnotations(config.evidence_path, reading) if config.evidence_path else None
            )
            source = Mimic3Source(path, reading, annotations)
    own |= {"text_cleaning": config.text_cleaning, "skip_bad_rows": config.skip_bad_rows}
    # An option that is not as it always was goes into the corpus' hash; one that changes nothing does not.
    if config.label_space == "described" and not protocol.is_benchmark:
        if source.system is None:
            raise ConfigError(
                "label_space: described needs the codes' system: set code_system: icd9 or icd10"
            )
        own["label_space"] = config.label_space
    return Chosen(dataset, source, protocol, own)


def recognize(path: Path) -> str:
    """The name of the data set that a folder or file holds.

    Raises:
        DataError: When it looks like none that is known.
    """
    if path.is_file():
        if path.name.lower().endswith(ENDINGS):
            return "table"
        raise DataError(f"{path}: is no data set that icdcode knows; these are:{_LOOKS_LIKE}")
    names = {entry.name.lower() for entry in list_folder(path)}
    if any(name.startswith("noteevents") for name in names):
        return "mimic3"
    if any(name.startswith(f"{NOTES}.csv") for name in names) or parts(path, "hosp"):
        return "mimic4"
    if any(name.split(".", 1)[0].upper() in TABLES for name in names):
        return "mimic3"
    if (path / "train").is_dir() and any(path.glob("train/text_files*")):
        return "codiesp"
    raise DataError(f"{path}: is no data set that icdcode knows; these are:{_LOOKS_LIKE}")
