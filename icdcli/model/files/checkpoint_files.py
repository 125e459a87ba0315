"""The files of a checkpoint, and its settings.

``coder.json`` has the settings, the threshold and the fusion among them. `network_weights` reads
and writes the weights of a network.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from icdcli import __version__
from icdcli.errors import ResumeError
from icdcli.io.manifest import verify
from icdcli.model.section import TFIDF

LABELS, LEXICAL, BACKBONE, ADAPTER_FOLDER = "labels.parquet", "lexical", "backbone", "adapter"
SETTINGS = "coder.json"


def write_settings(folder: Path, file_format: int, settings: Mapping[str, Any]) -> None:
    """Write a checkpoint's settings.

    Args:
        folder: The checkpoint's folder.
        file_format: The number of the format that the checkpoint is written in.
        settings: The settings, of JSON's types.
    """
    content = {"format": file_format, "icdcode": __version__, **settings}
    (folder / SETTINGS).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def replace_settings(folder: Path, changes: Mapping[str, Any]) -> None:
    """Write a checkpoint's settings with other values of some; its manifest is written after."""
    content = {**peek_settings(folder), **changes}
    (folder / SETTINGS).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_settings(folder: Path, file_format: int) -> dict[str, Any]:
    """Verify a checkpoint's files against its manifest and return its settings.

    Raises:
        ResumeError: If the checkpoint is incomplete, was changed, or is of another format.
    """
    verify(folder)
    settings: dict[str, Any] = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    if settings["format"] != file_format:
        raise ResumeError(
            f"{folder}: written by another version of icdcode ({settings['icdcode']}); this is "
            f"version {__version__}. Load it with that version, or train the model again."
        )
    return settings


def peek_settings(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's settings without verifying its files; empty if they can't be read."""
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return settings if isinstance(settings, dict) else {}


def is_tfidf(folder: Path) -> bool:
    """Return whether a folder is the checkpoint of a TF-IDF model."""
    try:
        return bool(peek_settings(folder)["model"]["model"] == TFIDF)
    except (KeyError, TypeError):
        return False  # loading it as a neural model reports the problem
