"""Predict the codes of new notes: as a stream, or into a file. Only the checkpoint is needed."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from icdcli.checkpoint_path import checkpoint_of
from icdcli.data.notes.files import Notes
from icdcli.data.notes.text import Note
from icdcli.distributed.process_group import ProcessGroup, join_process_group
from icdcli.io.progress import Progress
from icdcli.model.checkpoint import load_checkpoint
from icdcli.model.coding_model import CodingModel
from icdcli.model.section import CpuPrecision
from icdcli.predict.batches import CodedNote, CutNotes, NotePredictor, Selection, note_blocks
from icdcli.predict.counting import OnMessage
from icdcli.predict.formats.format_name import FormatName
from icdcli.predict.formats.omop_concepts import concept_tables
from icdcli.predict.formats.registry import needs_evidence
from icdcli.predict.output_writing import (
    OnCoded,
    in_this_process,
    output_parts,
    write_parts,
)
from icdcli.predict.prediction_file import PredictionFile, output_path
from icdcli.predict.resumable_output import PredictBlock
from icdcli.predict.shards.records import Shard

if TYPE_CHECKING:
    from icdcli.predict.checking import Checking, NoteChecks

AcceptScore = Callable[[Path], float]
"""Returns the score from which the codes of a checkpoint are accepted, by its folder."""


def predict_notes(
    model: CodingModel,
    notes: Iterable[Note],
    *,
    top: int | None = None,
    min_score: float | None = None,
    evidence: bool = False,
    checking: "Checking | None" = None,
    max_block: int | None = None,
) -> Iterator[CodedNote]:
    """Predict the codes of any number of notes, a block at a time.

    Args:
        model: The model.
        notes: The notes, e.g. from `icdcli.data.notes.files.find_notes`.
        top: Report up to this many codes per note, whether or not they reach the threshold.
        min_score: Report the codes with at least this score, whether or not they reach the
            threshold.
        evidence: Also find the words behind each code.
        checking: How the predicted codes are checked; None: they aren't.
        max_block: The most notes that are read before the first of them is yielded.

    Yields:
        The notes with their codes, in the same order.

    Raises:
        ConfigError: The codes are to be checked, and the model's editions aren't at hand.

    Example:
        >>> model = icdcli.load_model("outputs/demo/tiny")  # doctest: +SKIP
        >>> for note in predict_notes(model, notes):  # doctest: +SKIP
        ...     print(note.id, [code.code for code in note.codes])
    """
    selection = Selection(top, min_score)
    for _, coded in predict_with_notes(
        model, notes, selection, evidence=evidence, checking=checking, max_block=max_block
    ):
        yield coded


def predict_with_notes(
    model: CodingModel,
    notes: Iterable[Note],
    selection: Selection,
    *,
    evidence: bool = False,
    checking: "Checking | None" = None,
    max_block: int | None = None,
    on_warning: OnMessage | None = None,
) -> Iterator[tuple[Note, CodedNote]]:
    """Predict as `predict_notes` does, and yield each note together with its codes."""
    checks = _checks(model, checking, on_warning)
    predictor = note_predictor(model, selection, evidence, checks)
    for block in note_blocks(notes, max_block):
        yield from zip(block, predictor.predict(block), strict=True)


def _checks(
    model: CodingModel, checking: "Checking | None", on_warning: OnMessage | None
) -> "NoteChecks | None":
    """Return the checks of a model's codes, which few calls want."""
    if checking is None:
        return None
    from icdcli.predict.checking import note_checks

    return note_checks(model.labels, checking, on_warning)


def note_predictor(
    model: CodingModel, selection: Selection, evidence: bool, checks: "NoteChecks | None"
) -> NotePredictor:
    """Return what predicts the codes of blocks of notes.

    Args:
        model: The model.
        selection: Which codes are reported.
        evidence: Whether to find the words behind each code.
        checks: The checks of the codes; None: none.
    """
    find = None
    if evidence:
        from icdcli.explain.evidence import evidence_finder

        find = evidence_finder(model)
    return NotePredictor(model, selection, find, checks.apply if checks else None)


def predict_to_file(
    run: Path | str,
    notes: Notes,
    output: Path | str,
    *,
    load: str = "metric",
    top: int | None = None,
    min_score: float | None = None,
    evidence: bool = False,
    checking: "Checking | None" = None,
    format: FormatName | None = None,
    concepts: Path | None = None,
    accept_score: AcceptScore | None = None,
    cpu_precision: CpuPrecision | None = None,
    shard: Shard | None = None,
    process_group: ProcessGroup | None = None,
    on_progress: Progress | None = None,
    on_warning: OnMessage | None = None,
    on_message: OnMessage | None = None,
) -> PredictionFile:
    """Predict the codes of notes into a file.

    If the call is interrupted, the same call continues with the first note that isn't done.

    Args:
        run: The folder of a run or of a checkpoint.
        notes: The notes, from `icdcli.data.notes.files.find_notes`.
        output: The file or its URL; its name ends in ``.jsonl``, ``.csv`` or ``.parquet`` if there
            is no `format`.
        load: The checkpoint of a run: ``metric``, ``loss`` or ``last``.
        top: Report up to this many codes per note, whether or not they reach the threshold.
        min_score: Report the codes with at least this score, whether or not they reach the
            threshold.
        evidence: Also write the words behind each code.
        checking: How the predicted codes are checked; None: they aren't.
        format: The format, see `icdcli.predict.formats.registry`; None: by the ending of `output`.
        concepts: The folder with OMOP's CONCEPT and CONCEPT_RELATIONSHIP, for the formats
            ``omop-conditions`` and ``omop-procedures``; None: concepts are 0.
        accept_score: Returns the score from which codes can be accepted without review, such as
            `icdcli.evaluation.acceptance.stored.accept_score`; None: codes have no action.
        cpu_precision: The precision of a 32-bit network on a CPU; None: that of its training.
        shard: The part of the notes that this call predicts, into a file in ``<output>.shards/``;
            None: all notes. `icdcli.predict.shards.joining.join_shards` joins these files.
        process_group: The processes that share the notes; None: this process alone, on the CPU.
        on_progress: Receives the progress.
        on_warning: Called with a message for each warning.
        on_message: Called with a message if an interrupted call is continued.

    Raises:
        ConfigError: If there is no such run, if there can't be such a file, or if the codes are to
            be checked and the model's editions aren't at hand.
        DataError: If a note or a table of concepts can't be read, or if the file can't be written.
        ResumeError: If the checkpoint is missing, incomplete or was changed.
    """
    group = join_process_group("cpu") if process_group is None else process_group
    output, selection = output_path(output), Selection(top, min_score)
    evidence = evidence or needs_evidence(format)
    # Loading may take minutes: first see whether there can be such a file.
    if concepts is not None:
        concept_tables(concepts)
    accept = partial(accepting, selection, accept_score)
    before = checkpoint_of(run, load)
    of = partial(output_parts, notes, output, shard=shard, concepts=concepts)
    of(accept(before), evidence, format, cpu_precision, before)
    device, warn = group.device_name, on_warning or warnings.warn
    loaded = load_checkpoint(run, load, device, warn, cpu_precision)
    chosen = group.broadcast(loaded.folder)
    if chosen != loaded.folder:  # training has just replaced the checkpoint
        loaded = load_checkpoint(
            chosen, device=device, on_warning=warn, cpu_precision=cpu_precision
        )
    checkpoint, model = loaded.folder, loaded.model
    selection = accept(checkpoint)
    checks = _checks(model, checking, warn)
    parts = of(selection, evidence, format, cpu_precision, checkpoint, checks)
    predictor = note_predictor(model, selection, evidence, checks)
    write = in_this_process(parts, predictor.predict, group)
    count, cut = write_parts(parts, notes, write, group, None, on_progress, on_warning, on_message)
    if cut.notes and on_warning is not None:
        on_warning(cut.warning(count, model.config.max_len))
    labels, threshold = model.labels, str(model.threshold)
    return PredictionFile(
        *(parts.output, count, checkpoint, len(labels), threshold, selection, cut),
        labels.editions,
        shard,
    )


def accepting(selection: Selection, score: AcceptScore | None, checkpoint: Path) -> Selection:
    """Return a selection with the score from which the codes of a checkpoint are accepted."""
    return selection if score is None else replace(selection, accept_score=score(checkpoint))


def write_predictions(
    checkpoint: Path,
    notes: Notes,
    output: Path,
    predict: PredictBlock,
    selection: Selection,
    *,
    evidence: bool = False,
    checks: "NoteChecks | None" = None,
    format: FormatName | None = None,
    cpu_precision: CpuPrecision | None = None,
    on_notes: OnCoded | None = None,
    on_progress: Progress | None = None,
    on_warning: OnMessage | None = None,
    on_message: OnMessage | None = None,
) -> tuple[int, CutNotes]:
    """Write the file that `predict_to_file` writes, with a model that is loaded already.

    Args:
        checkpoint: The folder of the model's checkpoint.
        notes: The notes.
        output: The file.
        predict: Predicts the codes of a block of notes as `NotePredictor.predict` does.
        selection: Which codes `predict` reports.
        evidence: Whether `predict` finds evidence.
        checks: The checks that `predict` applies; None: none.
        format: The format, as `predict_to_file` receives it.
        cpu_precision: The precision of the model's network, as `predict_to_file` receives it.
        on_notes: Called with the notes that are done, and with all notes.
        on_progress: Receives the progress.
        on_warning: Called with a message for each warning.
        on_message: Called with a message if an interrupted call is continued.

    Returns:
        The number of notes, and those of which the model reads only the beginning.

    Raises:
        ConfigError: If there can't be such a file.
        DataError: If a note can't be read, or if the file can't be written.
    """
    parts = output_parts(
        notes, output, selection, evidence, format, cpu_precision, checkpoint, checks
    )
    group = ProcessGroup(0, 1)
    write = in_this_process(parts, predict, group)
    return write_parts(parts, notes, write, group, on_notes, on_progress, on_warning, on_message)
