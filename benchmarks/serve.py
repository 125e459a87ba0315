"""Speed and memory of the service: many clients over HTTP against `predict` on the same notes.

Each side is a process of its own with the same model. `predict` codes the notes in one call, after
loading and warming up. The service is ``icdcode serve``; its clients, in this process, each send a
note and wait for its codes before they send the next, on a connection that stays open. Both sides'
codes must agree, byte for byte; otherwise the exit code is 1. The memory is that of the service's
process (resident), sampled while it codes many notes.

    python benchmarks/serve.py outputs/laptop/laptop notes.jsonl
    python benchmarks/serve.py RUN NOTES --clients 1 8 64 --notes 240 --threads 1 --json FILE
    python benchmarks/serve.py RUN NOTES --memory 10000    memory over that many notes, no speed

NOTES is a table as of ``icdcode predict``. The notes are repeated if there are too few.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from serve_clients import RunningService, ask_all, percentiles
from train import machine, write_json

CLIENTS = (1, 8, 64)
TARGET = 0.8
"""The share of `predict`'s throughput that the service should reach."""
FIRST = 16
"""Notes that are coded before the clock starts."""

_PREDICT = """
import json, resource, sys, time
from itertools import islice
from icdcli.data.notes.text import Note
from icdcli.model.checkpoint import load_model
from icdcli.predict.run import predict_notes
from icdcli.predict.writers import note_line

run, notes, lines, first, evidence = sys.argv[1:]
model = load_model(run)
given = [Note(**json.loads(line)) for line in open(notes, encoding="utf-8")]
options = {"evidence": evidence == "True"}
list(predict_notes(model, given[: int(first)], **options))
before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
coded = list(predict_notes(model, given, **options))
seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
with open(lines, "w", encoding="utf-8") as file:
    file.writelines(map(note_line, coded))
print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "notes": len(given)}))
"""

Measured = dict[str, Any]


def read_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the command line with its defaults.

    Args:
        arguments: The arguments; None: those of the process.
    """
    parser = argparse.ArgumentParser(description="The service against icdcode predict.")
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("table", type=Path, metavar="NOTES")
    parser.add_argument("--notes", type=int, default=240, metavar="N", help="number of notes")
    parser.add_argument("--clients", type=int, nargs="+", default=list(CLIENTS), metavar="N")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="the best one counts")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of each model")
    parser.add_argument("--evidence", action="store_true", help="also find the words behind codes")
    parser.add_argument("--memory", type=int, metavar="N", help="measure memory over N notes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    options = parser.parse_args(arguments)
    if min([options.notes, options.rounds, options.threads, *options.clients]) < 1:
        parser.error("--notes, --clients, --rounds and --threads: should be at least 1")
    return options


def read_notes(table: Path, count: int) -> list[dict[str, str]]:
    """Return notes of a table, repeated under other ids if there are too few."""
    from icdcli.data.notes.files import find_notes

    texts = [note.text for note in find_notes([str(table)]) if note.has_text]
    return [{"id": str(number), "text": texts[number % len(texts)]} for number in range(count)]


def measure_predict(
    options: argparse.Namespace, notes: list[dict[str, str]], folder: Path
) -> tuple[Measured, dict[str, str]]:
    """Return the figures of `predict`, and the line of each note."""
    table, lines = folder / "notes.jsonl", folder / "codes.jsonl"
    table.write_text("".join(json.dumps(note) + "\n" for note in notes), encoding="utf-8")
    command = [sys.executable, "-c", _PREDICT, options.run, table, lines, FIRST, options.evidence]
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "OMP_NUM_THREADS": str(options.threads)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    found["notes_per_second"] = found["notes"] / found["seconds"]
    coded = lines.read_text(encoding="utf-8").splitlines()
    return found, {json.loads(line)["id"]: line for line in coded}


def measure_service(
    options: argparse.Namespace, service: RunningService, notes: list[dict[str, str]], clients: int
) -> tuple[Measured, dict[str, str]]:
    """Return the figures of the service with some clients, and the line of each note."""
    before = service.cpu_seconds()
    answers, seconds = ask_all(service.port, notes, clients, options.evidence)
    used = service.cpu_seconds() - before
    figures = {
        "notes_per_second": len(notes) / seconds,
        "seconds": seconds,
        "cpu_seconds": used,
        "notes": len(notes),
        **percentiles([answer.seconds for answer in answers]),
    }
    return figures, {answer.id: answer.line for answer in answers}


def measure_speed(options: argparse.Namespace, folder: Path) -> Measured:
    """Measure both sides in turns; of several rounds, the best of each counts."""
    notes = read_notes(options.table, options.notes)
    found: Measured = {"clients": {}, "agree": True}
    with RunningService(options.run, options.threads, folder) as service:
        ask_all(service.port, notes[:FIRST], 1, options.evidence)
        for _ in range(options.rounds):
            own, lines = measure_predict(options, notes, folder)
            found["predict"] = _best(found.get("predict"), own)
            for clients in options.clients:
                figures, served = measure_service(options, service, notes, clients)
                found["agree"] &= served == lines
                figures = _best(found["clients"].get(str(clients)), figures)
                found["clients"][str(clients)] = figures
    for figures in found["clients"].values():
        share = figures["notes_per_second"] / found["predict"]["notes_per_second"]
        figures["share_of_predict"] = share
        figures["cpu_share_of_predict"] = (
            found["predict"]["cpu_seconds"] / found["predict"]["notes"]
        ) / (figures["cpu_seconds"] / figures["notes"])
    return found


def _best(before: Measured | None, now: Measured) -> Measured:
    better = before is None or now["notes_per_second"] > before["notes_per_second"]
    return now if better or before is None else before


def measure_memory(options: argparse.Namespace, folder: Path) -> Measured:
    """Return the memory of the service after each tenth of many notes, in MB."""
    notes = read_notes(options.table, options.memory)
    samples: list[float] = []
    with RunningService(options.run, options.threads, folder) as service:
        size = max(1, len(notes) // 10)
        for begin in range(0, len(notes), size):
            ask_all(service.port, notes[begin : begin + size], max(options.clients), False)
            samples.append(service.resident_mb())
            print(f"{begin + size:,} notes: {samples[-1]:,.0f} MB", file=sys.stderr, flush=True)
        peak = service.peak_mb()
    return {
        "notes": len(notes),
        "clients": max(options.clients),
        "resident_mb": samples,
        "peak_mb": peak,
        "growth_after_first_tenth": samples[-1] / samples[0] - 1,
    }


def show(found: Measured) -> None:
    """Print the figures."""
    if "predict" in found:
        print(
            f"{'':<14}{'notes/s':>9}{'share':>8}{'CPU ms':>9}{'share':>8}"
            f"{'p50 ms':>9}{'p95':>8}{'p99':>8}"
        )
        own = found["predict"]
        cpu = 1000 * own["cpu_seconds"] / own["notes"]
        print(f"{'predict':<14}{own['notes_per_second']:>9.2f}{'':>8}{cpu:>9.1f}")
        for clients, row in found["clients"].items():
            cpu = 1000 * row["cpu_seconds"] / row["notes"]
            print(
                f"{clients + ' clients':<14}{row['notes_per_second']:>9.2f}"
                f"{row['share_of_predict']:>8.2f}{cpu:>9.1f}{row['cpu_share_of_predict']:>8.2f}"
                + "".join(f"{1000 * row[name]:>{9 if name == 'p50' else 8}.0f}" for name in ROW)
            )
        rows = found["clients"].values()
        least = {name: min(row[name] for row in rows) for name in SHARES}
        print(
            f"\ntarget: {TARGET} of the throughput of predict; measured, at least: "
            f"{least['share_of_predict']:.2f}, by CPU time {least['cpu_share_of_predict']:.2f}, "
            "which depends less on what else runs"
        )
    if "memory" in found:
        memory = found["memory"]
        growth = memory["growth_after_first_tenth"]
        print(
            f"memory over {memory['notes']:,} notes: {memory['resident_mb'][0]:,.0f} MB after the "
            f"first tenth, {memory['resident_mb'][-1]:,.0f} MB in the end ({growth:+.1%}), "
            f"peak {memory['peak_mb']:,.0f} MB"
        )


ROW = ("p50", "p95", "p99")
SHARES = ("share_of_predict", "cpu_share_of_predict")


def main() -> int:
    """Measure, print tables and, if requested, write JSON."""
    options = read_arguments()
    about = {name: value for name, value in vars(options).items() if name != "json"}
    found: Measured = {"options": {**about, "run": "RUN", "table": "NOTES"}, "machine": machine()}
    with tempfile.TemporaryDirectory(prefix="icdcode-serve-") as temporary:
        if options.memory:
            found["memory"] = measure_memory(options, Path(temporary))
        else:
            found |= measure_speed(options, Path(temporary))
    if options.json:
        write_json(options.json, found)
    print(f"{json.dumps(found['machine'])}\n")
    show(found)
    if not found.get("agree", True):
        print("the service's codes differ from those of predict", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
