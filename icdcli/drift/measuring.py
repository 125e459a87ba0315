"""Measure incoming notes: their texts, and what a model predicts for them."""

from collections import Counter
from collections.abc import Iterable

from icdcli.data.corpus.cleaning import CLEANERS
from icdcli.data.notes.text import Note
from icdcli.drift.comparison import MeasuredNotes
from icdcli.evaluation.reference.scores import (
    HIGHEST,
    SCORE_MEASURES,
    code_group,
    measure_codes,
)
from icdcli.evaluation.reference.texts import TEXT_MEASURES, TextReference
from icdcli.io.progress import Progress
from icdcli.model.coding_model import CodingModel
from icdcli.predict.batches import Selection
from icdcli.predict.run import predict_with_notes


def measure_notes(
    model: CodingModel,
    notes: Iterable[Note],
    texts: TextReference,
    count: int,
    on_progress: Progress | None = None,
) -> MeasuredNotes:
    """Measure notes as the documents of a training were measured.

    Args:
        model: The model.
        notes: The notes.
        texts: The summary of training texts, which knows the words of training.
        count: The number of notes.
        on_progress: Receives the progress.
    """
    clean = CLEANERS[model.text_cleaning]
    kept = min(HIGHEST, len(model.labels))
    rows: list[tuple[float, ...]] = []
    groups: Counter[str] = Counter()
    without_words = 0
    selection = Selection(top=kept, also_predicted=True)
    for done, (note, coded) in enumerate(predict_with_notes(model, notes, selection), start=1):
        measured = texts.measure(clean(note.text))
        if measured is None or not coded.codes:
            without_words += 1
        else:
            predicted = [code for code in coded.codes if code.predicted]
            scores = [code.score for code in coded.codes[:kept]]
            rows.append((*measured, *measure_codes(scores, len(predicted))))
            groups.update({code_group(code.code, code.kind) for code in predicted})
        if on_progress is not None:
            on_progress("coding", done, count, "notes", "")
    names = (*TEXT_MEASURES, *SCORE_MEASURES)
    columns = [*zip(*rows, strict=True)] if rows else [()] * len(names)
    return MeasuredNotes(
        len(rows), without_words, dict(zip(names, columns, strict=True)), dict(groups)
    )
