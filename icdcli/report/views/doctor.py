"""The check of a machine and a configuration on the terminal. It fits 80 columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.table import Table

from icdcli.report.formatting import counted, plain
from icdcli.report.views.estimate import estimate_view


def machine_view(checkup: Mapping[str, Any]) -> RenderableType:
    """Render the properties of a machine, and the features that work on it.

    Args:
        checkup: ``machine``, ``packages``, ``works``, ``disk`` and ``split_lists``, as
            `icdcli.profiling.check_machine` returns them.

    Returns:
        A rich renderable.
    """
    machine = checkup["machine"]
    rows = {
        "system": f"{machine['system']}, Python {machine['python']}",
        "processor": f"{machine['processor']}, {counted(machine['cores'], 'core')}",
        "memory": _of(machine["memory_free"], machine["memory_total"]),
    }
    for gpu in machine["gpus"]:
        capability = ".".join(map(str, gpu["capability"]))
        rows[f"GPU {gpu['number']}"] = (
            f"{gpu['name']}, {_of(gpu['free'], gpu['total'])}, capability {capability}"
        )
    if not machine["gpus"]:
        rows["GPU"] = "none that PyTorch can use. Train with device=cpu"
    rows["CUDA"] = (
        machine["cuda"] or "not in this build of PyTorch; pytorch.org has builds with CUDA"
    )
    disk, lists = checkup["disk"], checkup["split_lists"]
    rows["disk"] = f"{_of(disk['free'], disk['total'])}, in {disk['folder']}"
    here = [protocol for protocol, there in lists["protocols"].items() if there]
    rows["split lists"] = (
        ", ".join(here) or "none here. Download the published lists: icdcode splits fetch"
    )
    packages = checkup["packages"]
    missing = [name for name, version in packages.items() if version is None]
    installed = "  ".join(
        f"{name} {version}" for name, version in packages.items() if version is not None
    )
    if missing:
        installed += (
            f"\nnot installed: {', '.join(missing)}; needed only if a configuration uses them"
        )
    works = Table.grid(padding=(0, 2, 0, 0))
    for ability in checkup["works"]:
        sign = plain("yes", "green") if ability["works"] else plain("no", "yellow")
        works.add_row(ability["name"], sign, plain(ability["note"]))
    return Group(
        _headed("This machine", _grid(rows)),
        _headed("Packages", plain(installed)),
        _headed("Features", works),
    )


def configuration_view(name: str, found: Mapping[str, Any]) -> RenderableType:
    """Render whether a configuration can run on the machine.

    Args:
        name: The name of the configuration.
        found: What `icdcli.profiling.check_config.examine` gives.

    Returns:
        A rich renderable.
    """
    rows = {}
    if (model := found["model"]) is not None:
        rows["model"] = f"{model['name']}: a lexical model, on the CPU"
        if model["architecture"] is not None:
            rows["model"] = (
                f"{model['name']}: {model['architecture']}, {model['layers']} layers, "
                f"{model['width']} wide"
            )
        if not model["here"]:
            rows["weights"] = f"not here yet. Training downloads them from {model['base']}"
    if (data := found["data"]) is not None:
        state = f"prepared: {data['corpus']}" if data["corpus"] is not None else "not prepared yet"
        rows["data"] = f"{data['dataset']} · {data['protocol']}, {state}"
    parts: list[RenderableType] = [_headed(f"Configuration {name}", _grid(rows))] if rows else []
    if (memory := found["memory"]) is not None:
        note = f"for {memory['labels']:,} labels, if every document is max_len tokens long"
        parts += [
            estimate_view(memory["estimate"], memory["free"], found["seconds"]),
            plain(note),
            plain(""),
        ]
    return Group(*parts, *(_problems(found["problems"])))


def _problems(problems: Sequence[str]) -> list[RenderableType]:
    return [] if problems else [plain("This configuration can run here.", "green")]


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
