"""Predict the codes of notes into a file, as `predict_to_file` does, on a Ray cluster."""

import os
import warnings
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from icdcli.data.notes.files import Notes
from icdcli.data.notes.text import Note
from icdcli.distributed.process_group import ProcessGroup
from icdcli.io.manifest import verify
from icdcli.io.progress import Progress
from icdcli.model.checkpoint import read_checkpoint
from icdcli.model.ensemble.references import is_ensemble, read_references
from icdcli.model.files.checkpoint_facts import CheckpointFacts, checkpoint_facts
from icdcli.model.section import CpuPrecision
from icdcli.predict.batches import Selection
from icdcli.predict.checking import Checking, note_checks
from icdcli.predict.counting import OnMessage
from icdcli.predict.formats.format_name import FormatName
from icdcli.predict.formats.omop_concepts import concept_tables
from icdcli.predict.formats.registry import needs_evidence
from icdcli.predict.on_ray.cluster import ray_cluster
from icdcli.predict.on_ray.engine import RayEngine
from icdcli.predict.on_ray.worker import BlockCoder, Coding
from icdcli.predict.output_writing import output_parts, write_parts
from icdcli.predict.prediction_file import PredictionFile, output_path
from icdcli.predict.resumable_output import OnNotes
from icdcli.predict.run import AcceptScore, accepting


def predict_on_ray(
    run: Path | str,
    notes: Notes,
    output: Path | str,
    *,
    load: str = "metric",
    top: int | None = None,
    min_score: float | None = None,
    evidence: bool = False,
    checking: Checking | None = None,
    format: FormatName | None = None,
    concepts: Path | None = None,
    accept_score: AcceptScore | None = None,
    cpu_precision: CpuPrecision | None = None,
    gpu: bool | None = None,
    connect: Callable[[], AbstractContextManager[None]] = ray_cluster,
    coder: type[BlockCoder] = BlockCoder,
    on_progress: Progress | None = None,
    on_warning: OnMessage | None = None,
    on_message: OnMessage | None = None,
) -> PredictionFile:
    """Predict the codes of notes into the file that `predict_to_file` writes, with Ray.

    This process verifies the checkpoint, but doesn't load the model. Each worker of the cluster
    does, from the same path, once. If the call is interrupted, the same call, with Ray or without,
    continues with the finished parts.

    Args:
        run: The folder of a run or of a checkpoint, at a path that each computer has.
        notes: The notes, from `icdcli.data.notes.files.find_notes`; only this computer reads them.
        output: The file or its URL; only this computer writes it.
        load: The checkpoint of a run, as in `predict_to_file`.
        top: The number of codes per note.
        min_score: The score from which codes are reported.
        evidence: Whether to write evidence.
        checking: How codes are checked.
        format: The format.
        concepts: The folder with OMOP's tables of concepts, at a path that each computer has.
        accept_score: Returns the score from which codes can be accepted without review.
        cpu_precision: The precision of a 32-bit network on a CPU.
        gpu: Whether each worker has a GPU; None: if the cluster has any.
        connect: Connects to the cluster.
        coder: What codes the blocks on the workers.
        on_progress: Receives the progress.
        on_warning: Called with a message for each warning.
        on_message: Called with a message if an interrupted call is continued.

    Raises:
        ConfigError: As for `predict_to_file`; or if Ray isn't installed, or the cluster can't be
            reached.
        DataError: As for `predict_to_file`; or if workers die again and again, or Ray is lost.
        ResumeError: If the checkpoint is missing, incomplete or was changed.
    """
    output, warn = output_path(output), on_warning or warnings.warn
    evidence = evidence or needs_evidence(format)
    if concepts is not None:
        concept_tables(concepts)
    checkpoint, facts = read_checkpoint(run, load, _verified_facts)
    selection = accepting(Selection(top, min_score), accept_score, checkpoint)
    checks = note_checks(facts.labels, checking, warn) if checking else None
    parts = output_parts(
        *(notes, output, selection, evidence, format, cpu_precision, checkpoint, checks),
        concepts=concepts,
    )
    engine = RayEngine(gpu, warn, coder)
    same = (selection, evidence, checking, cpu_precision, parts.format, str(checks or ""))
    coding = partial(Coding, Path(os.path.abspath(checkpoint)), facts.manifest, *same)

    def write(_: Iterable[Note], on_notes: OnNotes) -> int:
        return engine.write(parts, notes, coding(parts.begun), on_notes)

    alone = ProcessGroup(0, 1)
    with connect():
        count, cut = write_parts(
            parts, notes, write, alone, None, on_progress, on_warning, on_message
        )
    if cut.notes and on_warning is not None:
        on_warning(cut.warning(count, facts.max_len))
    return PredictionFile(
        *(parts.output, count, checkpoint, len(facts.labels), str(facts.threshold)),
        *(selection, cut, facts.labels.editions),
    )


def _verified_facts(folder: Path) -> CheckpointFacts:
    """Return the facts of a checkpoint; a damaged one is found before any worker is started."""
    members = read_references(folder)[1] if is_ensemble(folder) else ()
    for one in (folder, *(member.folder for member in members)):
        verify(one)
    return checkpoint_facts(folder)
