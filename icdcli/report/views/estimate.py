"""What a training would take of a machine: its memory part by part, and its time. It fits 80 columns."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.table import Table

from icdcli.report.formatting import duration, plain

PARTS = {
    "weights": "the backbone's own",
    "adapters": "low-rank adapters, pretrained ones included",
    "head": "the output layer, or label attention, and the prior",
    "optimiser": "AdamW's two averages of each trained weight",
    "gradients": "those that are there at the peak",
    "activations": "what the largest forward pass keeps",
    "holes": "freed, and not yet given back to the system",
    "libraries": "Python, torch and the data; on a GPU CUDA itself",
}


def estimate_view(
    estimate: Mapping[str, Any], free: int | None = None, seconds: float | None = None
) -> RenderableType:
    """Render an estimate.

    Args:
        estimate: What `icdcli.profiling.memory.Estimate.as_dict` gives.
        free: Bytes that the device has free.
        seconds: How long the run would take.

    Returns:
        A rich renderable.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("memory", no_wrap=True)
    table.add_column("about", justify="right", no_wrap=True)
    table.add_column("what it is")
    for part, size in estimate["parts"].items():
        if size:
            table.add_row(part, decimal(size), PARTS[part])
    there = "" if free is None else f"{decimal(free)} free"
    style = "bold" if free is None or estimate["total"] <= free else "bold red"
    table.add_row(f"all, on {estimate['device']}", decimal(estimate["total"]), there, style=style)
    documents = (
        "1 document" if estimate["documents"] == 1 else f"{estimate['documents']:,} documents"
    )
    lines = [f"largest micro-batch: {documents}, {estimate['tokens']:,} tokens"]
    if estimate["cached"]:
        lines.append("the frozen backbone's states are computed once, before training")
    if seconds is not None:
        lines.append(f"time: about {duration(seconds)}")
    return Group(table, plain("\n".join(lines)))
