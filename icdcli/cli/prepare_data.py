"""``icdcode prepare-data``: from source tables to a prepared corpus."""

from collections.abc import Iterable, Mapping
from json import dumps as quoted  # a JSON string is a YAML string, whatever is in it
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icdcli.cli.common import AcceptLeaks, AcceptUnknownCodes, Json, Overrides
from icdcli.cli.completion import complete_config
from icdcli.errors import in_shell
from icdcli.report.console import Output

if TYPE_CHECKING:
    from icdcli.data.corpus.prepare import PreparedCorpus


def prepare_data(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Folder of the source tables, or one file of notes and codes."
        ),
    ],
    overrides: Overrides = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Configuration with data options.", autocompletion=complete_config),
    ] = None,
    skip_bad_rows: Annotated[
        bool,
        typer.Option(
            "--skip-bad-rows",
            help="Skip and count invalid CSV rows, as skip_bad_rows=True does.",
        ),
    ] = False,
    accept_unknown_codes: AcceptUnknownCodes = False,
    accept_leaks: AcceptLeaks = False,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Read all tables again, also large ones whose size and times are unchanged.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Convert source tables into a prepared corpus.

    Rerunning the command finds the existing corpus, unless the tables or the options have changed.

    Example: icdcode prepare-data data/demo protocol=patient label_pruning=True
    """
    from icdcli.data.corpus.card import describe_corpus
    from icdcli.data.corpus.reader import open_corpus
    from icdcli.report.views.corpus import corpus_view

    output = Output(json)
    given = [
        *(overrides or []),
        *(["skip_bad_rows=True"] if skip_bad_rows else []),
        *(["accept_unknown_codes=True"] if accept_unknown_codes else []),
        *(["accept_leaks=True"] if accept_leaks else []),
    ]
    corpus = prepared(folder, given, config, output, fresh)
    output.show(corpus_view(describe_corpus(open_corpus(corpus.folder)).to_json()))
    output.say(f"{'Prepared' if corpus.created else 'Already prepared'}: {corpus.folder}")
    if not corpus.created and not fresh and corpus.reads_large_files:
        output.say("Large tables are recognized by size and times; --fresh reads them again.")
    chosen = config or ("laptop.yaml" if corpus.card["dataset"] == "table" else "CONFIG")
    words = (in_shell(word) for word in (chosen, f"data_path={folder}", *given))
    output.say(f"Next: icdcode train {' '.join(words)}")
    output.result(
        {
            "folder": corpus.folder,
            "created": corpus.created,
            "changed": corpus.changed,
            "card": corpus.card,
        }
    )


def prepared(
    data: Path,
    overrides: list[str],
    config: Path | None,
    output: Output,
    fresh: bool = False,
) -> "PreparedCorpus":
    """Prepare data unless it is prepared already, with progress, and warn about problems."""
    from icdcli.config.loading import load_config
    from icdcli.data.corpus.prepare import prepare

    options = load_config(
        config, [*overrides, f"data_path={quoted(str(data), ensure_ascii=False)}"]
    ).data
    with output.stages() as on_progress:
        corpus = prepare(options, on_progress, fresh=fresh)
    warn(corpus.warnings, corpus.card, output)
    return corpus


def warn(warnings: Iterable[str], card: Mapping[str, Any], output: Output) -> None:
    """Show warnings about a corpus, without those that `corpus_view` shows."""
    from icdcli.data.corpus.notices import leaks

    shown_by_view = set(leaks(card.get("description", {}).get("leakage", {})))
    for warning in warnings:
        if warning not in shown_by_view:
            output.warn(warning)
