"""Notes with their codes on the terminal, as `predict` and `demo` show them."""

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

from icdcli.report.console import Output

if TYPE_CHECKING:
    from icdcli.data.notes.files import Notes
    from icdcli.model.coding_model import CodingModel
    from icdcli.predict.batches import Selection
    from icdcli.predict.checking import Checking

_BLOCK = 16  # notes predicted together if the user waits for the first


def model_words(checkpoint: Path, labels: int, threshold: str) -> str:
    """Return the line about the model above the codes."""
    return f"{checkpoint}: {labels:,} codes, threshold {threshold}"


def show_notes(
    model: "CodingModel",
    checkpoint: Path,
    notes: "Notes",
    output: Output,
    selection: "Selection",
    evidence: bool = False,
    checking: "Checking | None" = None,
) -> None:
    """Show the codes of each note when they are predicted; with ``--json``, as a line of JSONL."""
    from icdcli.predict.batches import CutNotes
    from icdcli.predict.counting import check_notes
    from icdcli.predict.run import predict_with_notes
    from icdcli.predict.writers import note_line
    from icdcli.report.views.evidence import evidence_view
    from icdcli.report.views.predictions import coded_view

    one_threshold = model.threshold.per_code is None
    about = model_words(checkpoint, len(model.labels), str(model.threshold))
    with output.stages() as on_progress:
        count = check_notes(notes, on_progress, output.warn, output.say)
    output.say(about if selection.by_threshold else f"{about}; * predicted: reaches the threshold")
    if output.json and isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # the only encoding of JSON
    cut = CutNotes()
    coded = predict_with_notes(
        *(model, notes, selection),
        evidence=evidence,
        checking=checking,
        max_block=_BLOCK,
        on_warning=output.warn,
    )
    for given, note in coded:
        cut += CutNotes.of([note])
        if output.json:
            sys.stdout.write(note_line(note, given))
        else:
            output.show(coded_view(note, selection, one_threshold))
            if evidence and note.codes:
                marked = [(code.code, code.title, code.evidence or ()) for code in note.codes]
                several = len(given.notes) > 1
                output.show(evidence_view(given.text, marked, not output.live, several))
        sys.stdout.flush()
    if cut.notes:
        output.warn(cut.warning(count, model.config.max_len))
