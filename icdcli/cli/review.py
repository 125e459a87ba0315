"""``icdcode review``: notes into a store, suggestions, and what reviewers made of them."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from icdcli.cli import review_simulate
from icdcli.cli.command_groups import Commands
from icdcli.cli.common import AcceptOthers, DeviceForNotes, DoubleShare, Json, Load, SuggestedTop
from icdcli.cli.completion import complete_run
from icdcli.config.fields import refuse_url
from icdcli.errors import ConfigError, counted, in_shell
from icdcli.report.console import Output

if TYPE_CHECKING:
    from icdcli.review.store import Store
    from icdcli.review.suggesting import SuggestingProgress

app = typer.Typer(
    cls=Commands,
    help="Keep notes, suggestions and reviewers' decisions in a store, and learn from them.\n\n"
    "A store is a SQLite file or the URL of a PostgreSQL database. `icdcode serve` opens the page "
    "to review in.",
    no_args_is_help=True,
)

StoreName = Annotated[
    str,
    typer.Argument(metavar="STORE", help="SQLite file, or postgresql://USER@HOST/DATABASE."),
]
_DAY = ["%Y-%m-%d"]


@app.command("import")
def import_(
    store: StoreName,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE", help="Notes: what icdcode predict reads. - reads standard input."
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN_DIR",
            help="Suggest codes for all notes of the store with this run or checkpoint.",
            autocompletion=complete_run,
        ),
    ] = None,
    load: Load = "metric",
    top: SuggestedTop = 10,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Lowest score of those.")] = 0.0,
    accept_others: AcceptOthers = False,
    double_share: DoubleShare = None,
    text_column: Annotated[
        str | None, typer.Option(help="Column of the notes in tables. Default: text.")
    ] = None,
    id_column: Annotated[
        str | None, typer.Option(help="Column of the ids in tables. Default: id.")
    ] = None,
    date_column: Annotated[
        str | None, typer.Option(help="Column of the days of discharge in tables.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="Language of the notes: en, es, ko.")] = None,
    device: DeviceForNotes = None,
    json: Json = False,
) -> None:
    """Import notes into a store, and suggest codes for them.

    Can be repeated: notes and suggestions that the store has are left as they are. Tables may also
    have the columns subject_id, encounter, language and split.

    Example: icdcode review import review.db notes.csv --run outputs/laptop/laptop
    """
    from icdcli.review.importing import NoteColumns, import_files
    from icdcli.review.store import (
        no_new_store_after_error,
        open_store,
        require_double_share,
    )

    if not files and run is None:
        raise ConfigError("nothing to import. Give files of notes, or --run RUN_DIR, or both.")
    output, result = Output(json), {"store": store, "new": 0, "known": 0}
    for name in files or []:
        refuse_url(name, name)
    with (
        no_new_store_after_error(store) as keep,
        open_store(store, double_share=double_share or 0.0) as opened,
        output.stages() as on_progress,
    ):
        require_double_share(opened, double_share)
        if files:
            done = import_files(
                opened,
                files,
                NoteColumns(text_column, id_column, date_column),
                language=language,
                on_progress=on_progress,
                on_warning=output.warn,
                on_message=output.say,
            )
            keep()
            result |= vars(done)
            output.say(
                f"Imported: {counted(done.new, 'new note')}, {done.known:,} known, into {store}"
            )
        if run is not None:
            made = _suggest(opened, run, load, (top, min_score), accept_others, device, output)
            result |= {"suggestions": made.done, "notes": made.total}
            output.say(f"Suggested: codes for {made.done:,} of {counted(made.total, 'note')}")
    of_run = "RUN_DIR" if run is None else in_shell(run)
    output.say(f"To review: icdcode serve {of_run} --store {in_shell(store)}")
    output.result(result)


def _suggest(
    store: "Store",
    run: Path,
    load: str,
    chosen: tuple[int, float],
    accept_others: bool,
    device: str | None,
    output: Output,
) -> "SuggestingProgress":
    from icdcli.distributed.devices import chosen_device
    from icdcli.model.checkpoint import load_checkpoint
    from icdcli.predict.batches import Selection
    from icdcli.review.suggesting import suggest

    loaded = load_checkpoint(run, load, str(chosen_device(device)), output.warn)
    with output.stages() as on_progress:
        return suggest(
            store,
            loaded,
            selection=Selection(*chosen, also_predicted=True),
            accept_others=accept_others,
            on_progress=on_progress,
            on_warning=output.warn,
        )


@app.command("export")
def export(
    store: StoreName,
    file: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="File to write; only you can read it.")
    ],
    format_: Annotated[
        Literal["table", "jsonl", "csv", "fhir"] | None,
        typer.Option(
            "--format",
            help="table (Parquet), jsonl, csv, or fhir (.json, a bundle, or .ndjson). Default: by "
            "the ending of FILE.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Export the finished notes: codes, order, present on admission, evidence.

    Tables have the texts, and prepare-data reads them; a note never moves from one split to
    another. FHIR R4 has no texts: conditions, the draft of a claim, and who decided.

    Example: icdcode review export review.db --output reviewed.parquet
    """
    from icdcli.review.export import export_reviews
    from icdcli.review.store import open_store

    refuse_url(file, f"--output {file}")
    output = Output(json)
    with open_store(store, create=False) as opened:
        done = export_reviews(opened, file, format_)
    output.say(f"Written: {done.output}, {counted(done.notes, 'note')}")
    if done.unfinished:
        output.say(f"Left out: {counted(done.unfinished, 'note')} whose review isn't finished")
    if done.purged:
        output.say(f"Left out: {counted(done.purged, 'note')} whose text is purged")
    if done.notes and done.output.suffix in (".parquet", ".jsonl", ".csv"):
        output.say(
            f"To train: icdcode prepare-data {in_shell(done.output)} code_system=icd10 "
            "evidence_column=evidence"
        )
    output.result(vars(done))


@app.command("stats")
def stats(store: StoreName, json: Json = False) -> None:
    """Show what reviewers made of suggestions, how long it took, and how far they agree.

    Compares the precision of suggestions above the threshold with that on the validation split.

    Example: icdcode review stats review.db
    """
    from icdcli.report.views.reviews import review_statistics_view
    from icdcli.review.statistics import review_statistics
    from icdcli.review.store import open_store

    output = Output(json)
    with open_store(store, create=False) as opened:
        statistics = review_statistics(opened)
        output.show(review_statistics_view(statistics, opened.name))
    output.result(statistics.to_json())


@app.command("purge")
def purge(
    store: StoreName,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Notes whose texts to delete.")
    ] = None,
    submitted: Annotated[
        bool, typer.Option("--submitted", help="All notes of which all readings are submitted.")
    ] = False,
    before: Annotated[
        datetime | None,
        typer.Option(formats=_DAY, help="With --submitted: last decided on before this day."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without confirmation.")] = False,
    json: Json = False,
) -> None:
    """Delete the texts of notes for good; decisions and suggestions are kept.

    Backups have the texts until you delete them.

    Example: icdcode review purge review.db --submitted --before 2026-05-01
    """
    from icdcli.review.purging import purge_texts, submitted_notes
    from icdcli.review.store import open_store

    if bool(ids) == submitted or (before is not None and not submitted):
        raise ConfigError("name the notes, or pass --submitted, with or without --before DAY.")
    output = Output(json)
    with open_store(store, create=False) as opened:
        chosen = ids or submitted_notes(opened, before.date() if before else None)
        if chosen and not yes:
            _confirm(f"Delete the texts of {counted(len(chosen), 'note')} for good?")
        with output.stages() as on_progress:
            done = purge_texts(opened, chosen, on_progress)
    output.say(f"Deleted: {counted(done.texts, 'text')} of {counted(done.notes, 'note')}")
    output.result(vars(done))


app.command("simulate")(review_simulate.simulate)


def _confirm(question: str) -> None:
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:  # standard input is no terminal, or has ended
        agreed = False
    if not agreed:
        raise ConfigError("nothing was deleted. Pass --yes to delete without confirmation.")
