"""Measure how long it takes to open an edition and to search in it.

Each number is the CPU time of the best of several repetitions. Opening includes codes, titles and
hierarchy; notes are read at their first use. The index of the search is built at the first one and
kept in the user's cache folder; here it is built in a temporary folder. Exits with 1 if a limit is
exceeded: 100 ms to open an edition, 20 ms for the slowest search.

    python benchmarks/codes.py                              about ten seconds on one core
    python benchmarks/codes.py --repetitions 20 --json codes.json
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from icdcli.icd.editions.catalog import editions
from icdcli.icd.editions.edition import Edition
from icdcli.icd.search import CodeSearch, search_terms

OPEN, SEARCH = 100.0, 20.0
"""The limits, in milliseconds."""

QUERIES = (
    "sugar disease",
    "heart attack",
    "chronic kidney disease stage 3",
    "pnuemonia",
    "diabetis",
    "hyp",
    "fracture of neck of femur, initial encounter",
    "copd",
    "pain",
    "unspecified",
    "other specified diseases of the circulatory system",
    "E11",
    "I10",
    "initial encounter",
    "left",
    "s",
    "bypass coronary artery, four or more arteries",
    "poisoning by unspecified drugs accidental sequela",
)
"""Words as people type them: of lay persons, with typos, incomplete, frequent ones, and codes."""


def best(work: Callable[[], object], repetitions: int) -> float:
    """Return the least number of milliseconds that a call takes."""
    times = []
    for _ in range(repetitions):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return 1000 * min(times)


def measure(path: Path, index: Path, repetitions: int) -> dict[str, object]:
    """Measure one edition.

    Args:
        path: Its file.
        index: The folder for its index.
        repetitions: How often each call is repeated.

    Returns:
        The edition, its number of rows, and the times in milliseconds.
    """
    edition = Edition.read(path)

    def read_notes() -> None:
        Edition.read(path).noted("excludes1").__next__()

    begin = time.process_time()
    search = CodeSearch(edition, search_terms(edition), index)
    built = 1000 * (time.process_time() - begin)
    searches = {
        query: best(lambda query=query: search.find(query), repetitions) for query in QUERIES
    }
    ordered = sorted(searches.values())
    return {
        "edition": edition.about.name,
        "rows": len(edition),
        "open": best(lambda: Edition.read(path), repetitions),
        "open_with_notes": best(read_notes, repetitions) if edition.has_notes else None,
        "index": built,
        "search_median": ordered[len(ordered) // 2],
        "search_slowest": ordered[-1],
        "searches": searches,
    }


def main() -> int:
    """Measure all bundled editions, print a table, and return the exit code."""
    parser = argparse.ArgumentParser(description="Measure the opening of editions and the search.")
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            measure(found.path, Path(folder), options.repetitions)
            for found in editions()
            if found.bundled
        ]
    print("| edition | rows | open | with notes | index | search, median | slowest |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        times = (
            "" if row[name] is None else f"{row[name]:.1f} ms"
            for name in ("open", "open_with_notes", "index", "search_median", "search_slowest")
        )
        print(f"| `{row['edition']}` | {row['rows']:,} | {' | '.join(times)} |")
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    slow = [row for row in rows if row["open"] >= OPEN or row["search_slowest"] >= SEARCH]
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
