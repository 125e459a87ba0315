"""Expected speed of training Llama 3 8B on 1, 8 and 64 GPUs, from the measured speed of one.

Several GPUs were not at hand. So this computes what to expect: steps of documents with MIMIC-like
lengths are divided over the GPUs by the code that training uses, each micro-batch takes the time
that was measured for its size on one H100, and what is moved between GPUs takes the time that the
links need for its bytes. Every input is a named number below.

    python benchmarks/expected_scaling.py
    python benchmarks/expected_scaling.py --efficiency 0.5      slower links
    python benchmarks/expected_scaling.py --documents 2         fewer documents per GPU and step
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icdcli.data.batching import micro_batches, rank_shares

# Measured on one H100 (docs/benchmarks.md): tokens per second of 8B with LoRA r=16, without
# recomputation, by the tokens of a micro-batch.
MEASURED = {4_100: 9_763, 6_144: 11_829, 10_240: 12_761, 12_288: 13_298}

# Llama 3 8B. What a token is multiplied with; the table of embeddings is trained, too.
LAYERS, WIDTH, INNER, KEYS, VOCABULARY, LORA_R = 32, 4_096, 14_336, 1_024, 128_256, 16
MULTIPLIED = LAYERS * (2 * WIDTH * WIDTH + 2 * WIDTH * KEYS + 3 * WIDTH * INNER)
ALL = MULTIPLIED + VOCABULARY * WIDTH
ADAPTERS = LAYERS * LORA_R * (4 * WIDTH + 2 * (WIDTH + KEYS) + 3 * (WIDTH + INNER))
FULL = 6 * MULTIPLIED / (4 * MULTIPLIED + 6 * ADAPTERS)
"""How many times as many operations a token needs if all weights are trained."""

# Links, in bytes per second in each direction, from their data sheets; and the memory.
NVLINK = 450e9
"""NVLink 4, per GPU."""
INFINIBAND = 400e9 / 8
"""One 400 Gb/s adapter per GPU."""
MEMORY = 3.35e12
GPUS_PER_NODE = 8
STEPS, SEED = 50, 0


@dataclass(frozen=True)
class Expected:
    """What to expect of a number of GPUs.

    Attributes:
        training: ``LoRA`` or ``full``.
        gpus: The number of GPUs.
        tokens_per_second: Of all GPUs together.
        efficiency: The share of the speed of as many single GPUs.
        waiting: The share of the computation in which a GPU waits for one with more work, in a
            step with LoRA, in each pass with sharded weights.
        gigabytes_per_step: What each GPU sends and receives in a step.
        transfer: The time that this takes, as a share of the step, overlapped or not.
        not_overlapped: The share of the step in which nothing is computed because of it.
    """

    training: str
    gpus: int
    tokens_per_second: float
    efficiency: float
    waiting: float
    gigabytes_per_step: float
    transfer: float
    not_overlapped: float


def seconds_of(tokens: int, operations: float) -> float:
    """Return the time of a micro-batch, by interpolation; below the smallest, at its speed.

    Args:
        tokens: Its tokens.
        operations: How many times as many operations a token needs as with LoRA.
    """
    speed = float(np.interp(tokens, list(MEASURED), list(MEASURED.values())))
    return operations * tokens / speed


def bandwidth(gpus: int, efficiency: float) -> float:
    """Return the bytes per second of a ring over these GPUs.

    Between nodes, each of eight rings crosses by the adapter of another GPU, so that a ring over
    several nodes is as fast as all adapters of a node together.
    """
    link = NVLINK if gpus <= GPUS_PER_NODE else min(NVLINK, GPUS_PER_NODE * INFINIBAND)
    return efficiency * link


def lora_step(shares: list[list[int]], gpus: int, efficiency: float) -> tuple[float, float, float]:
    """Return the seconds of a step, the bytes that each GPU moves, and the seconds not overlapped.

    The gradients of the adapters are summed in one transfer after the backward pass.
    """
    compute = max(sum(seconds_of(tokens, 1.0) for tokens in share) for share in shares)
    moved = 2 * (gpus - 1) / gpus * 4 * ADAPTERS
    seconds = moved / bandwidth(gpus, efficiency)
    return compute + seconds, moved, seconds


def full_step(shares: list[list[int]], gpus: int, efficiency: float) -> tuple[float, float, float]:
    """Return the same for full fine-tuning with sharded weights (`strategy: fsdp`).

    In each micro-batch, weights are gathered in the forward and the backward pass, and gradients
    are summed where they are kept, all in float32, a layer at a time while another is computed. The
    first layer's weights and the last gradients are not overlapped. All GPUs make the same number
    of micro-batches.
    """
    once = (gpus - 1) / gpus * 4 * ALL
    gather = once / bandwidth(gpus, efficiency)
    ends = gather / LAYERS
    total = bare = 0.0
    passes = max(map(len, shares))
    for number in range(passes):
        compute = max(seconds_of(share[number], FULL) for share in shares if number < len(share))
        total += max(compute / 3, gather) + max(2 * compute / 3, 2 * gather) + 2 * ends
        bare += compute
    update = 28 * ALL / gpus / MEMORY  # AdamW reads four numbers of each weight and writes three
    return total + update, 3 * passes * once, total - bare


def expect(training: str, gpus: int, options: argparse.Namespace) -> Expected:
    """Simulate steps and return their means."""
    step, operations = (lora_step, 1.0) if training == "LoRA" else (full_step, FULL)
    draw = np.random.default_rng(SEED)
    tokens = seconds = moved = exposed = single = 0.0
    for _ in range(STEPS):
        lengths = mimic_lengths(options.documents * gpus, draw)
        rows = np.arange(len(lengths))
        shares = [
            [
                int(lengths[batch].sum())
                for batch in micro_batches(share, lengths, options.micro_batch_tokens, "free")
            ]
            for share in rank_shares(rows, lengths, gpus)
        ]
        took, bytes_moved, alone = step(shares, gpus, options.efficiency)
        tokens += float(lengths.sum())
        seconds += took
        moved += bytes_moved
        exposed += alone
        single += sum(seconds_of(part, operations) for share in shares for part in share)
    return Expected(
        training=training,
        gpus=gpus,
        tokens_per_second=tokens / seconds,
        efficiency=single / gpus / seconds,
        waiting=1 - single / gpus / (seconds - exposed),
        gigabytes_per_step=moved / STEPS / 1e9,
        transfer=moved / bandwidth(gpus, options.efficiency) / seconds,
        not_overlapped=exposed / seconds,
    )


def mimic_lengths(count: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """Return made-up lengths of MIMIC-III's notes, as in `train_documents.py`, up to 4,096."""
    lengths = draw.lognormal(np.log(1_900.0), 0.6, count)
    return np.clip(lengths.round().astype(np.int64), 4, 4_096)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=8, help="per GPU and step")
    parser.add_argument("--micro-batch-tokens", type=int, default=12_288)
    parser.add_argument(
        "--efficiency", type=float, default=0.8, help="the share of a link's speed that is used"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [expect("LoRA", gpus, options) for gpus in (1, 8, 64)]
    # On one GPU, weights, gradients and AdamW's averages in float32 take 120 GB.
    rows += [expect("full", gpus, options) for gpus in (8, 64)]
    print(
        "| training | GPUs | tokens/s | of as many single GPUs | waiting for another | "
        "GB per GPU and step | transfers, of the step | not overlapped |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|"
    )
    for row in rows:
        print(
            f"| {row.training} | {row.gpus} | {row.tokens_per_second:,.0f} | "
            f"{row.efficiency:.0%} | {row.waiting:.1%} | {row.gigabytes_per_step:.2f} | "
            f"{row.transfer:.1%} | {row.not_overlapped:.1%} |"
        )
    if options.json:
        text = json.dumps([asdict(row) for row in rows], indent=2) + "\n"
        options.json.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
