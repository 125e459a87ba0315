"""The options of commands that join the notes of encounters."""

from typing import TYPE_CHECKING, Annotated

import typer

from icdcli.errors import ConfigError

if TYPE_CHECKING:
    from icdcli.data.notes.encounters import ByEncounter

ByEncounterFlag = Annotated[
    bool,
    typer.Option(
        "--by-encounter",
        help="Join the notes of each encounter, visit or admission into one.",
    ),
]
EncounterColumn = Annotated[
    str | None,
    typer.Option(help="Column of the encounters in tables; implies --by-encounter."),
]
TimeColumn = Annotated[
    str | None,
    typer.Option(
        help="With --by-encounter: column of the times that order an encounter's notes. Default: "
        "the order of the rows."
    ),
]
NoteTypeColumn = Annotated[
    str | None,
    typer.Option(help="With --by-encounter: column of the types of notes in tables."),
]
SubjectColumn = Annotated[
    str | None,
    typer.Option(
        help="With --by-encounter: column of the patients in tables. Default: subject_id, if "
        "there is one."
    ),
]
NoteTypesToRead = Annotated[
    str | None,
    typer.Option(
        "--note-types",
        help="With --by-encounter: read only notes of these types.",
        metavar="TYPE,TYPE",
    ),
]


def encounters_of(
    joined: bool,
    encounter: str | None,
    time: str | None,
    note_type: str | None,
    subject: str | None,
    note_types: str | None,
) -> "ByEncounter | None":
    """Return how notes are joined to encounters; None: they aren't.

    Args:
        joined: --by-encounter.
        encounter: --encounter-column.
        time: --time-column.
        note_type: --note-type-column.
        subject: --subject-column.
        note_types: --note-types.

    Raises:
        ConfigError: If there is an option about encounters, but none that asks for them.
    """
    if not joined and encounter is None:
        of_notes = {
            "--time-column": time,
            "--note-type-column": note_type,
            "--subject-column": subject,
            "--note-types": note_types,
        }
        if given := next((option for option, value in of_notes.items() if value is not None), None):
            raise ConfigError(
                f"{given}: is for the notes of encounters. Add --by-encounter or "
                "--encounter-column."
            )
        return None
    from icdcli.data.notes.encounters import ByEncounter

    wanted = tuple(filter(None, map(str.strip, (note_types or "").split(","))))
    return ByEncounter(encounter, time, note_type, wanted or None, subject)
