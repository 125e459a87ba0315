"""Hours and machines that coding millions of notes takes, from the measured speed of one.

Shards need no communication, so N cores or GPUs are N times as fast as one; what that leaves out is
named on docs/scaling.md. Every input is a named number below.

    python benchmarks/many_notes.py
    python benchmarks/many_notes.py --notes 1000000 --core-hour 0.04 --gpu-hour 3
"""

import argparse
from collections.abc import Sequence

# Measured (docs/what-it-costs.md, docs/benchmarks.md).
CPU_SECONDS = 0.115
"""Of a core per note of 2,029 characters, with `laptop.yaml`."""
GPU_NOTES = 15.5
"""Per second, of MIMIC-III's lengths, with an 8B model on one H100."""
CORES, GPUS = (1, 16, 64, 256), (1, 8)


def machine_hours(notes: int) -> dict[str, float]:
    """Return the hours that one core and one GPU need."""
    return {"core": notes * CPU_SECONDS / 3600, "GPU": notes / GPU_NOTES / 3600}


def rows(notes: int, prices: dict[str, float | None]) -> list[str]:
    """Return the lines of the table of docs/scaling.md."""
    lines = [
        "| model | on | notes/s | hours | machine hours | cost |",
        "|---|---|---:|---:|---:|---:|",
    ]
    hours = machine_hours(notes)
    for model, unit, counts in (("`laptop.yaml`", "core", CORES), ("8B", "GPU", GPUS)):
        for count in counts:
            price = prices[unit]
            cost = "" if price is None else f"{price * hours[unit]:,.0f}"
            speed = notes / hours[unit] / 3600 * count
            lines.append(
                f"| {model} | {count} {unit}{'s' if count > 1 else ''} | {speed:,.1f} "
                f"| {hours[unit] / count:,.1f} | {hours[unit]:,.0f} | {cost} |"
            )
    return lines


def main(words: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--notes", type=int, default=10_000_000)
    parser.add_argument("--core-hour", type=float, help="price of a core for an hour")
    parser.add_argument("--gpu-hour", type=float, help="price of a GPU for an hour")
    given = parser.parse_args(words)
    print("\n".join(rows(given.notes, {"core": given.core_hour, "GPU": given.gpu_hour})))


if __name__ == "__main__":
    main()
