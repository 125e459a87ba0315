"""Speed of prediction: icdcode's packed documents and a padded pipeline of transformers.

Both sides predict the same notes with the same weights, from texts to scores: a Llama with LoRA
adapters, mean pooling, a linear layer (see train_network.py and train_documents.py), and a
tokenizer of words. icdcode's side is `predict_notes`. The pipeline is the loop that a user writes:
batches of 8 or 16 notes, padded to the longest, in the order of the notes or sorted by length, with
the adapters merged into the weights. The first notes are predicted once before the clock starts.
All scores must agree; otherwise the exit code is 1.

    python benchmarks/predict.py                   a small network, CPU
    python benchmarks/predict.py --size 8b         the shape of Llama 3 8B, on a CUDA GPU; also 1b
    python benchmarks/predict.py --profile         also what icdcode spends its time on
    python benchmarks/predict.py --json FILE       any of these, with the figures in a file
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from speed_table import profile_line, show_speed
from train import MAX_LEN, SIZES, machine, write_json

SIDES = {
    "a": "icdcode, no padding",
    "b8": "pipeline, 8 padded",
    "b16": "pipeline, 16 padded",
    "s8": "pipeline, sorted, 8 padded",
    "s16": "pipeline, sorted, 16 padded",
}
# Of probabilities; bfloat16 keeps eight bits, and merging the adapters rounds the weights.
TOLERANCE, ROUNDED_TOLERANCE = 1e-4, 2e-2
TARGET_UTILIZATION, TARGET_TIMES = 0.55, 3.0  # on a GPU; times the speed of side b8

Measured = dict[str, Any]


def read_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the command line with its defaults.

    Args:
        arguments: The arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(
        description="Prediction: icdcode against a padded pipeline of transformers."
    )
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--bit", type=int, choices=(4, 8, 16, 32), help="bits per backbone weight")
    parser.add_argument("--lengths", choices=MAX_LEN, default="mimic")
    parser.add_argument("--max-len", type=int, metavar="N", help="tokens per note")
    parser.add_argument("--notes", type=int, default=64, metavar="N", help="number of notes")
    parser.add_argument(
        "--only",
        type=lambda sides: sides.split(","),
        default=list(SIDES),
        metavar="a,b8",
        help=f"only these sides of {','.join(SIDES)}",
    )
    parser.add_argument("--profile", action="store_true", help="also profile side a, once more")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    options = parser.parse_args(arguments)
    options.max_len = options.max_len or MAX_LEN[options.lengths]
    if not set(options.only) <= set(SIDES):
        parser.error(f"--only: should be some of {','.join(SIDES)}")
    if options.notes < 1:
        parser.error("--notes: should be at least 1")
    return options


def show_details(row: Measured) -> None:
    """Print what else was measured of icdcode."""
    print(f"\na: out-of-memory restarts: {row['restarts']}")
    if "profile" in row:
        print(f"a: {profile_line(row['profile'])}")


def show_targets(found: dict[str, Measured]) -> None:
    """Print the targets for a GPU beside what was measured."""
    row = found.get("a", {})
    if row.get("utilization") is None:
        return
    print(
        f"target: a uses {TARGET_UTILIZATION:.0%} of the GPU's dense bfloat16 peak; "
        f"measured: {row['utilization']:.1%}"
    )
    if "a_times" in found.get("b8", {}):
        times = found["b8"]["a_times"]
        print(f"target: a is {TARGET_TIMES:g} times as fast as b8; measured: {times:.2f}")


def allowed(options: argparse.Namespace) -> float:
    """Return the largest difference of scores that rounding explains."""
    on_cpu = options.size in ("tiny", "small")
    return TOLERANCE if on_cpu and options.bit in (None, 32) else ROUNDED_TOLERANCE


def main() -> int:
    """Measure, print tables and, if requested, write JSON."""
    options = read_arguments()
    from predict_sides import measure  # imports torch and transformers

    found: dict[str, Measured] = {}
    about = {**vars(options)}
    del about["json"]
    apart = 0.0
    for side, row, difference in measure(about):
        apart = max(apart, difference)
        found[side] = row
        if "a" in found and "not_measured" not in row and "not_measured" not in found["a"]:
            row["a_times"] = found["a"]["notes_per_second"] / row["notes_per_second"]
        line = row.get("not_measured") or f"{row['notes_per_second']:.2f} notes/s"
        print(f"{side}: {line}", file=sys.stderr, flush=True)
        if options.json:
            result = {"options": about, "machine": machine(), "largest_difference": apart}
            write_json(options.json, result | {"sides": found})
    device = next((row["device"] for row in found.values() if "device" in row), "not measured")
    print(
        f"{options.size} network, {device}; {options.notes:,} notes, {options.lengths} lengths, "
        f"max_len {options.max_len:,}; {json.dumps(machine())}\n"
    )
    show_speed(found, SIDES, "notes")
    if "not_measured" not in found.get("a", {"not_measured": ""}):
        show_details(found["a"])
    print(f"largest difference of scores: {apart:.1e}, allowed {allowed(options):.0e}\n")
    show_targets(found)
    if apart > allowed(options):
        print("the scores disagree", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
