"""``icdcode audit``: gold codes that notes don't support, and supported codes that gold lacks."""

from json import dumps as quoted  # a JSON string is a YAML string, whatever is in it
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icdcli.cli.common import Json, Overrides, import_visibly
from icdcli.cli.completion import complete_config, complete_run
from icdcli.errors import ConfigError
from icdcli.report.console import Output

if TYPE_CHECKING:
    from icdcli.config.schema import Config
    from icdcli.cross_fitting.out_of_fold import OutOfFold
    from icdcli.data.corpus.reader import Corpus

_DEFAULT = Path("laptop.yaml")


def audit(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA|CORPUS|CONFIG|RUN",
            help="Source tables, a prepared corpus, a configuration, or a run.",
        ),
    ],
    overrides: Overrides = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN_DIR",
            help="Score the notes with the models of this run's folds, which are trained first if "
            "they don't exist (as by icdcode refit). Default: with lexical models only.",
            autocompletion=complete_run,
        ),
    ] = None,
    config: Annotated[
        Path,
        typer.Option(
            help="Configuration with the options for DATA or CORPUS.",
            autocompletion=complete_config,
        ),
    ] = _DEFAULT,
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="Table of findings: .csv, .jsonl or .parquet.")
    ] = Path("audit.csv"),
    top: Annotated[int, typer.Option(min=1, help="Maximum number of findings.")] = 500,
    error_rate: Annotated[
        float,
        typer.Option(
            min=0.001,
            max=0.5,
            help="Share of codes in which the audit plants errors to learn from.",
        ),
    ] = 0.05,
    with_text: Annotated[
        bool,
        typer.Option("--with-text", help="Also write words of the notes, which are patient text."),
    ] = False,
    notes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --with-text: write the notes that have findings for `icdcode review "
            "import` (JSONL).",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the planted errors.")] = 0,
    json: Json = False,
) -> None:
    """Find gold codes that notes don't support, and supported codes that gold lacks.

    Models that haven't seen a note score it. The findings in the training and validation splits are
    ranked, the likeliest error first. If the command is interrupted, repeat it to continue.

    Example: icdcode audit data/codiesp language=es --output audit.csv
    """
    if notes is not None and not with_text:
        raise ConfigError("--notes: the file contains the texts of notes. Add --with-text.")
    shown = Output(json)
    corpus, options = _opened(data, overrides or [], config, shown)
    import_visibly("icdcli.audit.run", shown)
    from icdcli.audit.run import AuditSettings, audit_to_file
    from icdcli.report.audit_view import audit_view

    settings = AuditSettings(error_rate, top, with_text, seed)
    scores = None if run is None else _scores(run, corpus, shown)
    with shown.stages() as on_progress:
        watching = (on_progress, shown.warn)
        found = audit_to_file(corpus, options, output, settings, scores, notes, *watching)
    shown.show(audit_view(found))
    shown.say(f"Written: {output}" + ("" if notes is None else f" and {notes}"))
    shown.result({"output": output, **found.to_json()})


def _scores(run: Path, corpus: "Corpus", output: Output) -> "OutOfFold":
    """Return the out-of-fold scores of a run, training the models of folds if necessary."""
    from icdcli.audit.run_scores import cross_fit_notes
    from icdcli.cross_fitting.fold_runs import StoppedTraining, Watched, Watching

    def start(what: str) -> "Watched":
        output.say(f"{what[0].upper()}{what[1:]}")
        return Watched()

    try:
        return cross_fit_notes(run, corpus, Watching(start, on_warning=output.warn))
    except StoppedTraining as stopped:
        output.say("Interrupted. Repeat the command to continue from here.")
        raise typer.Exit(128 + stopped.signal) from None


def _opened(
    data: Path, overrides: list[str], config: Path, output: Output
) -> "tuple[Corpus, Config]":
    """Return the corpus, prepared if necessary, and the configuration."""
    from icdcli.cli.prepare_data import warn
    from icdcli.config.loading import load_config
    from icdcli.data.corpus.prepare import prepare
    from icdcli.data.corpus.reader import CARD, open_corpus
    from icdcli.run_dir import RunDir

    if (data / CARD).is_file():
        corpus = open_corpus(data)
        known = corpus.card.get("options", {}).get("language")
        return corpus, load_config(config, [*([f"language={known}"] if known else []), *overrides])
    if data.is_file() and data.suffix in (".yaml", ".yml"):
        options = load_config(data, overrides)
    elif (run := RunDir(data)).args.is_file():
        options = load_config(run.args, overrides)
    else:
        given = f"data_path={quoted(str(data), ensure_ascii=False)}"
        options = load_config(config, [*overrides, given])
    with output.stages() as on_progress:
        prepared = prepare(options.data, on_progress)
    warn(prepared.warnings, prepared.card, output)
    return open_corpus(prepared.folder), options
