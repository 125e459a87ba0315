"""One side of `train.py`, in its own process so that its peak memory can be measured.

python benchmarks/train_side.py OPTIONS      OPTIONS and the one printed line are JSON
"""

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from train_documents import documents
from train_network import SIZES, Wanted
from train_ours import train_ours
from train_theirs import train_theirs

from icdcli.distributed.devices import let_memory_grow


def measure(options: dict[str, Any]) -> dict[str, Any]:
    """Train one side and return its figures, or why it was not measured."""
    size, side = SIZES[options["size"]], options["side"]
    if size.device != "cpu" and not torch.cuda.is_available():
        return {"not_measured": "this machine has no CUDA GPU"}
    if side == "e" and (reason := _no_liger(size.device)):
        return {"not_measured": reason}
    if size.device != "cpu":
        let_memory_grow(os.environ)  # as `icdcode train` does; for the other sides, too
    codiesp = Path(options["codiesp"]) if options["codiesp"] else None
    profiled = bool(options["profile"] and side == "a")
    steps, batch_size = options["steps"] + profiled, options["batch_size"]
    count, max_len, seed = options["documents"], options["max_len"], options["seed"]
    read = documents(options["lengths"], codiesp, count, max_len, steps, batch_size, seed)
    wanted = Wanted(
        size, options["bit"] or size.bit, max_len, seed, options["head"], options["labels"]
    )
    try:
        return (train_ours if side == "a" else train_theirs)(read, options, wanted)
    except torch.OutOfMemoryError:
        return {"not_measured": "the GPU ran out of memory; --accumulate needs less"}


def _no_liger(device: str) -> str | None:
    if importlib.util.find_spec("liger_kernel") is None:
        return "liger-kernel isn't installed"
    return "Liger's kernels need a CUDA GPU" if device == "cpu" else None


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
