"""One side of `train.py`, in its own process so that its peak memory can be measured.

python benchmarks/train_side.py OPTIONS      OPTIONS and the one printed line are JSON
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from train_documents import documents
from train_network import SIZES
from train_ours import train_ours
from train_theirs import train_theirs


def measure(options: dict[str, Any]) -> dict[str, Any]:
    """Train one side and return its figures."""
    size, max_len, seed = options["size"], options["max_len"], options["seed"]
    if SIZES[size].device != "cpu" and not torch.cuda.is_available():
        return {"not_measured": "this machine has no CUDA GPU"}
    codiesp = Path(options["codiesp"]) if options["codiesp"] else None
    steps, batch_size = options["steps"], options["batch_size"]
    read = documents(
        options["lengths"], codiesp, options["documents"], max_len, steps, batch_size, seed
    )
    try:
        if options["side"] == "a":
            watch = train_ours(read, size, max_len, seed, options["loss_every"])
        else:
            watch = train_theirs(
                options["side"],
                read,
                size,
                max_len,
                seed,
                options["loss_every"],
                options["accumulate"],
            )
    except torch.OutOfMemoryError:
        return {"not_measured": "the GPU ran out of memory; --accumulate needs less"}
    return watch.found(size)


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
