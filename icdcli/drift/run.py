"""Compare incoming notes with the training of a model: ``icdcode drift`` without the printing."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icdcli.checkpoint_path import checkpoint_of
from icdcli.data.notes.files import Notes
from icdcli.drift.comparison import MeasureShift, compare_notes
from icdcli.drift.measuring import measure_notes
from icdcli.errors import ConfigError, DataError
from icdcli.evaluation.reference.summary import ReferenceSummary, read_reference
from icdcli.io.manifest import read_manifest
from icdcli.io.progress import Progress
from icdcli.model.checkpoint import load_checkpoint
from icdcli.model.section import CpuPrecision
from icdcli.predict.counting import check_notes

FEWEST_NOTES = 20
"""The fewest notes that are compared: fewer can't show anything but the largest differences."""


@dataclass(frozen=True)
class DriftReport:
    """How incoming notes differ from the documents of a training.

    Attributes:
        checkpoint: The folder of the checkpoint.
        notes: The number of notes that were compared.
        without_words: The number of notes without words, which weren't.
        documents: The number of training texts, and of scored documents, that they were compared
            with.
        differences: The differences of all measures.
    """

    checkpoint: Path
    notes: int
    without_words: int
    documents: tuple[int, int]
    differences: tuple[MeasureShift, ...]

    @property
    def alarms(self) -> list[MeasureShift]:
        """Return the differences that matter."""
        return [one for one in self.differences if one.alarm]

    def to_json(self) -> dict[str, Any]:
        """Return the values that ``icdcode drift --json`` prints."""
        return {
            "checkpoint": self.checkpoint,
            "notes": self.notes,
            "notes_without_words": self.without_words,
            "training_texts": self.documents[0],
            "scored_documents": self.documents[1],
            "drift": bool(self.alarms),
            "acceptance_holds": not self.alarms,
            "differences": [one.to_json() for one in self.differences],
        }


def measure_drift(
    run: Path | str,
    notes: Notes,
    *,
    load: str = "metric",
    device: str = "cpu",
    cpu_precision: CpuPrecision | None = None,
    on_progress: Progress | None = None,
    on_warning: Callable[[str], object] = warnings.warn,
    on_message: Callable[[str], object] | None = None,
) -> DriftReport:
    """Compare notes with the documents that a model was trained and validated on.

    Args:
        run: The folder of a run or of a checkpoint.
        notes: The notes, from `icdcli.data.notes.files.find_notes`.
        load: The checkpoint of a run: ``metric``, ``loss`` or ``last``.
        device: The torch device that a network computes on.
        cpu_precision: The precision of a 32-bit network on a CPU; None: that of its training.
        on_progress: Receives the progress.
        on_warning: Called with a message for each warning.
        on_message: Called with a message about how notes were read.

    Raises:
        ConfigError: If there is no such run, or its checkpoint has no summary of the training.
        DataError: If a note can't be read, or there are too few notes.
        ResumeError: If the checkpoint is missing, incomplete or was changed.
    """
    _reference(checkpoint_of(run, load))  # loading may take minutes
    count = check_notes(notes, on_progress, on_warning, on_message)
    _require(count - notes.without_text)
    loaded = load_checkpoint(run, load, device, on_warning, cpu_precision)
    reference = _reference(loaded.folder)
    found = measure_notes(loaded.model, notes, reference.texts, count, on_progress)
    _require(found.notes)
    documents = len(reference.texts.measures["words"]), reference.scores.documents
    differences = tuple(compare_notes(reference, found))
    return DriftReport(loaded.folder, found.notes, found.without_words, documents, differences)


def _reference(checkpoint: Path) -> ReferenceSummary:
    found = read_reference(checkpoint, read_manifest(checkpoint))
    if found is None:
        raise ConfigError(
            f"{checkpoint}: has no summary of its training, like all checkpoints of earlier "
            "versions. On the machine with the training data, run `icdcode evaluate RUN_DIR "
            "--split validation`, then pass the run's folder."
        )
    return found


def _require(notes: int) -> None:
    if notes < FEWEST_NOTES:
        raise DataError(
            f"icdcode drift needs at least {FEWEST_NOTES} notes with words, got {notes}. "
            "Collect more notes first."
        )
