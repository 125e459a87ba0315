"""From a trained model to stored suggestions: code the notes of a store, a block at a time."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import nextafter
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, func, select

from icdcli.checkpoint_path import checkpoint_of
from icdcli.data.corpus.reader import Labels
from icdcli.data.notes.text import Note
from icdcli.evaluation.stored_confidence import stored_confidence, validation_metrics
from icdcli.explain.evidence import evidence_finder
from icdcli.io.manifest import manifest_sha256, read_manifest
from icdcli.io.progress import Progress
from icdcli.metrics.confidence import Confidence
from icdcli.model.checkpoint import LoadedCheckpoint
from icdcli.model.files.checkpoint_labels import checkpoint_labels
from icdcli.predict.batches import CodedNote, NotePredictor, Selection, note_blocks
from icdcli.review.notes import note_numbers
from icdcli.review.schema import ModelRow, NoteRow, SuggestionSetRow, TextRow
from icdcli.review.store import Store
from icdcli.review.suggestions import SuggestingModel, Suggestion, add_model, add_suggestions
from icdcli.run_dir import run_of

SUGGESTIONS = Selection(top=10, also_predicted=True)
"""What is suggested by default: all predicted codes, and the ten with the highest scores."""
BLOCK = 32
"""Notes that are coded together: the most work that a killed call has to repeat."""

PredictBlock = Callable[[Sequence[Note]], list[CodedNote]]


@dataclass(frozen=True)
class SuggestingProgress:
    """How many notes have suggestions.

    Attributes:
        done: The number of notes with suggestions of the model.
        total: The number of notes whose texts aren't purged.
    """

    done: int
    total: int


def suggesting_model(loaded: LoadedCheckpoint) -> SuggestingModel:
    """Return what a store records of a checkpoint before it suggests codes.

    Its name is that of the run's folder and the folder around it; its hash that of the manifest.

    Args:
        loaded: The checkpoint.

    Raises:
        ResumeError: If the checkpoint isn't there any more.
    """
    return _recorded(loaded.folder, loaded.manifest, loaded.model.labels)


def checkpoint_model(folder: Path) -> SuggestingModel:
    """Return what `suggesting_model` does, without loading the weights.

    Args:
        folder: The folder of the checkpoint.

    Raises:
        DataError: If its label space is missing or damaged.
        ResumeError: If the folder is no checkpoint.
    """
    return _recorded(folder, read_manifest(folder), checkpoint_labels(folder))


def _recorded(folder: Path, manifest: Mapping[str, Any], labels: Labels) -> SuggestingModel:
    return SuggestingModel(
        manifest_sha256(folder),
        _name(folder),
        labels.codes,
        labels.editions or {},
        validation_metrics(folder, dict(manifest)),
    )


def checkpoint_sha256(run: Path | str, load: str = "metric") -> str:
    """Return the hash of a checkpoint, by which a store knows it, without loading the model.

    Args:
        run: The folder of a run or of a checkpoint.
        load: The checkpoint of a run: ``metric``, ``loss`` or ``last``.

    Raises:
        ConfigError: If there is no such folder.
        ResumeError: If the run has no such checkpoint.
    """
    return manifest_sha256(checkpoint_of(run, load))


def confidence_of(
    loaded: LoadedCheckpoint, on_warning: Callable[[str], object] = warnings.warn
) -> Confidence:
    """Return how likely a checkpoint's scores are right.

    It is in the manifest, as training fitted it; otherwise it is fitted to the validation
    predictions of the run.

    Args:
        loaded: The checkpoint.
        on_warning: Called with a message if nothing says so; the scores themselves are then taken.
    """
    manifest = dict(loaded.manifest)
    found = Confidence.from_json(manifest.get("confidence"))
    found = found or stored_confidence(loaded.folder, manifest)
    if found is None:
        on_warning(
            f"{_name(loaded.folder)}: has no calibrated confidence, so the scores are shown as "
            "they are. To calibrate them, run icdcode evaluate RUN_DIR --split validation"
        )
    return found or Confidence()


def suggestions_of_coded(note: CodedNote, confidence: Confidence) -> list[Suggestion]:
    """Return the suggestions of a coded note, in the order of its codes.

    Args:
        note: The note's codes; those that a rule has removed aren't suggested.
        confidence: How likely scores are right.
    """
    codes = [one for one in note.codes if one.dropped is None]
    shares = confidence.of([one.score for one in codes]).tolist()
    return [
        Suggestion(
            one.code,
            one.title,
            one.score,
            share,
            # Both are rounded, which may turn a score just below the threshold into an equal one.
            min(one.threshold, one.score)
            if one.predicted
            else max(one.threshold, nextafter(one.score, 2)),
            one.edition,
            one.evidence or (),
        )
        for one, share in zip(codes, shares, strict=True)
    ]


def suggest(
    store: Store,
    loaded: LoadedCheckpoint,
    *,
    ids: Sequence[str] | None = None,
    selection: Selection = SUGGESTIONS,
    evidence: bool = True,
    predict: PredictBlock | None = None,
    accept_others: bool = False,
    on_progress: Progress | None = None,
    on_warning: Callable[[str], object] = warnings.warn,
    stop: Callable[[], bool] = lambda: False,
) -> SuggestingProgress:
    """Suggest codes for all notes of a store that have no suggestions of this model.

    Notes are coded in the order of import, a block at a time. A call that is killed leaves complete
    blocks, and the same call continues after them. Purged notes are left out; notes without text
    get an empty set of suggestions.

    Args:
        store: The store.
        loaded: The checkpoint.
        ids: Only these notes; None: all.
        selection: Which codes are suggested.
        evidence: Also find the words behind each code, which takes most of the time.
        predict: Codes a block of notes, for example in a process that serves others, too; None: the
            checkpoint does it here, with the selection and evidence.
        accept_others: See `add_model`.
        on_progress: Receives the progress.
        on_warning: Called with a message for each warning.
        stop: Called before each block; returns whether to leave the rest for another call.

    Returns:
        How many notes have suggestions now.

    Raises:
        DataError: If the store has suggestions of another label space or edition, or no such note.
    """
    model, confidence = suggesting_model(loaded), confidence_of(loaded, on_warning)
    add_model(store, model, accept_others=accept_others)
    if predict is None:
        find = evidence_finder(loaded.model) if evidence else None
        predict = NotePredictor(loaded.model, selection, find).predict
    progress = suggesting_progress(store, model.sha256)
    done = progress.done
    for block in note_blocks(_notes_without(store, model.sha256, ids), BLOCK):
        if stop():
            break
        coded = predict(block)
        add_suggestions(
            store, model.sha256, [(one.id, suggestions_of_coded(one, confidence)) for one in coded]
        )
        done += len(block)
        if on_progress is not None:
            on_progress("suggesting codes", done, max(progress.total, done), "notes")
    return suggesting_progress(store, model.sha256)


def suggesting_progress(store: Store, model_sha256: str) -> SuggestingProgress:
    """Return how many notes of a store have suggestions of a model.

    Args:
        store: The store.
        model_sha256: The hash of the model, which the store needn't have.
    """
    has_text = TextRow.content.is_not(None)
    notes = select(func.count()).select_from(NoteRow).join(TextRow).where(has_text)
    with store.reading() as connection:
        total = int(connection.scalar(notes) or 0)
        done = int(connection.scalar(notes.where(_has_suggestions(model_sha256))) or 0)
    return SuggestingProgress(done, total)


def _has_suggestions(model_sha256: str) -> ColumnElement[bool]:
    return (
        select(SuggestionSetRow.number)
        .join(ModelRow, ModelRow.number == SuggestionSetRow.model)
        .where(SuggestionSetRow.note == NoteRow.number, ModelRow.sha256 == model_sha256)
        .exists()
    )


def _notes_without(store: Store, model_sha256: str, ids: Sequence[str] | None) -> Iterator[Note]:
    """Yield the notes without suggestions of a model, in the order of import."""
    query = (
        select(NoteRow.number, NoteRow.id, NoteRow.day, TextRow.content)
        .join(TextRow, TextRow.sha256 == NoteRow.text_sha256)
        .where(TextRow.content.is_not(None), ~_has_suggestions(model_sha256))
        .order_by(NoteRow.number)
        .limit(BLOCK)
    )
    chosen: Sequence[int] = ()
    if ids is not None:
        with store.reading() as connection:
            chosen = sorted(note_numbers(connection, ids, store.name).values())
    # A statement can't name any number of notes.
    parts = [chosen[start : start + BLOCK] for start in range(0, len(chosen), BLOCK)]
    for part in [None] if ids is None else parts:
        last = 0
        own = query if part is None else query.where(NoteRow.number.in_(part))
        while True:
            with store.reading() as connection:
                rows = connection.execute(own.where(NoteRow.number > last)).all()
            for row in rows:
                last = row.number
                yield Note(row.id, row.content, date.fromisoformat(row.day) if row.day else None)
            if not rows:
                break


def _name(checkpoint: Path) -> str:
    folder = (run_of(checkpoint) or checkpoint).absolute()
    return "/".join(folder.parts[-2:]).lstrip("/")
