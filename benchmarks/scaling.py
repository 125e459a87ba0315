"""Measure how the cost of each stage grows with documents and labels.

Each cell, a stage with a number of documents and of labels, runs in a process of its own. Cells
that the JSON file has already are kept, so a long measurement can be stopped and continued.

    python benchmarks/scaling.py scaling.json                           all cells: many hours
    python benchmarks/scaling.py scaling.json --documents 1000 10000 --labels 1000 9000
    python benchmarks/scaling.py scaling.json --stages lexical tfidf --documents 47719 --labels 8929
    python benchmarks/scaling.py scaling.json --documents --plot docs/pictures/scaling.svg
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from prepare_measure import machine
from scaling_documents import MEDIAN_WORDS
from scaling_stages import STAGES

DOCUMENTS = (1_000, 10_000, 50_000)
LABELS = (1_000, 9_000, 75_000)
LIMIT_S = 840.0
QUICK = {"documents": [20, 40], "labels": [50, 100], "median_words": 60}

Cell = dict[str, Any]
"""stage, documents, labels (None: it doesn't depend on them), and either what was measured or
more_than: the seconds after which it was stopped, or error: it ended with an error."""


def cells(stages: Sequence[str], documents: Sequence[int], labels: Sequence[int]) -> list[Cell]:
    """Return the cells to measure, cheap ones first; each only once if a number doesn't matter."""
    found = []
    for stage in stages:
        about = STAGES[stage]
        for number in documents if about.with_documents else list(documents)[:1]:
            for size in labels if about.with_labels else list(labels)[:1]:
                found.append(
                    {
                        "stage": stage,
                        "documents": number if about.with_documents else None,
                        "labels": size if about.with_labels else None,
                    }
                )
    return sorted(found, key=lambda cell: (cell["documents"] or 0) * (cell["labels"] or 1))


def same(one: Cell, other: Cell) -> bool:
    """Return whether two cells are of one stage and of the same size."""
    return all(one[key] == other[key] for key in ("stage", "documents", "labels"))


def known(cell: Cell, measured: Sequence[Cell], limit: float) -> bool:
    """Return whether a cell has been measured, or stopped after at least this limit."""
    found = next((each for each in measured if same(each, cell)), None)
    return found is not None and ("seconds" in found or found.get("more_than", 0) >= limit)


def measure(cell: Cell, work: Path, limit: float, median_words: int) -> Cell:
    """Measure a cell in a new process."""
    sizes = [str(cell["documents"] or 1_000), str(cell["labels"] or 1_000), str(work)]
    script = [sys.executable, str(Path(__file__).with_name("scaling_stages.py"))]
    subprocess.run([*script, "notes", *sizes, str(median_words)], check=True, capture_output=True)
    try:
        done = subprocess.run(
            [*script, cell["stage"], *sizes, str(median_words)],
            stdout=subprocess.PIPE,
            text=True,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        return {**cell, "more_than": limit}
    if done.returncode:
        return {**cell, "error": done.returncode}
    return {**cell, **json.loads(done.stdout.splitlines()[-1])}


def exponents(measured: Sequence[Cell]) -> tuple[float | None, float | None]:
    """Return the exponents of documents and labels that fit one stage's CPU seconds best.

    It is the least-squares plane through the logarithms; None: fewer than two numbers measured.
    """
    rows = [cell for cell in measured if cell.get("cpu_seconds", 0) > 0]
    places = {key: [math.log(cell[key] or 1) for cell in rows] for key in ("documents", "labels")}
    varied = [key for key, values in places.items() if len(set(values)) > 1]
    if not varied:
        return None, None
    columns = np.array([[1.0] * len(rows), *(places[key] for key in varied)]).T
    seconds = np.log([cell["cpu_seconds"] for cell in rows])
    found = dict(zip(varied, np.linalg.lstsq(columns, seconds)[0][1:], strict=True))
    return tuple(float(found[key]) if key in found else None for key in ("documents", "labels"))


def table(measured: Sequence[Cell], documents: Sequence[int], labels: Sequence[int]) -> str:
    """Return a table in Markdown: a row per stage and number of labels."""
    heads = [f"{number:,} documents" for number in documents]
    lines = [
        f"| stage | labels | {' | '.join(heads)} | exponent of documents | of labels |",
        f"|---|---:|{'---:|' * (len(documents) + 2)}",
    ]
    for name, about in STAGES.items():
        of_stage = [cell for cell in measured if cell["stage"] == name]
        fitted = ["" if value is None else f"{value:.2f}" for value in exponents(of_stage)]
        for place, size in enumerate(labels if about.with_labels else [None]):
            row = [
                _entry(of_stage, number if about.with_documents else None, size)
                for number in (documents if about.with_documents else documents[:1])
            ]
            row += [""] * (len(documents) - len(row))
            head = [about.title if place == 0 else "", "any" if size is None else f"{size:,}"]
            tail = fitted if place == 0 else ["", ""]
            lines.append(f"| {' | '.join([*head, *row, *tail])} |")
    return "\n".join(lines)


def _entry(measured: Sequence[Cell], documents: int | None, labels: int | None) -> str:
    for cell in measured:
        if (cell["documents"], cell["labels"]) == (documents, labels):
            if "more_than" in cell:
                return f"more than {cell['more_than']:,.0f} s"
            if "error" in cell:
                return "ended with an error"
            return f"{_seconds(cell['cpu_seconds'])} s, {cell['megabytes']:,.0f} MB"
    return "not measured"


def _seconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def plot(measured: Sequence[Cell], path: Path) -> None:
    """Draw CPU seconds by documents and by labels, both axes logarithmic, as SVG."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "scaling"}):
        figure = Figure(figsize=(11, 4.5), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for axis, key, other in (
            (axes[0], "documents", "labels"),
            (axes[1], "labels", "documents"),
        ):
            for color, (name, about) in enumerate(STAGES.items()):
                rows = [
                    cell
                    for cell in measured
                    if cell["stage"] == name and cell[key] and cell.get("cpu_seconds")
                ]
                # Of the other number, the one that most cells of the stage have.
                numbers = [cell[other] for cell in rows]
                best = max(numbers, key=numbers.count, default=None)
                points = sorted(
                    (cell[key], cell["cpu_seconds"]) for cell in rows if cell[other] == best
                )
                if len(points) > 1:
                    label = about.title + ("" if best is None else f" ({best:,} {other})")
                    axis.loglog(*zip(*points, strict=True), "o-", color=f"C{color}", label=label)
            axis.set_xlabel(key)
            axis.grid(visible=True, alpha=0.3)
            if axis.get_lines():
                axis.legend(fontsize=7)
        axes[0].set_ylabel("CPU seconds")
        figure.savefig(path, format="svg", metadata={"Date": None})


def read_cells(path: Path) -> list[Cell]:
    """Return the cells of an earlier measurement; none if there is no file.

    Raises:
        SystemExit: The file is no such measurement.
    """
    if not path.is_file():
        return []
    try:
        found: list[Cell] = json.loads(path.read_text(encoding="utf-8"))["cells"]
        if not all({"stage", "documents", "labels"} <= cell.keys() for cell in found):
            raise KeyError("stage")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SystemExit(
            f"error: {path} is not a measurement of scaling.py ({error}). Name another file"
        ) from error
    return found


def main() -> int:
    """Measure the missing cells, print the table, and return 1 if a cell ended with an error."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("json", type=Path, help="where cells are kept")
    parser.add_argument("--stages", nargs="*", choices=list(STAGES), default=list(STAGES))
    parser.add_argument("--documents", nargs="*", type=int, default=list(DOCUMENTS))
    parser.add_argument("--labels", nargs="*", type=int, default=list(LABELS))
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds per cell")
    parser.add_argument("--work", type=Path, help="a folder for the notes, which are kept there")
    parser.add_argument("--plot", type=Path, help="also draw the cells to this SVG file")
    parser.add_argument(
        "--quick", action="store_true", help="a few short notes, to test the script"
    )
    options = parser.parse_args()
    documents, labels, words = options.documents, options.labels, MEDIAN_WORDS
    if options.quick:
        documents, labels, words = QUICK["documents"], QUICK["labels"], QUICK["median_words"]
    if min((*documents, *labels), default=1) < 1 or options.limit <= 0:
        parser.error("documents, labels and the limit must be positive")
    measured = read_cells(options.json)
    with tempfile.TemporaryDirectory(prefix="icdcode-") as temporary:
        work = options.work or Path(temporary)
        for cell in cells(options.stages, documents, labels):
            if known(cell, measured, options.limit):
                continue
            found = measure(cell, work, options.limit, words)
            measured = [*(each for each in measured if not same(each, cell)), found]
            options.json.write_text(
                json.dumps({"machine": machine(), "cells": measured}, indent=1) + "\n", "utf-8"
            )
            print(json.dumps(found), file=sys.stderr, flush=True)
    numbers = sorted({cell["documents"] for cell in measured if cell["documents"]})
    sizes = sorted({cell["labels"] for cell in measured if cell["labels"]})
    print(table(measured, numbers or documents, sizes or labels))
    if options.plot:
        plot(measured, options.plot)
    return int(any("error" in cell for cell in measured))


if __name__ == "__main__":
    sys.exit(main())
