"""A checkpoint's manifest: the hash of each file, by which damage is found before any use."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from icdcli.errors import ResumeError
from icdcli.io.files import json_values

MANIFEST = "manifest.json"


def write_manifest(folder: Path, about: Mapping[str, Any]) -> None:
    """Write the SHA-256 of every file in a folder.

    Folders in it with a manifest of their own are left out: an exported ensemble has its members.

    Args:
        folder: The checkpoint's folder.
        about: Further entries of the manifest.
    """
    inner = {path.parent for path in folder.rglob(MANIFEST)} - {folder}
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST and inner.isdisjoint(path.parents)
    ]
    files = {path.relative_to(folder).as_posix(): _sha256(path) for path in paths}
    content = json_values({**about, "files": files})
    (folder / MANIFEST).write_text(
        json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8"
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's manifest without checking the files.

    Raises:
        ResumeError: If it is missing or can't be read.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ResumeError(f"{folder}: is not a checkpoint ({MANIFEST} is missing).") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ResumeError(f"{folder / MANIFEST}: can't be read ({error}).") from None
    if (
        not isinstance(manifest, dict)
        or not isinstance(files := manifest.get("files"), dict)
        or not files
    ):
        raise ResumeError(
            f"{folder / MANIFEST}: doesn't list the checkpoint's files. {folder} is not a "
            "checkpoint, or it is damaged."
        )
    return manifest


def manifest_sha256(folder: Path) -> str:
    """Return the hash of a checkpoint's manifest, and so of all its files.

    Raises:
        ResumeError: If the manifest can't be read.
    """
    try:
        return _sha256(folder / MANIFEST)
    except OSError as error:
        raise ResumeError(f"{folder / MANIFEST}: can't be read ({error.strerror}).") from None


def checkpoint_identity(manifest: Mapping[str, Any]) -> dict[str, str | int]:
    """Return a checkpoint's step and a hash over the hashes of its files, from its manifest."""
    files = "".join(f"{digest} {name}\n" for name, digest in sorted(manifest["files"].items()))
    return {
        "step": int(manifest["step"]),
        "checkpoint_hash": hashlib.sha256(files.encode()).hexdigest()[:12],
    }


def verify(folder: Path) -> dict[str, Any]:
    """Compare a checkpoint's files with its manifest, and return the manifest.

    Raises:
        ResumeError: If the manifest or a file is missing, or a file was changed.
    """
    manifest = read_manifest(folder)
    for name, digest in manifest["files"].items():
        try:
            found = _sha256(folder / name)
        except FileNotFoundError:
            raise ResumeError(
                f"{folder}: the checkpoint is incomplete: {name} is missing."
            ) from None
        except (OSError, ValueError) as error:
            raise ResumeError(
                f"{folder}: a file of the checkpoint can't be read ({error})."
            ) from None
        if found != digest:
            raise ResumeError(
                f"{folder / name}: was changed or is damaged (its SHA-256 isn't the manifest's)."
            )
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
