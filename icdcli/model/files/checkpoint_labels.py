"""The label space of a checkpoint, with the editions of its codes."""

from dataclasses import replace
from pathlib import Path

from icdcli.config.loading import load_config
from icdcli.config.run_paths import RUN_CONFIG
from icdcli.data.corpus.reader import Corpus, Labels, read_labels
from icdcli.data.sources.names import source_names
from icdcli.data.sources.registry import source_type
from icdcli.errors import IcdcodeError
from icdcli.icd.code_system import earlier_editions, shape_of
from icdcli.icd.codes import System
from icdcli.icd.editions.records import of_kinds, other_editions
from icdcli.io.manifest import read_manifest
from icdcli.model.files.checkpoint_files import LABELS
from icdcli.run_dir import run_of

EXPORTED_CONFIG = "config.yaml"
"""The file with the run's configuration in an exported model."""


def checkpoint_labels(folder: Path) -> Labels:
    """Read the label space of a checkpoint.

    Version 0.1.0 recorded no editions. Its checkpoints get those that it had, if their coding
    system is known.

    Raises:
        DataError: If it is missing or damaged.
        ResumeError: If the folder is no checkpoint.
    """
    labels = read_labels(folder / LABELS)
    if labels.editions is not None:
        return labels
    editions = earlier_editions(_system(folder))
    if editions is None:
        return labels
    return replace(labels, editions=of_kinds(editions, labels.kinds))


def edition_problem(folder: Path, labels: Labels, corpus: Corpus) -> str | None:
    """Return what is wrong if a checkpoint and a corpus have their codes of different editions.

    Args:
        folder: The folder of the checkpoint.
        labels: Its label space.
        corpus: The corpus that the run's data give now.

    Returns:
        A message that also says what to do; None if no edition differs.
    """
    differing = other_editions(labels.editions, corpus.labels.editions)
    if differing is None:
        return None
    before, now = differing
    return (
        f"{folder}: was trained with codes of {before}, but the data now have those of {now}. "
        "Restore code_system in the run's args.yaml and the file that the edition was imported "
        "from, train again, or make a run for the new edition with `icdcode migrate`"
    )


def _system(folder: Path) -> System | None:
    """Return the coding system of a checkpoint of version 0.1.0; None: unknown."""
    run = run_of(folder)
    path = folder / EXPORTED_CONFIG if run is None else run / RUN_CONFIG
    if path.is_file():
        try:
            name = load_config(path, as_typed=True).data.code_system
        except IcdcodeError:
            name = None  # the checkpoint can be used without it
        if name is not None:
            return shape_of(name)
    corpus = str(read_manifest(folder).get("corpus", ""))
    for dataset in source_names():
        found = source_type(dataset)
        for protocol in found.protocols:
            if corpus.rpartition("-")[0] == f"{dataset}-{protocol.name}":
                return protocol.system or found.system
    return None
