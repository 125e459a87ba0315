"""The estimated memory of a training, part by part, and its time. It fits 80 columns."""

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.table import Table

from icdcli.errors import counted
from icdcli.report.formatting import duration, plain

if TYPE_CHECKING:
    from icdcli.profiling.memory import MemoryEstimate

PARTS = {
    "weights": ("weights", "weights of the backbone"),
    "adapters": ("adapters", "low-rank adapters, pretrained ones included"),
    "head": ("head", "output layer or label attention, and the prior"),
    "optimiser": ("optimizer", "AdamW's two averages of each trained weight"),
    "gradients": ("gradients", "gradients that exist at the peak"),
    "activations": ("activations", "kept by the largest forward pass"),
    "holes": ("fragmentation", "freed, but not yet returned to the system"),
    "libraries": ("libraries", "Python, torch and the data; on a GPU also CUDA"),
}
"""The name and the meaning of each part, by its key in JSON."""


def estimate_view(
    estimate: "MemoryEstimate", free: int | None = None, seconds: float | None = None
) -> RenderableType:
    """Render an estimate.

    Args:
        estimate: The estimated memory.
        free: Free memory of the device in bytes, if known.
        seconds: Estimated seconds of the run, if known.

    Returns:
        A rich renderable.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("memory", no_wrap=True)
    table.add_column("about", justify="right", no_wrap=True)
    table.add_column("used for")
    for part, size in estimate.parts.items():
        if size:
            name, meaning = PARTS[part]
            table.add_row(name, decimal(size), meaning)
    available = "" if free is None else f"{decimal(free)} free"
    style = "bold" if free is None or estimate.total <= free else "bold red"
    table.add_row(f"total, on {estimate.device}", decimal(estimate.total), available, style=style)
    documents = counted(estimate.documents, "document")
    lines = [f"largest micro-batch: {documents}, {estimate.tokens:,} tokens"]
    lines.append(f"recomputation: {estimate.recomputation}")
    if estimate.cached:
        lines.append("hidden states of the frozen backbone: computed once, before training")
    if seconds is not None:
        lines.append(f"time: about {duration(seconds)}")
    return Group(table, plain("\n".join(lines)))
