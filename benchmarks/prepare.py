"""Time and memory to make a corpus of raw tables: icdcode compared with pandas, polars and duckdb.

All do the same job (see prepare_sides.py) on the same synthetic MIMIC-III tables, one after the
other. Each run is a new process, with its imports counted and the files in the page cache. If the
documents differ, it exits with 1. The promised values are shown beside the measured ones.

    python benchmarks/prepare.py               1 GB of notes; needs pip install -e '.[benchmark]'
    python benchmarks/prepare.py --gigabytes 4                   as large as MIMIC-III
    python benchmarks/prepare.py --gigabytes 0.7 --short         900,000 short notes
    python benchmarks/prepare.py --sides polars duckdb           compared with these only
    python benchmarks/prepare.py --gzip          as distributed, compared with decompression
    python benchmarks/prepare.py --flat          icdcode's peak memory at half and double the size
    python benchmarks/prepare.py --tokens        the token cache, or one document at a time
    python benchmarks/prepare.py --json FILE     also write the figures of every run to a file
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from prepare_measure import Measured, machine, measured, warm
from prepare_sides import OURS, SIDES
from prepare_tables import NOTES, packed, tables
from prepare_tokens import compare_tokens

PROMISED_TIMES = {
    "pandas, whole table": 8.0,
    "pandas, whole, guessing": 8.0,
    "pandas, in chunks": 3.0,
    "pandas, chunks, guessing": 3.0,
    "polars": 1.0,
    "duckdb": 1.0,
}
PROMISED_UNPACKING = 1.3  # times what `gzip -dc` takes
PROMISED_GROWTH = 1.15  # times the memory at four times the size
PROMISED_PEAK, OF_GIGABYTES = 800, 4  # MB
_SHOWN = ("seconds", "cpu_seconds", "peak_mb")


def compare(
    folder: Path, work: Path, runs: int, gigabytes: float, sides: Sequence[str] = tuple(SIDES)
) -> Measured:
    """Time every side, in rounds, so that a busy minute affects all; print the best of each.

    Args:
        folder: The tables.
        work: The folder in which each run gets an empty folder.
        runs: The number of rounds.
        gigabytes: The decompressed size of the notes.
        sides: The sides to time; the first must be icdcode.

    Returns:
        All figures; `agree` is False if the sides didn't make the same documents.
    """
    found: dict[str, list[Measured]] = {side: [] for side in sides}
    unpacking: list[float] = []
    notes = next(folder.glob(f"{NOTES}.csv*"))
    for _ in range(runs):
        if notes.suffix == ".gz":
            unpacking.append(_unpacking_seconds(notes))
        for side in sides:
            found[side].append(_fresh(side, folder, work))
    made = {side: results[0]["made"] for side, results in found.items()}
    agree = all(result["made"] == made[OURS] for results in found.values() for result in results)
    content = f"{made[OURS]['documents']:,} documents, {made[OURS]['codes']:,} codes"
    print(f"{notes.name}, {gigabytes:g} GB unpacked; {content}; best of {runs}")
    best = {
        side: {name: min(result[name] for result in results) for name in _SHOWN}
        for side, results in found.items()
    }
    promises = _show(best)
    if unpacking:
        print(f"{'gzip -dc':<22}{min(unpacking):>9.2f}")
        ratio = best[OURS]["seconds"] / min(unpacking)
        promises.append(_promise("icdcode's time in times of gzip -dc", ratio, PROMISED_UNPACKING))
    if gigabytes >= OF_GIGABYTES:
        promises.append(_promise("icdcode's peak MB", best[OURS]["peak_mb"], PROMISED_PEAK))
    if not agree:
        print(
            "the sides did not make the same documents:",
            json.dumps(made, indent=2),
            file=sys.stderr,
        )
    return {
        "agree": agree,
        "best": best,
        "promises": promises,
        "gzip_seconds": unpacking,
        "runs": found,
    }


def _show(best: dict[str, Measured]) -> list[Measured]:
    """Print the table, and return the promises about the other sides."""
    print(
        f"{'side':<26}{'seconds':>9}{'of CPU':>8}{'times':>8}{'promised':>10}{'peak MB':>10}"
        f"{'MB more':>9}"
    )
    promises = []
    for side, figures in best.items():
        times = figures["seconds"] / best[OURS]["seconds"]
        more = figures["peak_mb"] - best[OURS]["peak_mb"]
        if side == OURS:
            print(
                f"{side:<26}{figures['seconds']:>9.2f}{figures['cpu_seconds']:>8.2f}{'':18}"
                f"{figures['peak_mb']:>10,.0f}"
            )
            continue
        slower = {
            "what": f"times as slow: {side}",
            "value": times,
            "at_least": PROMISED_TIMES[side],
        }
        larger = {"what": f"more memory (MB): {side}", "value": more, "at_least": 0}
        missed = [
            name
            for name, one in (("time", slower), ("memory", larger))
            if one["value"] < one["at_least"]
        ]
        promises += [
            slower | {"kept": "time" not in missed},
            larger | {"kept": "memory" not in missed},
        ]
        print(
            f"{side:<26}{figures['seconds']:>9.2f}{figures['cpu_seconds']:>8.2f}{times:>8.1f}"
            f"{f'>= {PROMISED_TIMES[side]:g}':>10}{figures['peak_mb']:>10,.0f}{more:>9,.0f}"
            f"{'   missed: ' + ', '.join(missed) if missed else ''}"
        )
    return promises


def compare_sizes(folders: dict[float, Path], work: Path, runs: int) -> Measured:
    """Print icdcode's peak memory at two sizes, the smaller first; it should hardly grow."""
    peaks = {
        size: [_fresh(OURS, folder, work)["peak_mb"] for _ in range(runs)]
        for size, folder in folders.items()
    }
    for size, found in peaks.items():
        print(f"{size:>6g} GB of notes:{max(found):>6,.0f} MB at the peak, the highest of {runs}")
    smaller, larger = map(max, peaks.values())
    promises = [_promise("the larger in times of the smaller", larger / smaller, PROMISED_GROWTH)]
    if max(peaks) >= OF_GIGABYTES:
        promises.append(_promise("the larger in MB", larger, PROMISED_PEAK))
    return {"agree": True, "peak_mb": peaks, "promises": promises}


def _promise(what: str, value: float, at_most: float) -> Measured:
    kept = value <= at_most
    print(f"{what}: {value:,.2f}; promised: at most {at_most:g}{'' if kept else '   missed'}")
    return {"what": what, "value": value, "at_most": at_most, "kept": kept}


def _fresh(side: str, folder: Path, work: Path) -> Measured:
    """Run a side once, with the files in the page cache and without results of an earlier run."""
    warm(folder)
    with tempfile.TemporaryDirectory(dir=work) as empty:
        return measured(side, folder, Path(empty))


def _unpacking_seconds(file: Path) -> float:
    warm(file.parent)
    start = time.perf_counter()
    subprocess.run(["gzip", "-dc", file], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> int:
    """Make the tables, measure, print the results, and write them as JSON if requested."""
    parser = argparse.ArgumentParser(
        description="Make a corpus of raw tables: icdcode compared with pandas, polars and duckdb."
    )
    parser.add_argument(
        "--gigabytes",
        type=float,
        default=1,
        metavar="N",
        help="size of NOTEEVENTS.csv (default: 1)",
    )
    parser.add_argument("--gzip", action="store_true", help="the tables are .csv.gz")
    parser.add_argument("--short", action="store_true", help="short notes: three times the rows")
    parser.add_argument(
        "--sides",
        nargs="+",
        choices=[side for side in SIDES if side != OURS],
        default=[side for side in SIDES if side != OURS],
        metavar="SIDE",
        help=f"compare only with these (default: {', '.join(SIDES)})",
    )
    parser.add_argument(
        "--runs", type=int, default=2, metavar="N", help="use the best of N runs (default: 2)"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help="keep the tables in this folder (default: a temporary folder)",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the figures to this file"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--flat", action="store_true", help="only icdcode's memory, at half and double the size"
    )
    mode.add_argument("--tokens", action="store_true", help="the token cache")
    options = parser.parse_args()
    needed = [
        name
        for name in ("pandas", "polars", "duckdb")
        if any(name in side for side in options.sides)
    ]
    missing = [name for name in needed if find_spec(name) is None]
    if missing and not (options.flat or options.tokens):
        print(
            f"{', '.join(missing)}: not installed. Run: pip install -e '.[benchmark]'",
            file=sys.stderr,
        )
        return 2
    with tempfile.TemporaryDirectory(prefix="icdcode-benchmark-") as temporary:
        home = options.folder or Path(temporary)
        sizes = (
            (options.gigabytes / 2, options.gigabytes * 2) if options.flat else (options.gigabytes,)
        )
        folders = {
            size: packed(made) if options.gzip else made
            for size in sizes
            for made in [tables(home, size, options.short)]
        }
        with tempfile.TemporaryDirectory(dir=home) as work:  # on the disk of the tables
            if options.flat:
                result = compare_sizes(folders, Path(work), options.runs)
            elif options.tokens:
                result = compare_tokens(folders[options.gigabytes], Path(work), options.runs)
            else:
                result = compare(
                    folders[options.gigabytes],
                    Path(work),
                    options.runs,
                    options.gigabytes,
                    [OURS, *options.sides],
                )
    if options.json:
        about = {"gigabytes": options.gigabytes, "gzip": options.gzip, "machine": machine()}
        options.json.write_text(json.dumps(about | result, indent=2) + "\n", encoding="utf-8")
    return 0 if result["agree"] else 1


if __name__ == "__main__":
    sys.exit(main())
