"""Write the parts of an output file: which inputs they are made of, and who writes which."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from icdcli import __version__
from icdcli.data.notes.files import Notes
from icdcli.data.notes.text import Note
from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import ConfigError, ResumeError
from icdcli.io.manifest import manifest_sha256
from icdcli.io.progress import Progress
from icdcli.io.remote.paths import is_remote, is_url
from icdcli.model.ensemble.references import base_states
from icdcli.model.files.checkpoint_files import peek_settings
from icdcli.model.section import CpuPrecision
from icdcli.predict.batches import CutNotes, Selection
from icdcli.predict.counting import OnMessage, check_notes
from icdcli.predict.formats.blocks import ModelName
from icdcli.predict.formats.format_name import FormatName
from icdcli.predict.formats.registry import Shape
from icdcli.predict.resumable_output import OnNotes, OutputParts, PredictBlock
from icdcli.predict.shards.parts import ShardParts
from icdcli.predict.shards.records import Shard

if TYPE_CHECKING:
    from icdcli.predict.checking import NoteChecks

OnCoded = Callable[[int, int], object]
WriteMissing = Callable[[Iterable[Note], OnNotes], int]
"""Writes the parts of notes that are missing, reports the progress, and returns the number of all
parts."""


def in_this_process(parts: OutputParts, predict: PredictBlock, group: ProcessGroup) -> WriteMissing:
    """Return what writes the parts of a process of a group, with a model that it has loaded.

    Args:
        parts: The parts.
        predict: Predicts the codes of a block.
        group: The processes that share the notes.
    """

    def write(notes: Iterable[Note], on_notes: OnNotes) -> int:
        return parts.write(notes, predict, (group.rank, group.size), on_notes)

    return write


def write_parts(
    parts: OutputParts,
    notes: Notes,
    write: WriteMissing,
    group: ProcessGroup,
    on_notes: OnCoded | None,
    on_progress: Progress | None,
    on_warning: OnMessage | None,
    on_message: OnMessage | None,
) -> tuple[int, CutNotes]:
    """Write the file of these parts, as one of the processes of a group.

    Args:
        parts: The parts.
        notes: The notes.
        write: Writes this process's parts that are missing, as `OutputParts.write` does.
        group: The processes that share the notes.
        on_notes: Called with the notes that are done, and with all notes.
        on_progress: Receives the progress.
        on_warning: Called with a message for each warning.
        on_message: Called with a message if an interrupted call is continued.

    Returns:
        The number of notes and, on rank 0, those of which the model reads only the beginning.

    Raises:
        DataError: If a note can't be read, or if the file can't be written.
    """
    with parts.locked() if group.is_main else nullcontext():
        finished = group.broadcast(parts.finished() if group.is_main else None)
        if finished is not None:
            if group.is_main and on_message is not None:
                on_message(f"{parts.output}: was written before. Nothing is left to do.")
            return finished
        if group.is_main:
            _start(parts, notes, on_progress, on_warning, on_message)
        group.wait()
        count = parts.notes or 0
        if on_notes is not None:
            on_notes(0, count)
        own = parts.select(notes)
        return count, _write_missing(parts, own, write, group, count, on_notes, on_progress)


def output_parts(
    notes: Notes,
    output: Path,
    selection: Selection,
    evidence: bool,
    format: FormatName | None,
    cpu_precision: CpuPrecision | None,
    checkpoint: Path,
    checks: "NoteChecks | None" = None,
    shard: Shard | None = None,
    concepts: Path | None = None,
) -> OutputParts:
    """Return the parts of an output file, which start over if an argument changes.

    Raises:
        ConfigError: If there can't be such a file.
    """
    for name in notes.names:
        if _same_file(output, name):
            raise ConfigError(
                f"--output {output}: the notes are read from this file. Choose another name."
            )
    try:
        manifest = manifest_sha256(checkpoint)
    except ResumeError:
        manifest = ""  # loading the checkpoint reports the problem
    options = f"--top {selection.top} --min-score {selection.min_score}" + (
        " --evidence" if evidence else ""
    )
    if selection.accept_score is not None:
        options += f" --accept-score {selection.accept_score}"
    if checks:
        options += f" {checks}"
    if format is not None:
        options += f" --format {format}"
    if concepts is not None:
        concepts = concepts.absolute()  # other processes may read it, from other folders
        options += f" --concepts {concepts}"
    if cpu_precision:
        options += f" --cpu-precision {cpu_precision}"
    made_of = {
        "another checkpoint": manifest,
        "another base model": base_states(checkpoint),
        "other notes": notes.state,
        "other options": options,
        "another version of icdcode": __version__,
    }
    resolve = checks is not None and checks.checking.resolve
    actions = selection.accept_score is not None
    encounters = notes.by_encounter is not None
    tables = None if concepts is None else str(concepts)
    principal = peek_settings(checkpoint).get("principal") is not None
    more = (checks is not None, resolve, actions, encounters, principal, tables)
    shape = Shape(format, evidence, *more)
    model = ModelName(_run_name(checkpoint), manifest)
    if shard is not None:
        return ShardParts(output, made_of, model, shape, shard)
    return OutputParts(output, made_of, model, shape)


def _same_file(output: Path, name: str) -> bool:
    if is_remote(output) or is_url(name):
        return str(output) == name
    return output.exists() and Path(name).exists() and output.samefile(name)


def _run_name(checkpoint: Path) -> str:
    """Return the name of the run of a checkpoint; of one on its own, the name of its folder."""
    parts = checkpoint.resolve().parts
    return parts[parts.index("weights") - 1] if "weights" in parts[1:] else parts[-1]


def _start(
    parts: OutputParts,
    notes: Notes,
    on_progress: Progress | None,
    on_warning: OnMessage | None,
    on_message: OnMessage | None,
) -> None:
    """Keep the parts that an earlier call wrote if they are still valid, and remove all others."""
    if parts.changed and on_warning is not None:
        on_warning(
            f"{parts.folder}: was written with {' and '.join(parts.changed)}. Starting over."
        )
    elif parts.started and not parts.changed and on_message is not None:
        on_message(f"Continuing with the parts in {parts.folder}")

    def read(require: Callable[[Note], None] | None) -> int:
        return check_notes(notes, on_progress, on_warning, on_message, require)

    def wait() -> None:
        if on_message is not None:
            on_message("Waiting for another shard, which reads and counts the notes")

    known = parts.notes
    parts.start(parts.count(read, wait) if known is None else known)


def _write_missing(
    parts: OutputParts,
    notes: Iterable[Note],
    write: WriteMissing,
    group: ProcessGroup,
    count: int,
    on_notes: OnCoded | None,
    on_progress: Progress | None,
) -> CutNotes:
    """Write this rank's parts; rank 0 then waits for all others and joins them.

    Returns:
        On rank 0, the cut notes of all parts; elsewhere none.
    """

    def on_done(done: int, before: int) -> None:
        if on_notes is not None:
            on_notes(done, count)
        if on_progress is not None:
            note = f"{before:,} were done before" if before else ""
            on_progress("coding", done - before, count - before, "notes", note)

    def on_parts(done: int) -> None:
        if on_progress is not None:
            on_progress("waiting for the other processes", done, number, "parts")

    number = write(notes, on_done)
    if group.size > 1:
        parts.wait(number, on_parts)
        group.wait()
    if not group.is_main:
        return CutNotes()
    cut = parts.cut_notes(number)
    parts.join(number)
    return cut
