"""The figures of `gpu.sh` as tables for docs/benchmarks.md.

python benchmarks/gpu_tables.py OUT      OUT is the folder that gpu.sh has written
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NOT_MEASURED = "not measured"

# File, side and name of each row.
TRAINING = (
    ("train-8b-16", "a", "icdcode, 16 bit"),
    ("train-8b-8", "a", "icdcode, 8 bit"),
    ("train-8b-4", "a", "icdcode, 4 bit"),
    ("train-8b-padded", "b", "Trainer, padded to the longest, 16 bit"),
    ("train-8b-grouped", "d", "Trainer, grouped by length, 16 bit"),
    ("train-8b-liger", "e", "Trainer, grouped by length, Liger, 16 bit"),
)
PROFILES = (
    ("train-8b-16", "8B, 16 bit"),
    ("train-8b-8", "8B, 8 bit"),
    ("train-8b-4", "8B, 4 bit"),
    ("train-1b-16", "1B, 16 bit"),
    ("train-1b-label-attention", "1B, label attention, 8,929 codes"),
    ("predict-8b", "8B, prediction"),
    ("predict-1b", "1B, prediction"),
)
SMALLER = (
    ("train-1b-16", "a", "icdcode, mean pooling, 50 codes"),
    ("train-1b-label-attention", "a", "icdcode, label attention, 8,929 codes"),
)
PREDICTION = (
    ("a", "icdcode"),
    ("b8", "pipeline, batches of 8 padded"),
    ("b16", "pipeline, batches of 16 padded"),
    ("s8", "pipeline, sorted by length, batches of 8"),
    ("s16", "pipeline, sorted by length, batches of 16"),
)

Figures = dict[str, Any]


def figures(out: Path, name: str, side: str) -> Figures | None:
    """Return the figures of a side; None: it wasn't measured.

    Args:
        out: The folder.
        name: The row that measured it.
        side: The side.
    """
    path = out / f"{name}.json"
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))["sides"].get(side)
    row: Figures | None = None if found is None else _each(found)[0]
    return None if row is None or "not_measured" in row else row


def tables(out: Path) -> str:
    """Return all tables, in Markdown."""
    parts = [
        _about(out),
        _training(out),
        _losses(out),
        _table(
            ("1B, training", "tokens/s", "share of peak", "peak GB", "head's share of a step"),
            [
                (name, *_speed(row), _percent(row, "head_share"))
                for file, side, name in SMALLER
                for row in [figures(out, file, side)]
            ],
        ),
        _profiles(out),
        _prediction(out, "8b"),
        _prediction(out, "1b"),
    ]
    return "\n\n".join(parts) + "\n"


def _about(out: Path) -> str:
    """Return the sizes that were measured, and with what."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("*.json"))]
    sizes = dict.fromkeys(each["options"]["size"] for each in found)
    rows = (row for each in found for sides in each["sides"].values() for row in _each(sides))
    devices = dict.fromkeys(row["device"] for row in rows if "device" in row)
    versions = {
        f"{name} {value}": None for each in found for name, value in each["machine"].items()
    }
    about = ", ".join([*sizes, *devices, *versions])
    return f"Measured: {about or 'nothing'}."


def _each(sides: Any) -> list[Figures]:
    """Return the rounds of a side; a prediction has one."""
    return sides if isinstance(sides, list) else [sides]


def _training(out: Path) -> str:
    ours = figures(out, "train-8b-16", "a")
    rows = []
    for file, side, name in TRAINING:
        row = figures(out, file, side)
        times = "" if row == ours or not (ours and row) else _ratio(ours, row, "tokens_per_second")
        passes = "" if row is None else _passes(row)
        padding = _percent(row, "padding", 0)
        restarts = "" if row is None else str(row["restarts"])
        rows.append((name, *_speed(row), padding, passes, restarts, times))
    return _table(
        (
            "8B, training",
            "tokens/s",
            "share of peak",
            "peak GB",
            "padding",
            "forward passes",
            "restarts",
            "speed of icdcode, 16 bit",
        ),
        rows,
    )


def _passes(row: Figures) -> str:
    """Return how a step was divided into forward passes."""
    each = (
        f"{row['micro_batch_tokens']:,} tokens"
        if "micro_batch_tokens" in row
        else f"{row['accumulate']} per step"
    )
    without = f"{'with' if row['checkpointing'] else 'without'} checkpointing"
    return f"{each}, {row.get('recomputation', without)}"


def _profiles(out: Path) -> str:
    found = {file: figures(out, file, "a") or {} for file, _ in PROFILES}
    shares = {file: row["profile"]["shares"] for file, row in found.items() if "profile" in row}
    kinds = list(dict.fromkeys(kind for each in shares.values() for kind in each)) or ["time"]
    empty = [""] * (len(kinds) - 1)
    rows = [
        (name, *(f"{shares[file].get(kind, 0):.1%}" for kind in kinds))
        if file in shares
        else (name, NOT_MEASURED, *empty)
        for file, name in PROFILES
    ]
    return _table(("share of one step", *kinds), rows)


def _losses(out: Path) -> str:
    """Return how much the losses of the sides with the same documents differ."""
    rows = [figures(out, "train-8b-16", "a"), figures(out, "train-8b-padded", "b")]
    ours, theirs = rows
    if ours is None or theirs is None:
        return f"Difference of the losses of icdcode and the Trainer: {NOT_MEASURED}."
    if ours["first_weights"] != theirs["first_weights"]:
        return "icdcode and the Trainer did not start from the same weights."
    pairs = zip(ours["losses"], theirs["losses"], strict=True)
    apart = max(abs(one / other - 1) for one, other in pairs)
    return (
        f"Difference of the losses of icdcode and the Trainer on the same documents: {apart:.1e}."
    )


def _prediction(out: Path, size: str) -> str:
    ours = figures(out, f"predict-{size}", "a")
    rows = []
    for side, name in PREDICTION:
        row = figures(out, f"predict-{size}", side)
        times = "" if side == "a" or not (ours and row) else _ratio(ours, row, "notes_per_second")
        notes = NOT_MEASURED if row is None else f"{row['notes_per_second']:.1f}"
        rows.append((name, notes, *_speed(row), _percent(row, "padding", 0), times))
    return _table(
        (
            f"{size.upper()}, prediction",
            "notes/s",
            "tokens/s",
            "share of peak",
            "peak GB",
            "padding",
            "speed of icdcode",
        ),
        rows,
    )


def _speed(row: Figures | None) -> tuple[str, str, str]:
    """Return tokens per second, the share of the device's peak, and the memory."""
    if row is None:
        return NOT_MEASURED, "", ""
    used = f"{row['utilization']:.1%}" if row["utilization"] is not None else NOT_MEASURED
    memory = f"{row['peak_mb'] / 1e3:.1f}" if row["peak_mb"] is not None else NOT_MEASURED
    return f"{row['tokens_per_second']:,.0f}", used, memory


def _percent(row: Figures | None, key: str, digits: int = 1) -> str:
    value = None if row is None else row.get(key)
    return "" if value is None else f"{value:.{digits}%}"


def _ratio(ours: Figures, row: Figures, key: str) -> str:
    return f"{ours[key] / row[key]:.2f} x"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    first = "|---|" + "---:|" * (len(head) - 1)
    return "\n".join(["| " + " | ".join(head) + " |", first, *(_line(row) for row in rows)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    print(tables(Path(sys.argv[1])))
