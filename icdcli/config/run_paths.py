"""The relative paths in a run's args.yaml, which hold wherever a command is called.

``args.yaml`` keeps paths as they were typed, so that a project folder can be moved as a whole.
``origin.json`` beside it has the folder in which the run was made.
"""

import json
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from icdcli.config.schema import Config
from icdcli.io.files import write_json, writing

RUN_CONFIG = "args.yaml"
ORIGIN = "origin.json"
_FILE = "file:"  # what a code_system begins with that is a table


def write_origin(run: Path) -> None:
    """Store the working folder in a run folder: relative paths in its configuration start there.

    Raises:
        DataError: If the file can't be written.
    """
    path = run / ORIGIN
    with writing(path):
        write_json(path, {"folder": str(Path.cwd())})


def resolve_paths(config: Config, args: Path, given: Collection[str]) -> Config:
    """Return a run's configuration with relative paths that hold in the working folder.

    A path starts in the first of these folders in which it exists: the one that the run's folder is
    in as ``project`` says, the one in which the run was made, the working folder.

    Args:
        config: The configuration.
        args: The file that it comes from.
        given: The keys from the command line, whose paths start in the working folder.
    """
    origins = list(_origins(args, config.run.project, config.run.name))
    if not origins:
        return config
    here = Path.cwd()
    sections = {}
    for name in Config.sections:
        section = getattr(config, name)
        moved = {}
        for key, value in section:
            if not _is_relative_path(key, value):
                continue
            starts = [here] if key in given else [*origins, here]
            prefix = _FILE if key == "code_system" else ""
            path = Path(str(value).removeprefix(prefix))
            start = next((start for start in starts if (start / path).exists()), starts[0])
            if start != origins[0] or start != here:
                found = Path(os.path.normpath(start / path))
                moved[key] = found if isinstance(value, Path) else f"{prefix}{found}"
            if key == "model" and not (start / value).is_dir():
                moved.pop(key, None)  # an id on the hub
        sections[name] = section.model_copy(update=moved)
    return config.model_copy(update=sections)


def change_keys(config: Config, changes: Mapping[str, Any]) -> Config:
    """Return a configuration with other values of some keys."""
    flat = {**config.flat(), **changes}
    sections = {
        name: kind.model_validate({key: flat[key] for key in kind.model_fields})
        for name, kind in Config.sections.items()
    }
    return Config.model_validate(sections)


def _is_relative_path(key: str, value: object) -> bool:
    if key == "model" and isinstance(value, str):
        return ("/" in value or os.sep in value) and not Path(value).is_absolute()
    if key == "code_system" and isinstance(value, str):
        path = value.removeprefix(_FILE)
        return value.startswith(_FILE) and not Path(path).expanduser().is_absolute()
    # The run stays in its folder; a repeated run gets a folder in the working folder's project.
    return key != "project" and isinstance(value, Path) and not value.is_absolute()


def _origins(args: Path, project: Path, name: str) -> Iterable[Path]:
    run = Path(os.path.abspath(args)).parent
    steps = Path(os.path.normpath(project / "run")).parts
    if not project.is_absolute() and ".." not in steps and len(run.parts) > len(steps):
        start = run.parents[len(steps) - 1]
        if run.name.startswith(name) and start / project == run.parent:
            yield start
    try:
        yield Path(json.loads((run / ORIGIN).read_text(encoding="utf-8"))["folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return  # a run of an earlier version
