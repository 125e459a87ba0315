"""The checkpoints of a run that was copied without its symbolic links.

The names of checkpoints, ``weights/last`` and others, are links, which zip, object stores and some
other programs drop. ``weights/names.json`` has the same names. A run of an earlier version doesn't
have this file; the manifests of its checkpoints show which is which.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from icdcli.config.loading import load_config
from icdcli.config.metric_names import VALIDATION_LOSS, monitored
from icdcli.io.files import write_json
from icdcli.io.manifest import read_manifest

PREVIOUS, STEPS = "previous", "steps"
_NAMES = "names.json"


def write_names(weights: Path, names: Mapping[str, str]) -> None:
    """Store the folder in ``weights/steps`` that each name refers to.

    Raises:
        OSError: If the file can't be written.
    """
    write_json(weights / _NAMES, dict(names))


def steps_in(weights: Path) -> list[Path]:
    """Return the folders of checkpoints, in the order in which they were written."""
    folders = [path for path in (weights / STEPS).glob("[0-9]*") if path.is_dir()]
    return sorted(folders, key=lambda path: [int(part) for part in path.name.split("-")])


def checkpoint_without_links(weights: Path, args: Path, name: str) -> Path | None:
    """Return the folder that a name referred to before its link was lost; None if there is none.

    Args:
        weights: The folder ``weights`` of the run.
        args: The configuration of the run.
        name: ``metric``, ``loss``, ``last`` or ``previous``.

    Raises:
        ResumeError: If the manifest of a checkpoint can't be read.
    """
    last = weights / "last"
    if name != "last" and last.is_dir() and any(last.iterdir()):
        return None  # the links are there: every run with a checkpoint has this one
    if (weights / _NAMES).exists():
        try:
            names = json.loads((weights / _NAMES).read_text(encoding="utf-8"))
            folder = weights / STEPS / names[name]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return folder if folder.is_dir() else None
    steps = steps_in(weights)
    if name in ("last", PREVIOUS):
        return next(iter(steps[::-1][name == PREVIOUS :]), None)
    values = {step: value for step in steps if (value := _value(args, step, name)) is not None}
    return min(values, key=lambda step: values[step]) if values else None


def _value(args: Path, checkpoint: Path, name: str) -> float | None:
    """Return what is lowest for the best checkpoint; None if its manifest doesn't have it."""
    manifest = read_manifest(checkpoint)
    values = {**manifest.get("metrics", {}), VALIDATION_LOSS: manifest.get("validation_loss")}
    if name == "loss":
        loss = values[VALIDATION_LOSS]
        return None if loss is None or math.isnan(loss) else float(loss)
    config = load_config(args)
    names, higher_is_better = monitored(config.train.monitor, config.log.metrics)
    if any(values.get(metric) is None for metric in names):
        return None
    defined = [float(values[metric]) for metric in names if not math.isnan(values[metric])]
    if not defined:
        return None
    mean = sum(defined) / len(defined)
    return -mean if higher_is_better else mean
