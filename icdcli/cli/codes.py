"""``icdcode codes``: the coding systems at hand, their codes, and what changed between editions."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.command_groups import Commands
from icdcli.cli.common import Json
from icdcli.errors import ConfigError, nearest
from icdcli.report.console import Output

app = typer.Typer(
    cls=Commands,
    help="List, search, compare and import coding systems.\n\n"
    "An edition is a dated table of codes, such as icd10cm-2026-04. The beginning of a name means "
    "the newest edition whose name begins with it.",
    no_args_is_help=True,
)

Edition = Annotated[str, typer.Option("--edition", metavar="NAME", help="Edition to use.")]
_NEWEST = "icd10cm"


@app.command("list")
def list_(json: Json = False) -> None:
    """Show the available editions: their days, number of codes, source and license.

    Example: icdcode codes list
    """
    from icdcli.icd.editions.catalog import editions, open_edition
    from icdcli.report.views.codes import editions_view

    output, found = Output(json), editions()
    rows = [(one, open_edition(one.path)) for one in found]
    output.show(editions_view(rows))
    output.result(
        {
            "editions": [
                {
                    **one.about.to_json(),
                    "sha256": edition.sha256,
                    "codes": int(edition.assignable_R.sum()),
                    "path": one.path,
                    "bundled": one.bundled,
                }
                for one, edition in rows
            ]
        }
    )


@app.command("show")
def show(
    code: Annotated[str, typer.Argument(metavar="CODE", help="The code, such as E11.9.")],
    edition: Edition = _NEWEST,
    language: Annotated[str, typer.Option(help="Language of the synonyms: en, es or ko.")] = "en",
    json: Json = False,
) -> None:
    """Show all that an edition says about a code.

    That is its title, what is above and below it, its terms and notes, its synonyms, and whether
    it can be assigned; of a retired code, what became of it.

    Example: icdcode codes show E11.9
    """
    from icdcli.icd.editions.look_up import look_up
    from icdcli.report.views.codes import code_view

    output = Output(json)
    found = look_up(code, edition, language)
    output.show(code_view(found))
    output.result(found.to_json())


@app.command("search")
def search(
    words: Annotated[
        list[str], typer.Argument(metavar="WORDS", help="Words, or the beginning of a code.")
    ],
    edition: Edition = _NEWEST,
    number: Annotated[int, typer.Option("-n", min=1, help="The most codes to show.")] = 20,
    json: Json = False,
) -> None:
    """Find codes by the words of their titles, terms and synonyms.

    Words may be incomplete, misspelled, or everyday ones, in English, Spanish or Korean. The
    beginning of a code lists the codes below it; an ICD-9-CM code, its equivalents.

    Example: icdcode codes search sugar disease
    """
    from icdcli.icd.code_system import edition_of
    from icdcli.icd.search import search_codes
    from icdcli.report.views.codes import hits_view

    output, opened = Output(json), edition_of(edition)
    hits = search_codes(" ".join(words), opened, number)
    if hits:
        output.show(hits_view(hits))
    else:
        output.say(f"No code of {opened.about.title} has these words.")
    output.result({"edition": opened.about.name, "codes": [one._asdict() for one in hits]})


@app.command("diff")
def diff(
    older: Annotated[str, typer.Argument(metavar="OLDER", help="The older edition.")],
    newer: Annotated[str, typer.Argument(metavar="NEWER", help="The newer edition.")],
    json: Json = False,
) -> None:
    """Show what changed from one edition to another: new, retired and renamed codes.

    Example: icdcode codes diff icd10cm-2024 icd10cm-2026
    """
    from icdcli.icd.code_system import edition_of
    from icdcli.icd.editions.differences import compare_editions
    from icdcli.report.views.codes import differences_view

    output = Output(json)
    found = compare_editions(edition_of(older), edition_of(newer))
    output.show(differences_view(found))
    output.result(found.to_json())


@app.command("map")
def map_(
    code: Annotated[str, typer.Argument(metavar="CODE", help="The code, such as E11.9.")],
    to: Annotated[str, typer.Option("--to", help="The other system: icd9cm or icd10cm.")],
    json: Json = False,
) -> None:
    """Show the equivalents of a diagnosis in ICD-9-CM or ICD-10-CM, as CMS gives them.

    Example: icdcode codes map E11.9 --to icd9cm
    """
    from icdcli.icd.codes import System, dotted
    from icdcli.icd.equivalents import equivalents
    from icdcli.report.views.codes import equivalents_view

    systems: dict[str, tuple[System, System]] = {
        "icd9cm": ("icd10", "icd9"),
        "icd10cm": ("icd9", "icd10"),
    }
    if to not in systems:
        raise ConfigError(
            f"--to: expected {' or '.join(systems)}, not {to!r}{nearest(to, systems)}."
        )
    source, target = systems[to]
    try:
        written = dotted(code, "diagnosis", source)
    except ValueError as error:
        raise ConfigError(f"{error}.") from error
    known = equivalents(source, target)
    if written not in known:
        raise ConfigError(
            f"{written}: CMS's mapping to {to} doesn't have it. It has complete codes as of 2018."
        )
    output = Output(json)
    output.show(equivalents_view(written, known[written], target))
    output.result({"code": written, "equivalents": [one._asdict() for one in known[written]]})


@app.command("notes")
def notes(
    kind: Annotated[
        str,
        typer.Option(help="excludes1, excludes2, code_first, use_additional or code_also."),
    ] = "excludes1",
    edition: Edition = _NEWEST,
    json: Json = False,
) -> None:
    """List the notes that checks don't understand: they refer to codes in words only.

    Example: icdcode codes notes --kind code_first
    """
    from icdcli.icd.editions.catalog import find_edition
    from icdcli.icd.rules.references import REFERRING, understood_notes
    from icdcli.report.views.codes import notes_view

    known = next((one for one in REFERRING if one == kind), None)
    if known is None:
        raise ConfigError(
            f"--kind: expected {', '.join(REFERRING)}, not {kind!r}{nearest(kind, REFERRING)}."
        )
    output, opened = Output(json), find_edition(edition)
    found = understood_notes(opened, known)
    output.show(notes_view(found, known, opened.about))
    output.result({"edition": opened.about.name, "kind": known, **found.to_json()})


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file with the codes.")],
    name: Annotated[
        str, typer.Option(metavar="NAME", help="The edition's name, such as icd10cm-2027 or kcd-9.")
    ],
    title: Annotated[str | None, typer.Option(help="Its full name, such as KCD 9.")] = None,
    valid_from: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The first day on which its codes are valid."),
    ] = None,
    license: Annotated[str, typer.Option(help="Its license.")] = "",
    json: Json = False,
) -> None:
    """Add an edition: CMS's files, ClaML, or a table with the columns code and title.

    A table may also have the columns terms, separated by |, and parent. CMS's alphabetic index is
    added to an edition of the same name.

    Example: icdcode codes import kcd9.csv --name kcd-9
    """
    from icdcli.icd.editions.catalog import find_edition, store_edition
    from icdcli.icd.editions.importing import about_import, add_index, import_edition, is_index

    output = Output(json)
    if file.is_file() and is_index(file):
        edition = add_index(find_edition(name), file)
    else:
        about = about_import(file, name, title, valid_from.date() if valid_from else None, license)
        edition = import_edition(file, about)
    path = store_edition(edition)
    _say_stored(output, edition.about.name, int(edition.assignable_R.sum()), path)


@app.command("fetch")
def fetch(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="icd10cm-YEAR, icd10cm-YEAR-04 (April) or icd10pcs-YEAR."
        ),
    ],
    address: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Scheme and host of a mirror to download from."),
    ] = None,
    json: Json = False,
) -> None:
    """Download an official edition from CMS, and add it.

    Example: icdcode codes fetch icd10cm-2027
    """
    from icdcli.icd.editions.catalog import store_edition
    from icdcli.icd.editions.importing import about_import, import_edition
    from icdcli.icd.editions.publications import downloaded

    output = Output(json)
    with downloaded(name, address) as file:
        edition = import_edition(file, about_import(file, name))
    path = store_edition(edition)
    _say_stored(output, edition.about.name, int(edition.assignable_R.sum()), path)


def _say_stored(output: Output, name: str, codes: int, path: Path) -> None:
    output.say(f"Added {name}: {codes:,} codes that can be assigned; file: {path}")
    output.result({"edition": name, "codes": codes, "path": path})
