"""``icdcode serve``: the page to review in, and the coding service."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from icdcli.checkpoint_path import require_checkpoint
from icdcli.cli.common import (
    AcceptOthers,
    CpuPrecision,
    DeviceForNotes,
    DoubleShare,
    Json,
    Load,
    SuggestedTop,
    import_visibly,
)
from icdcli.cli.completion import complete_run
from icdcli.cli.processes import ending_at_once
from icdcli.errors import ConfigError, counted
from icdcli.report.console import Output

if TYPE_CHECKING:
    from icdcli.service.coding_service import ServiceSettings


def serve(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN_DIR",
            help="Run or checkpoint whose model suggests codes. Default: no model; notes keep the "
            "suggestions that they have.",
            autocompletion=complete_run,
        ),
    ] = None,
    notes: Annotated[
        list[str] | None,
        typer.Option(
            "--notes",
            metavar="FILE",
            help="Notes to import first: what icdcode predict reads. Can be repeated.",
        ),
    ] = None,
    store: Annotated[
        str,
        typer.Option(help="SQLite file, or postgresql://USER@HOST/DATABASE."),
    ] = "review.db",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0: any free port.")] = 8765,
    load: Load = "metric",
    device: DeviceForNotes = None,
    cpu_precision: CpuPrecision = None,
    top: SuggestedTop = 10,
    accept_others: AcceptOthers = False,
    double_share: DoubleShare = None,
    text_column: Annotated[
        str | None,
        typer.Option(help="Column of the notes. Default: text."),
    ] = None,
    id_column: Annotated[str | None, typer.Option(help="Column of the ids. Default: id.")] = None,
    date_column: Annotated[
        str | None,
        typer.Option(help="Column of the days of discharge."),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(help="Language of the notes: en, es, ko."),
    ] = None,
    no_page: Annotated[
        bool, typer.Option("--no-page", help="Serve only the coding service.")
    ] = False,
    create_user: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Add a user, and exit. Type the password when prompted, or pipe it in.",
        ),
    ] = None,
    set_password: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Change a user's password, and exit."),
    ] = None,
    close_account: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Deactivate a user, and exit."),
    ] = None,
    role: Annotated[
        Literal["reviewer", "adjudicator", "admin"],
        typer.Option(help="With --create-user: the role of the user."),
    ] = "reviewer",
    host_name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Name by which browsers reach the page, such as review.example.org.",
        ),
    ] = None,
    trusted_header: Annotated[
        str | None,
        typer.Option(
            metavar="HEADER",
            help="Header in which a proxy gives the user's name, such as X-Remote-User.",
        ),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS", help="Address or network of a proxy whose headers are trusted."
        ),
    ] = None,
    no_service: Annotated[bool, typer.Option("--no-service", help="Serve only the page.")] = False,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with a line NAME:TOKEN per client of the service. Default: no tokens."
        ),
    ] = None,
    jobs: Annotated[
        Path | None,
        typer.Option(help="Folder of uploaded files and results. Default: STORE.jobs."),
    ] = None,
    note_characters: Annotated[
        int, typer.Option(min=1, help="Maximum characters per note.")
    ] = 1_000_000,
    request_notes: Annotated[int, typer.Option(min=1, help="Maximum notes per request.")] = 256,
    json: Json = False,
) -> None:
    """Serve a page on which people review suggested codes, and a service that codes notes.

    Only this computer reaches it, unless --host says otherwise. Reviewers' decisions are in the
    store; what the page has sent is on the disk, even if the server is killed.

    Example: icdcode serve outputs/laptop/laptop --notes notes.csv
    """
    from icdcli.review_page.settings import PageSettings

    output = Output(json)
    managed = (create_user, set_password, close_account)
    if any(name is not None for name in managed):
        _manage_users(store, *managed, role, output)
        return
    page = PageSettings(host_name or (), trusted_header, tuple(trusted_proxy or ()))
    service = None
    if run is not None and not no_service:
        service = _service(token_file, note_characters, request_notes)
    if run is not None:
        require_checkpoint(run, load)  # before PyTorch is loaded, which takes seconds
    import_visibly("icdcli.review_page.hosting", output, predicts=True)
    from icdcli.review_page import hosting, settings

    with ending_at_once(output, "Stopped."), output.stages() as on_progress:
        hosting.host_review(
            store,
            settings.ServerSettings(host, port, not no_page, service, jobs, double_share),
            page,
            None
            if run is None
            else settings.ServedModel(run, load, device, cpu_precision, top, accept_others),
            settings.ServedNotes(notes or (), text_column, id_column, date_column, language),
            settings.ServerReports(
                output.say, output.warn, on_progress, lambda about: _say_started(output, about)
            ),
        )
    output.say("Stopped. Every decision is stored.")


def _service(
    token_file: Path | None, note_characters: int, request_notes: int
) -> "ServiceSettings":
    from icdcli.service.clients import read_token_file
    from icdcli.service.coding_service import ServiceSettings

    clients = None if token_file is None else read_token_file(token_file)
    return ServiceSettings(clients, note_characters, request_notes)


def _say_started(output: Output, about: dict[str, Any]) -> None:
    if about["store"] is not None:
        notes = counted(about["notes"], "note")
        output.say(f"Review page: {about['address']} ({notes}; store: {about['store']})")
        if about["local"]:
            output.say(
                f"There are no users: only this computer reaches the page, and decisions are "
                f"{about['local_user']}'s. Add users with --create-user NAME."
            )
    if about["service"] is not None:
        output.say(f"Coding service: POST {about['service']}")
    output.say("Ctrl-C stops it.")
    output.result(about)


def _manage_users(
    store: str,
    create: str | None,
    change: str | None,
    close: str | None,
    role: Literal["reviewer", "adjudicator", "admin"],
    output: Output,
) -> None:
    """Add a person, change a password, or close an account."""
    from icdcli.review import users
    from icdcli.review.store import open_store

    if sum(name is not None for name in (create, change, close)) > 1:
        raise ConfigError("--create-user, --set-password, --close-account: give one of them.")
    with open_store(store, create=create is not None) as opened:
        if create is not None:
            first = not users.has_users(opened)
            users.create_user(opened, create, _password(create), role)
            output.say(f"Added: {create}, {role}, in {store}")
            if first:
                output.say("A server that is running without users must be started again.")
        elif change is not None:
            users.set_password(opened, change, _password(change))
            output.say(f"Changed: the password of {change}, whose sessions have ended")
        elif close is not None:
            users.deactivate_user(opened, close)
            output.say(f"Closed: the account of {close}; the decisions are kept")
    output.result({"store": store, "name": create or change or close, "role": role})


def _password(name: str) -> str:
    """Return the password from the terminal, or the first line of standard input."""
    if sys.stdin.isatty():
        return str(
            typer.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True, err=True)
        )
    given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise ConfigError("standard input has no password. Write it into its first line.")
    return given
