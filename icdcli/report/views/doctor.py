"""The check of a machine and a configuration on the terminal. It fits 80 columns."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.table import Table

from icdcli.errors import counted
from icdcli.report.formatting import plain
from icdcli.report.views.estimate import estimate_view

if TYPE_CHECKING:
    from icdcli.profiling.check_config import ConfigCheck
    from icdcli.profiling.check_machine import MachineCheck


def machine_view(check: "MachineCheck") -> RenderableType:
    """Render the properties of a machine, and the features that work on it.

    Args:
        check: The result of `icdcli.profiling.check_machine.check_machine`.

    Returns:
        A rich renderable.
    """
    machine = check.machine
    rows = {
        "system": f"{machine.system}, Python {machine.python}",
        "processor": f"{machine.processor}, {counted(machine.cores, 'core')}",
        "memory": _of(machine.memory_free, machine.memory_total),
    }
    for gpu in machine.gpus:
        capability = ".".join(map(str, gpu.capability))
        rows[f"GPU {gpu.number}"] = (
            f"{gpu.name}, {_of(gpu.free, gpu.total)}, capability {capability}"
        )
    if not machine.gpus:
        rows["GPU"] = "none that PyTorch can use. Train with device=cpu"
    rows["CUDA"] = machine.cuda or "not in this build of PyTorch; pytorch.org has builds with CUDA"
    rows["disk"] = f"{_of(check.disk.free, check.disk.total)}, in {check.disk.folder}"
    here = [protocol for protocol, complete in check.split_lists.protocols.items() if complete]
    rows["split lists"] = (
        ", ".join(here) or "none here. Download the published lists: icdcode splits fetch"
    )
    packages = check.packages
    missing = [name for name, version in packages.items() if version is None]
    installed = "  ".join(
        f"{name} {version}" for name, version in packages.items() if version is not None
    )
    if missing:
        installed += (
            f"\nnot installed: {', '.join(missing)}; needed only if a configuration uses them, or "
            "for speed"
        )
    features = Table.grid(padding=(0, 2, 0, 0))
    for feature in check.features:
        sign = plain("yes", "green") if feature.works else plain("no", "yellow")
        features.add_row(feature.name, sign, plain(feature.note))
    return Group(
        _headed("This machine", _grid(rows)),
        _headed("Packages", plain(installed)),
        _headed("Features", features),
    )


def configuration_view(name: str, check: "ConfigCheck") -> RenderableType:
    """Render whether a configuration can run on the machine.

    Args:
        name: The name of the configuration.
        check: The result of `icdcli.profiling.check_config.check_config`.

    Returns:
        A rich renderable.
    """
    rows = {}
    if (model := check.model) is not None:
        rows["model"] = f"{model.name}: TF-IDF and linear classifiers, on the CPU"
        if model.architecture is not None:
            rows["model"] = (
                f"{model.name}: {model.architecture}, {model.layers} layers, {model.width} wide"
            )
        if not model.available:
            rows["weights"] = f"not here yet. Training downloads them from {model.base}"
    if (data := check.data) is not None:
        state = "not prepared yet" if data.corpus is None else f"prepared: {data.corpus}"
        rows["data"] = f"{data.dataset} · {data.protocol}, {state}"
    parts: list[RenderableType] = [_headed(f"Configuration {name}", _grid(rows))] if rows else []
    if (memory := check.memory) is not None:
        note = f"for {memory.labels:,} labels, if every document is max_len tokens long"
        parts += [
            estimate_view(memory.estimate, memory.free, check.seconds),
            plain(note),
            plain(""),
        ]
    if not check.problems:
        parts.append(plain("This configuration can run here.", "green"))
    return Group(*parts)


def _of(free: int | None, total: int | None) -> str:
    return (
        "unknown" if free is None or total is None else f"{decimal(free)} free of {decimal(total)}"
    )


def _grid(rows: Mapping[str, str]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for name, text in rows.items():
        grid.add_row(plain(name), plain(text))
    return grid


def _headed(heading: str, content: RenderableType) -> RenderableType:
    return Group(plain(heading, "bold"), content, plain(""))
