"""The command line: one thin module per command.

Importing it doesn't import torch, so that ``--help`` is quick.
"""

import errno
import os
import re
import sys
from typing import Annotated, Any

import typer

from icdcli import __version__
from icdcli.cli import (
    audit,
    behavior,
    bundle,
    check,
    codes,
    compare,
    config,
    copy_data,
    demo,
    demo_data,
    describe,
    doctor,
    drift,
    ensemble,
    evaluate,
    export,
    join,
    migrate,
    plot_lr,
    predict,
    prepare_data,
    refit,
    report,
    resume,
    review,
    score,
    serve,
    show_predictions,
    splits,
    train,
)
from icdcli.cli.command_groups import Commands
from icdcli.cli.processes import memory_errors_explained, system_error_in_words
from icdcli.config.fields import refuse_url
from icdcli.data.copies.advice import refuse_uncopied
from icdcli.errors import DataError, IcdcodeError
from icdcli.io.remote.paths import is_url
from icdcli.io.tables.database import is_database
from icdcli.offline import OPTION, forbid_network
from icdcli.report.console import Output

_OF_SYSTEMS = ("--edition", "--code-system")  # file:/data/codes.csv is no URL
_WITH_STORE = ("serve", "review")  # commands whose review store may be in a database
_WITH_URLS = ("predict", "join", "copy-data", "score")  # that read or write on other machines
_WITH_DATA = ("prepare-data", "describe", "audit")  # that need notes and codes of this machine


class _Commands(Commands):
    """All commands. A URL is refused before one of them takes it for a folder.

    ``--output=~/codes.csv`` is expanded here, because not every shell does. ``--offline`` may be
    behind the command, too.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        options = args[: args.index("--")] if "--" in args else args
        if OPTION in options:
            words = [word for word in options if word != OPTION]
            args = [OPTION, *words, *args[len(options) :]]
        command = next((word for word in args if not word.startswith("-")), None)
        if command not in ("splits", "codes"):  # which download
            for before, word in zip(["", *args], args, strict=False):
                option, _, value = (
                    word.partition("=") if word.startswith("--") else (before, "", word)
                )
                is_read = (command in _WITH_URLS and is_url(value)) or (
                    command in _WITH_STORE and is_database(value)
                )
                if option not in _OF_SYSTEMS and not is_read:
                    refuse = refuse_uncopied if command in _WITH_DATA else refuse_url
                    refuse(value, word)
        return super().parse_args(
            ctx, [re.sub("^(--[^=]+=)(~/)", _with_home, word) for word in args]
        )


def _with_home(found: re.Match[str]) -> str:
    return found[1] + os.path.join(os.path.expanduser("~"), "")


app = typer.Typer(
    name="icdcode",
    cls=_Commands,
    help="Assign ICD codes to clinical notes: prepare data, train, evaluate, predict.\n\n"
    "New here? Run `icdcode demo my-demo`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _icdcode(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
    offline: Annotated[
        bool,
        typer.Option(
            OPTION,
            help="Connect to nothing but this computer; for every command. Also ICDCODE_OFFLINE=1.",
        ),
    ] = False,
) -> None:
    if offline:
        forbid_network()
    if version:
        typer.echo(f"icdcode {__version__}")
        raise typer.Exit


_GROUPS: dict[str, dict[str, Any]] = {
    "Start here": {"demo": demo.demo, "doctor": doctor.doctor, "config": config.app},
    "Data": {
        "copy-data": copy_data.copy_data,
        "prepare-data": prepare_data.prepare_data,
        "describe": describe.describe,
        "splits": splits.app,
        "codes": codes.app,
        "demo-data": demo_data.demo_data,
    },
    "Training": {
        "train": train.train,
        "resume": resume.resume,
        "refit": refit.refit,
        "plot-lr": plot_lr.plot_lr,
        "ensemble": ensemble.ensemble,
        "export": export.export,
        "bundle": bundle.bundle,
        "migrate": migrate.migrate,
    },
    "Evaluation": {
        "evaluate": evaluate.evaluate,
        "compare": compare.compare,
        "score": score.score,
        "report": report.report,
        "behavior": behavior.behavior,
        "audit": audit.audit,
        "show-predictions": show_predictions.show_predictions,
    },
    "New notes": {
        "predict": predict.predict,
        "join": join.join,
        "check": check.check,
        "drift": drift.drift,
    },
    "Review": {"serve": serve.serve, "review": review.app},
}
for _group, _commands in _GROUPS.items():
    for _name, _command in _commands.items():
        if isinstance(_command, typer.Typer):
            app.add_typer(_command, name=_name, rich_help_panel=_group)
        else:
            app.command(_name, rich_help_panel=_group)(_command)


def main() -> None:
    """Run a command and end the process with its exit code.

    Errors that a user can fix are printed without a traceback.
    """
    _open_closed_streams()
    try:
        try:
            with memory_errors_explained():
                app()
        finally:
            sys.stdout.flush()
    except IcdcodeError as error:
        Output(json=True).error(error)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno != errno.EPIPE:  # else the reader, such as head, has what it wanted
            if (message := system_error_in_words(error)) is None:
                raise
            Output(json=True).error(message)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still in the buffer is lost
        sys.exit(1 if error.errno == errno.EPIPE else DataError.exit_code)


def _open_closed_streams() -> None:
    """Open the standard streams that the caller closed (``>&-``), as streams without content.

    Otherwise, the next file that is opened would get the number of standard output.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", closefd=False))
