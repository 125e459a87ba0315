"""``icdcode drift``: whether incoming notes are like the training notes."""

from pathlib import Path
from typing import Annotated

import typer

from icdcli.checkpoint_path import require_checkpoint
from icdcli.cli.common import (
    CpuPrecision,
    DeviceForNotes,
    Json,
    Load,
    RunOrCheckpoint,
    import_visibly,
)
from icdcli.cli.encounter_options import (
    ByEncounterFlag,
    EncounterColumn,
    NoteTypeColumn,
    NoteTypesToRead,
    SubjectColumn,
    TimeColumn,
    encounters_of,
)
from icdcli.report.console import Output


def drift(
    run_dir: RunOrCheckpoint,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="NOTES", help="Notes, in any form that `icdcode predict` reads."),
    ],
    load: Load = "metric",
    text_column: Annotated[
        str | None, typer.Option(help="Column of the notes in tables. Default: text.")
    ] = None,
    id_column: Annotated[
        str | None, typer.Option(help="Column of the ids in tables. Default: id.")
    ] = None,
    by_encounter: ByEncounterFlag = False,
    encounter_column: EncounterColumn = None,
    time_column: TimeColumn = None,
    note_type_column: NoteTypeColumn = None,
    subject_column: SubjectColumn = None,
    note_types: NoteTypesToRead = None,
    device: DeviceForNotes = None,
    cpu_precision: CpuPrecision = None,
    json: Json = False,
) -> None:
    """Compare incoming notes with the training notes.

    Length, words, letters, scores and predicted codes are compared with a summary in the
    checkpoint, which contains no text. If they differ, the acceptance table no longer holds.

    Example: icdcode drift outputs/notes notes-of-june.csv
    """
    require_checkpoint(run_dir, load)
    output = Output(json)
    import_visibly("icdcli.drift.run", output, predicts=True)
    from icdcli.data.notes.files import find_notes
    from icdcli.distributed.devices import chosen_device
    from icdcli.drift.run import measure_drift
    from icdcli.report.views.decisions.drift import drift_view

    encounters = encounters_of(
        *(by_encounter, encounter_column, time_column, note_type_column),
        *(subject_column, note_types),
    )
    names = list(map(str, files))
    notes = find_notes(names, None, text_column, id_column, by_encounter=encounters)
    with output.stages() as on_progress:
        report = measure_drift(
            run_dir,
            notes,
            load=load,
            device=str(chosen_device(device)),
            cpu_precision=cpu_precision,
            on_progress=on_progress,
            on_warning=output.warn,
            on_message=output.say,
        )
    output.show(drift_view(report))
    output.result(report.to_json())
