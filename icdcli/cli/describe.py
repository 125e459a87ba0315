"""``icdcode describe``: the data card of a corpus on the terminal, as PNG and as JSON."""

from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.common import Json, Overrides
from icdcli.cli.prepare_data import prepared, warn
from icdcli.errors import ConfigError, DataError
from icdcli.report.console import Output


def describe(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA|CORPUS", help="Source tables, or the folder of a prepared corpus."
        ),
    ],
    overrides: Overrides = None,
    config: Annotated[
        Path | None, typer.Option(help="Configuration with data options for source tables.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the files. Default: the corpus folder."),
    ] = None,
    json: Json = False,
) -> None:
    """Describe a corpus on the terminal, as PNG and as JSON.

    Source tables are prepared first. The files are named describe.png and describe.json; they
    contain counts only, no text.

    Example: icdcode describe data/demo protocol=patient label_pruning=True
    """
    from icdcli.data.corpus.card import describe_corpus
    from icdcli.data.corpus.notices import corpus_warnings
    from icdcli.data.corpus.reader import CARD, open_corpus
    from icdcli.io.files import write_json
    from icdcli.report.plots.corpus import corpus_png
    from icdcli.report.views.corpus import corpus_view

    output = Output(json)
    corpus_folder = data
    if not (data / CARD).is_file():
        corpus_folder = prepared(data, overrides or [], config, output).folder
    elif overrides or config:
        raise ConfigError(
            f"{data}: is a prepared corpus, which data options can't change. "
            "Give the folder of the source tables, or leave out the options."
        )
    corpus = open_corpus(corpus_folder)
    if corpus_folder == data:
        warn(corpus_warnings(corpus.card), corpus.card, output)
    described = describe_corpus(corpus).to_json()
    output.show(corpus_view(described))
    folder = to or corpus_folder
    try:
        corpus_png(described, folder / "describe.png")
        (folder / "describe.png").chmod(0o600)  # a count of one may be a patient
        write_json(folder / "describe.json", described)
    except OSError as error:
        raise DataError(
            f"{folder}: can't be written ({error.strerror}). Choose another folder with --to."
        ) from error
    output.say(f"Corpus: {corpus_folder}\nWritten: describe.png and describe.json in {folder}")
    output.result({"folder": corpus_folder, "to": folder, "description": described})
