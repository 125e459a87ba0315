"""Where the checkpoint of a run is, without loading it or anything heavy."""

import os
from pathlib import Path

from icdcli.io.manifest import MANIFEST
from icdcli.run_dir import RunDir, find_checkpoint, require_folder


def checkpoint_of(path: str | Path, load: str = "metric") -> Path:
    """Return the folder of a run's checkpoint, or the folder itself if it is a checkpoint.

    Raises:
        ConfigError: If there is no such folder.
        ResumeError: If the run has no such checkpoint.
    """
    folder = Path(path)
    require_folder(folder, "no such run or checkpoint folder")
    if (folder / MANIFEST).is_file() or not (folder / "weights").is_dir():
        # ``weights/metric`` refers to another folder after the next best validation.
        return folder.parent / os.readlink(folder) if folder.is_symlink() else folder
    return find_checkpoint(RunDir(folder), load)


def require_checkpoint(folder: Path, load: str) -> Path:
    """Return what `checkpoint_of` does, and check that it is there before anything is loaded.

    Raises:
        ConfigError: If the folder is neither a run nor a checkpoint.
        ResumeError: If the run has no such checkpoint.
    """
    if not (folder / MANIFEST).is_file():
        return find_checkpoint(RunDir.open(folder), load)
    return checkpoint_of(folder, load)
