"""Time of a step of full fine-tuning in two processes: gradients summed after or during backward.

Two processes on this machine train a stack of layers on one core each, and sum the gradients by
gloo, once after the backward pass in one transfer, as `ProcessGroup.sum_gradients` does for
adapters, and in buckets during it (`GradientSums`). Both must give the same gradients, bit for bit.
Gloo adds numbers on the same cores that compute the gradients, so that there is little to gain.
With ``--link`` each transfer also takes the time of a link of this speed, in which the cores are
free, as with GPUs, whose links work by themselves.

    python benchmarks/gradient_sums.py
    python benchmarks/gradient_sums.py --link 0.1       gigabytes per second
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from icdcli.distributed.gradient_sums import BUCKET_BYTES, GradientSums
from icdcli.distributed.launcher import free_port

LAYERS, WIDTH, TOKENS = 12, 1_024, 512


class Link:
    """A link of a speed, through which one transfer goes at a time."""

    def __init__(self, bytes_per_second: float) -> None:
        self._speed = bytes_per_second
        self._free_at = 0.0

    def start(self, flat: Tensor) -> "Transfer":
        """Start to sum a tensor over the processes."""
        work = dist.all_reduce(flat, async_op=True)
        if self._speed:
            seconds = flat.numel() * flat.element_size() / self._speed
            self._free_at = max(self._free_at, time.perf_counter()) + seconds
        return Transfer(work, self._free_at)


class Transfer:
    """A transfer that ends at a time, and not before its sums are computed."""

    def __init__(self, work: Any, ends_at: float) -> None:
        self._work, self._ends_at = work, ends_at

    def wait(self) -> None:
        """Wait for both."""
        self._work.wait()
        time.sleep(max(self._ends_at - time.perf_counter(), 0.0))


def take_part(rank: int, port: int, rounds: int, link: float, into: Path) -> None:
    """Measure as one of the two processes."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", f"tcp://127.0.0.1:{port}", timedelta(minutes=5), world_size=2, rank=rank
    )
    torch.manual_seed(0)
    layers = nn.Sequential(
        *(nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU()) for _ in range(LAYERS))
    )
    torch.manual_seed(rank)
    tokens_TD = torch.randn(TOKENS, WIDTH)
    # A bucket for all gradients is one transfer after the backward pass.
    ways = {"after": 2**40, "during": BUCKET_BYTES}
    sums = {way: GradientSums(size, Link(link * 1e9).start) for way, size in ways.items()}
    seconds: dict[str, list[float]] = {way: [] for way in (*ways, "no sums")}
    digests = {}
    for _ in range(rounds + 1):
        for way in seconds:
            layers.zero_grad(set_to_none=True)
            dist.barrier()
            start = time.perf_counter()
            if way in sums:
                sums[way].watch(list(layers.parameters()))
                sums[way].listen()
            layers(tokens_TD).square().mean().backward()
            if way in sums:
                sums[way].complete()
            seconds[way].append(time.perf_counter() - start)
            if way in sums:
                digests[way] = digest(layers)
                sums[way].watch([])
    assert digests["after"] == digests["during"], "the gradients differ"
    if rank == 0:
        row = {way: min(times[1:]) for way, times in seconds.items()}
        size = sum(weight.numel() for weight in layers.parameters())
        into.write_text(json.dumps({"weights": size, "link": link, **row}), encoding="utf-8")
    dist.barrier()
    dist.destroy_process_group()


def digest(layers: nn.Module) -> str:
    """Return a hash of all gradients."""
    hashed = hashlib.sha256()
    for weight in layers.parameters():
        assert weight.grad is not None
        hashed.update(weight.grad.numpy().tobytes())
    return hashed.hexdigest()


def main() -> None:
    """Start both processes and print the best times."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--link", type=float, default=0.0, help="GB/s; 0: no simulated link")
    parser.add_argument("--json", type=Path, default=Path("gradient_sums.json"))
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank is not None:
        take_part(options.rank, options.port, options.rounds, options.link, options.json)
        return
    port = free_port(29_800)
    words = ["--rounds", str(options.rounds), "--link", str(options.link)]
    command = [sys.executable, __file__, "--port", str(port), *words, "--json", str(options.json)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([*command, "--rank", str(rank)], env=environment) for rank in (0, 1)
    ]
    codes = [process.wait() for process in processes]
    if any(codes):
        raise SystemExit("a process failed; see its output above")
    found = json.loads(options.json.read_text(encoding="utf-8"))
    print(f"{found['weights']:,} weights, the best of {options.rounds} steps")
    for way in ("no sums", "after", "during"):
        print(f"{way:<8}{found[way]:8.3f} s")
    if options.link:
        hidden = (found["after"] - found["during"]) / (found["after"] - found["no sums"])
        print(f"hidden behind the backward pass: {hidden:.0%}")


if __name__ == "__main__":
    main()
