"""Speed of a trained network on this CPU: prediction, evaluation and caching, by precision.

Each measurement is a process of its own, since a model remembers what it has read. Wall seconds are
those of this machine while nothing else runs; CPU seconds depend less on what else runs. Times to
the first coded note include the start of Python, imports and loading; the least of several calls
counts.

    python benchmarks/cpu.py outputs/laptop/laptop
    python benchmarks/cpu.py RUN --split validation --notes 250 --threads 1 --json cpu.json

RUN is a run with ``bit: 32`` and a frozen backbone, such as one of configs/laptop.yaml.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import psutil

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
MEASURES = {
    "predict": "predict",
    "cache": "cache hidden states and similarities",
    "evaluate": "evaluate, with nothing cached",
    "again": "evaluate again",
}
_FIRST = 8
"""Notes coded before the time is taken: some tables are read when they are needed first."""


def measured(work: Callable[[], object]) -> dict[str, float]:
    """Return the wall and CPU seconds of some work."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "cpu": cpu}


def measure(what: str, run: Path, precision: Precision, split: str, notes: int) -> dict[str, float]:
    """Measure one thing in this process.

    Returns:
        The wall and CPU seconds, and the number of notes.
    """
    from icdcli.data.corpus.reader import open_corpus
    from icdcli.data.notes.text import Note
    from icdcli.evaluation.run import open_run
    from icdcli.evaluation.score_split import score_split
    from icdcli.predict.run import predict_notes

    opened = open_run(run, device="cpu", on_warning=print, cpu_precision=precision)
    model: Any = opened.model
    texts = [text for _, text in zip(range(notes), opened.corpus.texts(split), strict=False)]
    given = [Note(str(number), text) for number, text in enumerate(texts)]
    list(predict_notes(model, given[:_FIRST]))
    if what == "predict":
        given = given[_FIRST:]
        return {**measured(lambda: list(predict_notes(model, given))), "notes": len(given)}
    with tempfile.TemporaryDirectory(prefix="icdcode-cpu-") as temporary:
        # A copy of the corpus without hidden states and similarities.
        folder = Path(temporary) / opened.corpus.folder.name
        without = shutil.ignore_patterns("states-*", "similarities-*")
        shutil.copytree(opened.corpus.folder, folder, ignore=without)
        corpus = open_corpus(folder)
        documents = corpus.documents(split)
        encoded = model.encoded(model.cached_tokens(corpus), documents)
        if what == "cache":
            seconds = measured(lambda: model.with_precomputed(folder, {split: encoded}, 20))
        else:
            if what == "again":
                model.with_precomputed(folder, {split: encoded}, 20)
            seconds = measured(lambda: score_split(model, corpus, split))
    return {**seconds, "notes": len(documents)}


def first_note(run: Path, precision: str, texts: Sequence[str]) -> dict[str, float]:
    """Return the wall and CPU seconds until `icdcode predict` shows its first note."""
    with tempfile.TemporaryDirectory(prefix="icdcode-cpu-") as temporary:
        notes = Path(temporary) / "notes.jsonl"
        rows = (json.dumps({"id": str(n), "text": text}) for n, text in enumerate(texts))
        notes.write_text("\n".join(rows) + "\n", encoding="utf-8")
        command = [
            *(sys.executable, "-m", "icdcli", "predict", str(run), str(notes), "--json"),
            *("--device", "cpu", "--cpu-precision", precision),
        ]
        # An installed package is compiled; with this variable, each call would compile icdcode.
        setting = dict(os.environ)
        setting.pop("PYTHONDONTWRITEBYTECODE", None)
        began = time.perf_counter()
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, env=setting, **pipes) as process:
            process.stdout.readline()
            wall, used = time.perf_counter() - began, psutil.Process(process.pid).cpu_times()
            process.stdout.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: failed")
    return {"wall": wall, "cpu": used.user + used.system}


def in_own_process(what: str, precision: str, options: argparse.Namespace) -> dict[str, float]:
    """Measure one thing in a new process."""
    command = [sys.executable, __file__, str(options.run), "--split", options.split]
    command += [
        "--notes",
        str(options.notes),
        "--measure",
        what,
        "--precision",
        precision,
        "--here",
    ]
    threads = {"OMP_NUM_THREADS": str(options.threads)} if options.threads else {}
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **threads}
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the measurements as a Markdown table."""
    lines = ["| | precision | notes/s | CPU ms per note |", "|---|---|---:|---:|"]
    for row in rows:
        if row["measure"] in MEASURES:
            speed = f"{row['notes'] / row['wall']:.1f} | {1000 * row['cpu'] / row['notes']:.0f}"
            lines.append(f"| {MEASURES[row['measure']]} | {row['precision']} | {speed} |")
        else:
            first = f"first of {row['notes']} notes after {row['wall']:.1f} s"
            lines.append(f"| {first}, {row['cpu']:.1f} CPU s | {row['precision']} | | |")
    return "\n".join(lines)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a trained run")
    parser.add_argument("--split", default="validation", choices=("train", "validation", "test"))
    parser.add_argument("--notes", type=int, default=250, help="the most notes to predict")
    parser.add_argument("--threads", type=int, help="threads of matrix products")
    parser.add_argument(
        "--precision", nargs="+", choices=PRECISIONS, default=PRECISIONS, help="default: both"
    )
    parser.add_argument("--measure", nargs="+", choices=(*MEASURES, "first"), help="default: all")
    parser.add_argument("--rounds", type=int, default=3, help="calls until the first note")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="write the results to this file")
    options = parser.parse_args(words)
    if not (options.run / "args.yaml").is_file():
        parser.error(f"{options.run}: isn't the folder of a run (it has no args.yaml)")
    if options.notes <= _FIRST:
        parser.error(f"--notes {options.notes}: give more than {_FIRST}")
    if options.threads is not None and options.threads < 1:
        parser.error(f"--threads {options.threads}: give 1 or more")
    if options.rounds < 1:
        parser.error(f"--rounds {options.rounds}: give 1 or more")
    return options


def main() -> None:
    """Measure, print a table, and write the results."""
    options = arguments()
    if options.here:  # the process of one measurement
        (what,), (precision,) = options.measure, options.precision
        print(json.dumps(measure(what, options.run, precision, options.split, options.notes)))
        return
    rows = []
    for precision in options.precision:
        for what in options.measure or MEASURES:
            if what != "first":
                rows.append({"measure": what, "precision": precision})
                rows[-1] |= in_own_process(what, precision, options)
        if not options.measure or "first" in options.measure:
            from icdcli.evaluation.run import open_run

            corpus = open_run(options.run, device="cpu", on_warning=print).corpus
            texts = list(corpus.texts(options.split))[: options.notes]
            for some in (texts[:1], texts):
                about = {"measure": "first", "precision": precision, "notes": len(some)}
                rounds = [first_note(options.run, precision, some) for _ in range(options.rounds)]
                least = {key: min(one[key] for one in rounds) for key in ("wall", "cpu")}
                rows.append({**about, **least, "rounds": rounds})
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps({"rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
