"""Time and memory of training: icdcode and Hugging Face's Trainer, padded, grouped, with Liger.

All sides train the same network from the same weights on the same documents, in the same order
except for d and e, with the same optimizer: AdamW, LoRA r=16 on all linear layers of a frozen
Llama, mean pooling, a linear layer (see train_network.py and train_documents.py). Set-up and two
warm-up steps are not timed; neither is the Trainer's choice of documents per forward pass and of
checkpointing, which it has on a GPU (train_theirs.py). Each side runs in its own process. The
losses of sides that read the same documents must agree; otherwise the exit code is 1. Promised
ratios are printed beside the measured ones.

    python benchmarks/train.py                     CodiEsp's lengths, a small network, CPU: minutes
    python benchmarks/train.py --codiesp DIR       the real lengths of the cases in this folder
    python benchmarks/train.py --lengths mimic     lengths like those of MIMIC, up to 4,096 tokens
    python benchmarks/train.py --lengths mimic --size 8b --steps 20 --documents 160
                                                   the shape of Llama 3 8B, on a CUDA GPU
    python benchmarks/train.py … --bit 8           quantized weights
    python benchmarks/train.py … --only a --profile
                                                   also what one step of icdcode spends its time on
    python benchmarks/train.py … --only a --head label_attention --labels 8929
                                                   also the head's share of a step
    python benchmarks/train.py --json train.json   any of these, with the figures in a file
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from speed_table import profile_line, show_speed

SIDES = {
    "a": "icdcode, no padding",
    "b": "Trainer, padded to the longest",
    "c": "Trainer, padded to max_len",
    "d": "Trainer, grouped by length",
    "e": "Trainer, grouped, Liger",
}
GROUPED = ("d", "e")
"""The sides whose steps have other documents."""
MAX_LEN = {"codiesp": 1_024, "mimic": 4_096}
PROMISED_TIMES = {"b": 1.3, "c": 2.0}  # on a CPU, at CodiEsp's lengths and max_len 1024
TARGET_UTILIZATION, TARGET_TIMES = 0.45, 1.5  # on a GPU; times the speed of side e
HEADS = ("mean", "label_attention")
LABELS = 50
ENGLISH_CASES = "*/text_files_en/*.txt"
SIZES = ("tiny", "small", "1b", "8b")
# Relative; the order of sums differs, and bfloat16 keeps eight bits.
TOLERANCE, ROUNDED_TOLERANCE = 1e-3, 5e-2

Measured = dict[str, Any]


def measured(side: str, options: argparse.Namespace) -> Measured:
    """Train one side in a fresh process.

    The calling process must stay small: on Linux, a process inherits the peak memory of its parent.
    """
    arguments = json.dumps({**vars(options), "side": side}, default=str)
    command = [sys.executable, str(Path(__file__).with_name("train_side.py")), arguments]
    # The Trainer would use all visible GPUs.
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, env={"CUDA_VISIBLE_DEVICES": "0", **os.environ}
    )
    if done.returncode:
        raise SystemExit(
            f"{SIDES[side]}: failed with exit code {done.returncode}; see its output above"
        )
    result: Measured = json.loads(done.stdout.splitlines()[-1])
    return result


def best_of(
    rounds: int, chosen: list[str], options: argparse.Namespace
) -> dict[str, list[Measured]]:
    """Train all chosen sides in each round, so that a busy minute affects them all.

    Returns:
        The rounds of each side, the fastest first.
    """
    found: dict[str, list[Measured]] = {side: [] for side in chosen}
    for number in range(1, rounds + 1):
        for side in chosen:
            found[side].append(measured(side, options))
            result = found[side][-1]
            line = result.get("not_measured") or f"{result['documents_per_second']:.2f} documents/s"
            print(f"round {number}, {side}: {line}", file=sys.stderr, flush=True)
    return {
        side: sorted(runs, key=lambda run: run.get("seconds", 0.0)) for side, runs in found.items()
    }


def show_details(row: Measured) -> None:
    """Print what else was measured of icdcode."""
    print(
        f"\na: {row['micro_batch_tokens']:,} tokens per forward pass, {row['recomputation']}, "
        f"out-of-memory restarts: {row['restarts']}"
    )
    if "head_share" in row:
        print(f"a: the head takes {row['head_share']:.1%} of a step")
    if "profile" in row:
        print(f"a: one step of {profile_line(row['profile'])}")


def show_settings(found: dict[str, Measured]) -> None:
    """Print the settings of the Trainer that were fastest, if several were tried."""
    for side, row in found.items():
        for tried in row.get("tried", ()):
            print(
                f"{side}: {tried['accumulate']} forward passes per step, "
                f"{'with' if tried['checkpointing'] else 'without'} checkpointing: "
                f"{tried['seconds']:.2f} s per step"
            )


def show_losses(found: dict[str, Measured], log_every: int) -> None:
    """Print the loss curves side by side."""
    print(
        f"\nmean loss of {log_every} steps; d and e read other documents\n{'to step':>7}"
        + "".join(f"{side:>11}" for side in found)
    )
    for number, losses in enumerate(
        zip(*(row["losses"] for row in found.values()), strict=True), start=1
    ):
        print(f"{number * log_every:>7}" + "".join(f"{loss:>11.6f}" for loss in losses))


def disagreement(found: dict[str, Measured]) -> float:
    """Return the largest relative difference of the losses of sides that read the same documents.

    Raises:
        SystemExit: If the sides didn't start from the same weights.
    """
    if len({row["first_weights"] for row in found.values()}) > 1:
        raise SystemExit("the sides did not start from the same weights")
    curves = [row["losses"] for side, row in found.items() if side not in GROUPED]
    return max((max(values) / min(values) - 1 for values in zip(*curves, strict=True)), default=0.0)


def allowed(options: argparse.Namespace) -> float:
    """Return the largest difference of losses that rounding explains."""
    on_cpu = options.size in ("tiny", "small")
    return TOLERANCE if on_cpu and options.bit in (None, 32) else ROUNDED_TOLERANCE


def show_promises(found: dict[str, Measured], options: argparse.Namespace) -> None:
    """Print the promised ratios for these lengths beside the measured ones."""
    if options.size in ("1b", "8b"):
        if "a" in found and found["a"]["utilization"] is not None:
            used = found["a"]["utilization"]
            print(
                f"target: a uses {TARGET_UTILIZATION:.0%} of the GPU's dense bfloat16 peak; "
                f"measured: {used:.1%}"
            )
        if "a_times" in found.get("e", {}):
            times = found["e"]["a_times"]
            print(f"target: a is {TARGET_TIMES} times as fast as e; measured: {times:.2f}")
    elif (options.lengths, options.max_len) == ("codiesp", 1_024):
        for side, least in PROMISED_TIMES.items():
            if "a_times" in found.get(side, {}):
                times = found[side]["a_times"]
                held = "held" if times >= least else "NOT HELD"
                print(f"promised: a at least {least} times as fast as {side}; {held}: {times:.2f}")


def write_json(path: Path, result: Measured) -> None:
    """Write figures into a file, which is never half-written."""
    aside = path.with_name(f".{path.name}")
    aside.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    aside.replace(path)


def machine() -> dict[str, str]:
    """Return the processor and the versions, without the name of the machine."""
    processor = platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
            processor,
        )
    packages = {name: version(name) for name in ("torch", "transformers", "peft", "accelerate")}
    return {
        "processor": processor,
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        **packages,
    }


def read_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the command line with its defaults.

    Args:
        arguments: The arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(
        description="Training: icdcode against Hugging Face's Trainer and padding to max_len."
    )
    parser.add_argument("--lengths", choices=MAX_LEN, default="codiesp")
    parser.add_argument(
        "--codiesp", type=Path, metavar="DIR", help="the real lengths of the cases in this folder"
    )
    parser.add_argument(
        "--size",
        choices=SIZES,
        default="small",
        help="tiny, small: CPU; 1b, 8b: the shapes of Llama 3.2 1B and Llama 3 8B, CUDA",
    )
    parser.add_argument(
        "--bit",
        type=int,
        choices=(4, 8, 16, 32),
        help="bits per backbone weight; by default 32 on a CPU, 16 on a GPU",
    )
    parser.add_argument("--head", choices=HEADS, default="mean", help="label_attention: a only")
    parser.add_argument("--labels", type=int, default=LABELS, metavar="N")
    parser.add_argument(
        "--checkpointing",
        choices=("auto", "True", "False"),
        default="auto",
        help="recompute activations; auto: a decides, the others use what is faster",
    )
    parser.add_argument(
        "--kernels", choices=("auto", "none"), default="auto", help="fused kernels of side a"
    )
    parser.add_argument(
        "--profile", action="store_true", help="also profile one step of a, which isn't timed"
    )
    parser.add_argument(
        "--documents", type=int, default=480, metavar="N", help="number of different documents"
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=60,
        metavar="N",
        help="optimizer steps, a multiple of --log-every",
    )
    parser.add_argument(
        "--log-every", type=int, default=10, metavar="N", help="steps between two losses"
    )
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="documents per step")
    parser.add_argument(
        "--accumulate",
        type=int,
        metavar="N",
        help="forward passes per step of the Trainer; by default 1 on a CPU, the fastest on a GPU",
    )
    parser.add_argument(
        "--max-len", type=int, metavar="N", help="tokens per document; codiesp: 1024, mimic: 4096"
    )
    parser.add_argument(
        "--only",
        type=lambda sides: sides.split(","),
        default=list(SIDES),
        metavar="a,b",
        help="only these sides",
    )
    parser.add_argument(
        "--rounds", type=int, default=1, metavar="N", help="run N rounds; the fastest counts"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the figures to this file"
    )
    options = parser.parse_args(arguments)
    options.max_len = options.max_len or MAX_LEN[options.lengths]
    if options.steps % options.log_every or options.steps <= 2:
        parser.error("--steps: should be a multiple of --log-every, and more than the 2 not timed")
    if options.batch_size % (options.accumulate or 1):
        parser.error("--batch-size: should be a multiple of --accumulate")
    if options.labels < LABELS:
        parser.error(f"--labels: should be at least {LABELS}")
    if not set(options.only) <= set(SIDES):
        parser.error(f"--only: should be some of {','.join(SIDES)}")
    if options.head != "mean" and options.only != ["a"]:
        parser.error(f"--head {options.head}: needs --only a")
    if options.codiesp and options.lengths != "codiesp":
        parser.error("--codiesp: needs --lengths codiesp")
    if options.codiesp and not any(options.codiesp.glob(ENGLISH_CASES)):
        parser.error(f"--codiesp: there is no {ENGLISH_CASES} in this folder")
    return options


def main() -> int:
    """Measure, print tables and, if requested, write JSON."""
    options = read_arguments()
    runs = best_of(options.rounds, [side for side in SIDES if side in options.only], options)
    best = {side: rows[0] for side, rows in runs.items()}
    found = {side: row for side, row in best.items() if "not_measured" not in row}
    for side, row in found.items():
        if "a" in found and side != "a":
            # In tokens, since the two warm-up steps of d and e read other documents.
            row["a_times"] = found["a"]["tokens_per_second"] / row["tokens_per_second"]
    device = next((row["device"] for row in found.values()), "not measured")
    real = "real" if options.codiesp else "log-normal"
    print(
        f"{options.size} network, {device}, "
        + (f"{options.bit} bits; " if options.bit else "")
        + f"{options.lengths} lengths ({real}), max_len {options.max_len:,}"
    )
    print(
        f"{options.documents:,} documents, {options.steps} steps of {options.batch_size}; "
        f"{json.dumps(machine())}\n"
    )
    show_speed(best, SIDES, "documents")
    apart = 0.0
    if found:
        show_settings(found)
        if "a" in found:
            show_details(found["a"])
        show_losses(found, options.log_every)
        apart = disagreement(found)
        print(
            f"largest difference on the same documents: {apart:.1e}, "
            f"allowed {allowed(options):.0e}\n"
        )
        show_promises(found, options)
    if options.json:
        about = {**vars(options), "codiesp": options.codiesp is not None}
        del about["json"]
        result = {
            "options": about,
            "machine": machine(),
            "largest_difference": apart,
            "sides": runs,
        }
        write_json(options.json, result)
    if apart > allowed(options):
        print("the losses disagree", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
