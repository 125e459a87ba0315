"""``icdcode predict``: codes for new notes."""

import hashlib
import os
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icdcli.cli.common import Load, Port
from icdcli.cli.completion import complete_run
from icdcli.cli.processes import ending_at_once, in_all_processes
from icdcli.config.loading import load_config
from icdcli.errors import ConfigError
from icdcli.io.progress import Progress
from icdcli.report.console import Output
from icdcli.run_dir import RunDir

if TYPE_CHECKING:
    from icdcli.data.notes.files import Notes
    from icdcli.distributed.process_group import ProcessGroup
    from icdcli.predict.batches import BatchPredictor
    from icdcli.predict.resumable_output import CodingParts

_SHOWN_AT_ONCE = 16  # notes read together where someone waits for the first


@dataclass(frozen=True)
class Call:
    """The options of `predict`."""

    checkpoint: Path
    files: list[str]
    text_column: str | None = None
    id_column: str | None = None
    top: int | None = None
    min_score: float | None = None
    evidence: bool = False
    output: Path | None = None


def predict(
    run_dir: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_DIR",
            help="The folder of a run or of a checkpoint.",
            autocompletion=complete_run,
        ),
    ],
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Text files, folders of .txt files, .csv, .jsonl or .parquet tables; - reads one "
            "note from standard input.",
        ),
    ],
    top: Annotated[
        int | None,
        typer.Option(
            help="Show the N highest-scoring codes per note, even below the threshold.",
            metavar="N",
            min=1,
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            help="Show every code with at least this score, whatever the threshold.", min=0, max=1
        ),
    ] = None,
    evidence: Annotated[
        bool,
        typer.Option(
            "--evidence",
            help="Highlight the words behind each code. The terminal prints complete sentences, "
            "which may identify patients.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Output file (.jsonl, .csv, .parquet). Rerun the same command to continue after an "
            "interruption."
        ),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Column of the notes in tables. Default: text.")
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option(help="Column of the ids in tables. Default: id, or the row number."),
    ] = None,
    load: Load = "metric",
    device: Annotated[
        str | None,
        typer.Option(help="cpu, mps, 0, '[0,1]' … Default: the first GPU, else the CPU."),
    ] = None,
    port: Port = 10001,
    json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print JSONL to standard output, one line per note; with --output, one JSON object "
            "about the file.",
        ),
    ] = False,
) -> None:
    """Predict codes for new notes.

    Needs only the checkpoint; the training data aren't needed.

    Example: icdcode predict outputs/mimic3/automatic_coding notes.csv --output codes.jsonl
    """
    call = Call(
        _find_checkpoint(run_dir, load),
        files,
        text_column,
        id_column,
        top,
        min_score,
        evidence,
        output,
    )
    chosen = (
        _default_device() if device is None else load_config(None, [f"device={device}"]).run.device
    )

    def work(output: Output) -> None:
        kept = call.output is not None
        with ending_at_once(
            output, "Stopped. The same command goes on from here." if kept else "Stopped."
        ):
            code_notes(call, chosen, output)

    in_all_processes(chosen, port, work, json)


def _find_checkpoint(folder: Path, load: str) -> Path:
    """Return the checkpoint of a run, or the folder if it is a checkpoint."""
    if (folder / "manifest.json").is_file():
        return folder
    run = RunDir.open(folder)
    from icdcli.run_dir import find_checkpoint

    return find_checkpoint(run, load)


def _default_device() -> str | list[int]:
    """Return the first GPU; all GPUs if a launcher started a process for each; else the CPU."""
    import torch

    from icdcli.distributed.process_group import read_slurm_environment

    read_slurm_environment(os.environ)
    count = torch.cuda.device_count()
    return [*range(count if "WORLD_SIZE" in os.environ else min(count, 1))] or "cpu"


def code_notes(call: Call, device: str | list[int], output: Output) -> None:
    """Give the notes of a call their codes: on the screen, or into its file."""
    from icdcli.data.notes.files import STANDARD_INPUT, find_notes, read_note
    from icdcli.distributed.process_group import join_process_group
    from icdcli.explain.evidence import evidence_finder
    from icdcli.model.checkpoint import load_model
    from icdcli.predict.batches import Choice, batch_predictor

    process_group = join_process_group(device)
    if process_group.size > 1 and (call.output is None or STANDARD_INPUT in call.files):
        raise ConfigError(
            "several processes share notes from files and write into one: give --output, and no -"
        )
    given = (
        read_note(sys.stdin.buffer.read, "standard input") if STANDARD_INPUT in call.files else b""
    )
    notes = find_notes(call.files, given, call.text_column, call.id_column)
    parts = None if call.output is None else _parts(call, call.output, notes)
    model = load_model(call.checkpoint, device=str(process_group.device))
    threshold, choice = model.threshold, Choice(call.top, call.min_score)
    told = f"{call.checkpoint}: {len(model.labels):,} codes, threshold {threshold}"
    writer = batch_predictor(model, choice, evidence_finder(model) if call.evidence else None)
    with output.stages() as on_progress:
        if parts is None:
            _check(notes, on_progress, output)
            output.say(told if choice.by_threshold else f"{told}; * predicted: at or above it")
            _show(notes, writer, output, one_threshold=threshold.per_code is None)
            return
        count = _write(parts, notes, writer, process_group, on_progress, output)
    output.say(told)
    output.say(f"Written: {call.output}, {count:,} notes")
    about = {
        "checkpoint": call.checkpoint,
        "threshold": str(threshold),
        "top": call.top,
        "min_score": call.min_score,
    }
    output.result({"output": call.output, "notes": count, **about})


def _parts(call: Call, path: Path, notes: "Notes") -> "CodingParts":
    from icdcli import __version__
    from icdcli.predict.resumable_output import CodingParts

    if any(path.exists() and Path(name).exists() and path.samefile(name) for name in call.files):
        raise ConfigError(f"--output {path}: is what the notes are read from; give another name")
    try:
        checkpoint = hashlib.sha256((call.checkpoint / "manifest.json").read_bytes()).hexdigest()
    except OSError:
        checkpoint = ""  # loading it says what is wrong
    options = f"--top {call.top} --min-score {call.min_score}" + (
        " --evidence" if call.evidence else ""
    )
    made_of = {
        "another checkpoint": checkpoint,
        "other notes": notes.state,
        "other options": options,
    }
    return CodingParts(path, made_of | {"another version of icdcode": __version__}, call.evidence)


def _check(notes: "Notes", on_progress: Progress, output: Output) -> int:
    """See that all notes can be read, before the first is coded; how many there are."""
    count = notes.check(on_progress)
    if notes.without_text:
        output.warn(f"{notes.without_text:,} of {count:,} notes have no text, and get no codes")
    return count


def _show(notes: "Notes", model: "BatchPredictor", output: Output, one_threshold: bool) -> None:
    """Show each note's codes as soon as they are there: on the terminal, or as JSONL on standard output."""
    from icdcli.predict.batches import blocks
    from icdcli.predict.writers import note_line
    from icdcli.report.views.evidence import evidence_view
    from icdcli.report.views.predictions import coded_view

    if output.json and isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # whatever the terminal's is: JSON has no other
    for block in blocks(notes, _SHOWN_AT_ONCE):
        for given, note in zip(block, model.code(block), strict=True):
            if output.json:
                sys.stdout.write(note_line(note))
                continue
            output.show(coded_view(note, model.choice, one_threshold))
            if model.find is not None and note.codes:
                marked = [(code.code, code.title, code.evidence or ()) for code in note.codes]
                output.show(evidence_view(given.text, marked, signs=not output.live))
        sys.stdout.flush()


def _write(
    parts: "CodingParts",
    notes: "Notes",
    model: "BatchPredictor",
    process_group: "ProcessGroup",
    on_progress: Progress,
    output: Output,
) -> int:
    """Write all notes' codes into a file, together with the other processes; how many notes there are."""
    with parts.alone() if process_group.first else nullcontext():
        if process_group.first:
            if parts.changed:
                output.warn(
                    f"{parts.folder}: was begun with {' and '.join(parts.changed)}; beginning anew"
                )
            elif parts.begun:
                output.say(f"Going on with what is done in {parts.folder}")
            parts.begin(parts.notes or _check(notes, on_progress, output))
        process_group.wait()
        count = parts.notes or 0

        def told(done: int, before: int) -> None:
            on_progress(
                "coding",
                done - before,
                count - before,
                "notes",
                f"{before:,} were done before" if before else "",
            )

        number = parts.code(notes, model.code, (process_group.rank, process_group.size), told)
        if process_group.size > 1:
            parts.wait(
                number,
                lambda there: on_progress(
                    "waiting for the other processes", there, number, "parts"
                ),
            )
            process_group.wait()
        if process_group.first:
            parts.finish(number)
    return count
