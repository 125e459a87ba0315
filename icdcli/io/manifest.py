"""A checkpoint's manifest: each file's hash, so that a broken or half-written checkpoint is found before it is used."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from icdcli.errors import ResumeError

MANIFEST = "manifest.json"


def write_manifest(folder: Path, about: Mapping[str, Any]) -> None:
    """Note every file's sha256, so that a broken or changed one is found; ``about`` is kept beside them."""
    paths = [
        path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / MANIFEST
    ]
    files = {path.relative_to(folder).as_posix(): _sha256(path) for path in paths}
    (folder / MANIFEST).write_text(
        json.dumps({**about, "files": files}, indent=2) + "\n", encoding="utf-8"
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """A checkpoint's manifest, taken at its word.

    Raises:
        ResumeError: When it is missing or can't be read.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ResumeError(f"{folder}: holds no checkpoint (no {MANIFEST})") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ResumeError(f"{folder / MANIFEST}: can't be read: {error}") from None
    if (
        not isinstance(manifest, dict)
        or not isinstance(files := manifest.get("files"), dict)
        or not files
    ):
        raise ResumeError(
            f"{folder / MANIFEST}: doesn't say which files the checkpoint has; {folder} is none, or damaged"
        )
    return manifest


def verify(folder: Path) -> dict[str, Any]:
    """Compare a checkpoint with its manifest, and return the manifest.

    Raises:
        ResumeError: When it is missing, a file of it is, or one was changed.
    """
    manifest = read_manifest(folder)
    for name, digest in manifest["files"].items():
        try:
            found = _sha256(folder / name)
        except FileNotFoundError:
            raise ResumeError(
                f"{folder}: the checkpoint is incomplete: {name} is missing"
            ) from None
        except (OSError, ValueError) as error:
            raise ResumeError(
                f"{folder}: a file of the checkpoint can't be read: {error}"
            ) from None
        if found != digest:
            raise ResumeError(
                f"{folder / name}: was changed or is broken (its sha256 is not the manifest's)"
            )
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
