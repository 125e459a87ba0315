"""The references of an ensemble's checkpoint to the checkpoints of its members.

``coder.json`` names each member's folder, relative to the ensemble's checkpoint and absolute, and
the SHA-256 of its manifest, and so of all its files. Members in the ensemble's own folder, as
``icdcode export`` writes them, have no absolute path.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icdcli.errors import ResumeError
from icdcli.io.manifest import MANIFEST, manifest_sha256
from icdcli.model.ensemble.member import UNCALIBRATED, LogitCalibration
from icdcli.model.files.base_identity import current_state
from icdcli.model.files.checkpoint_files import peek_settings, read_settings, write_settings
from icdcli.run_dir import run_of

FORMAT = 1
_MEMBERS = "members"


@dataclass(frozen=True)
class MemberReference:
    """Where a member is, and what it was when the ensemble was made.

    Attributes:
        name: Its name in the ensemble.
        folder: The folder of its checkpoint.
        sha256: The hash of the checkpoint's manifest.
        calibration: The calibration of its logits.
    """

    name: str
    folder: Path
    sha256: str
    calibration: LogitCalibration = UNCALIBRATED

    @classmethod
    def of(cls, name: str, folder: Path) -> "MemberReference":
        """Return the reference to a checkpoint as it is now.

        Raises:
            ResumeError: If its manifest can't be read.
        """
        return cls(name, Path(os.path.abspath(folder)), manifest_sha256(folder))


def is_ensemble(folder: Path) -> bool:
    """Return whether a folder is the checkpoint of an ensemble."""
    return _MEMBERS in peek_settings(folder)


def write_references(
    folder: Path, settings: Mapping[str, Any], members: Sequence[MemberReference]
) -> None:
    """Write the settings of an ensemble's checkpoint, with its members.

    Args:
        folder: The checkpoint's folder. Its paths hold after a rename to a folder beside it.
        settings: All settings but the members.
        members: The members.
    """
    start = os.path.realpath(folder)
    stored = [
        {
            "name": one.name,
            "path": _relative(one.folder, start),
            "folder": None if one.folder.is_relative_to(folder.absolute()) else str(one.folder),
            "manifest_sha256": one.sha256,
            "calibration": one.calibration.to_json(),
        }
        for one in members
    ]
    write_settings(folder, FORMAT, {**settings, _MEMBERS: stored})


def _relative(folder: Path, start: str) -> str | None:
    """Return the relative path from one folder to another; None if their drives differ."""
    try:
        return Path(os.path.relpath(os.path.realpath(folder), start)).as_posix()
    except ValueError:
        return None


def read_references(folder: Path) -> tuple[dict[str, Any], list[MemberReference]]:
    """Read the settings of an ensemble's checkpoint, and find its members.

    Raises:
        ResumeError: If the checkpoint or a member is missing, incomplete, or was changed.
    """
    settings = read_settings(folder, FORMAT)
    return settings, [_found(folder, one) for one in settings[_MEMBERS]]


def base_states(checkpoint: Path) -> str:
    """Return a hash of the base models that a checkpoint is loaded with now.

    It is empty if the checkpoint needs none, or if none can be found; loading then reports why.
    """
    if not is_ensemble(checkpoint):
        return current_state(checkpoint)
    try:
        members = read_references(checkpoint)[1]
    except ResumeError:
        return ""
    return " ".join(current_state(one.folder) for one in members)


def _found(folder: Path, stored: Mapping[str, Any]) -> MemberReference:
    name, path = stored["name"], stored["path"]
    places = [] if path is None else [Path(os.path.normpath(folder.resolve() / path))]
    places += [] if stored["folder"] is None else [Path(stored["folder"])]
    found = next((place for place in places if (place / MANIFEST).is_file()), None)
    remake = f"make the ensemble again: icdcode ensemble {_command(folder)}"
    if found is None:
        raise ResumeError(
            f"{folder}: its member {name!r} isn't there: {places[0]}. Put the "
            f"run back in this place, or {remake}"
        )
    if manifest_sha256(found) != stored["manifest_sha256"]:
        raise ResumeError(
            f"{folder}: its member {name!r} was changed since the ensemble was made: {found}. "
            f"Restore the run, or {remake}"
        )
    calibration = LogitCalibration(**stored["calibration"])
    return MemberReference(name, found, stored["manifest_sha256"], calibration)


def _command(folder: Path) -> str:
    run = run_of(folder)
    return "RUN RUN …" if run is None else f"RUN RUN … --name {run.name}"
