"""``icdcode check``: what is wrong with sets of codes, by the notes of an edition."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from icdcli.cli.common import Json
from icdcli.errors import ConfigError
from icdcli.report.console import Output

_FOUND = 3


def check(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Table of ids and codes, or predictions of icdcode predict."
        ),
    ],
    edition: Annotated[
        str, typer.Option(metavar="NAME", help="Edition of the codes; see icdcode codes list.")
    ] = "icd10cm",
    date: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Day of the discharge: take the edition valid on it."
        ),
    ] = None,
    ordered: Annotated[
        bool,
        typer.Option("--ordered", help="The first code is the principal diagnosis."),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 3 if there is a hard finding.")
    ] = False,
    json: Json = False,
) -> None:
    """Check sets of codes: missing characters, Excludes1, order, sides and more.

    A hard finding makes a claim invalid; a soft one is for a person to decide.

    Example: icdcode check predictions.jsonl --edition icd10cm
    """
    from icdcli.icd.code_system import beside_edition, edition_of
    from icdcli.icd.editions.records import edition_id, edition_ids, edition_record
    from icdcli.icd.rules.code_sets import predicted_with, read_code_sets
    from icdcli.icd.rules.encounters import EncounterChecks
    from icdcli.report.views.checks import findings_view

    if not file.is_file():
        raise ConfigError(f"{file}: no such file.")
    day = date.date() if date else None
    output, opened, system = Output(json), edition_of(edition, day), beside_edition(edition, day)
    checks = EncounterChecks(system.editions)
    found = {
        identifier: checks.check_set(codes)
        for identifier, codes in read_code_sets(file, opened, ordered)
    }
    checked = edition_id(edition_record(opened))
    known = edition_ids(system.to_json())
    if others := [one for one in predicted_with(file) if one not in known]:
        output.warn(
            f"{file}: has codes of {', '.join(others)}, checked against {checked}. With --edition "
            f"{others[0].partition('@')[0]} they are checked against their own."
        )
    output.show(findings_view(found, opened.about))
    output.result(
        {
            "edition": opened.about.name,
            "sha256": opened.sha256,
            "editions": system.to_json(),
            "encounters": len(found),
            "findings": [
                {"id": identifier, **one.to_json()}
                for identifier, own in found.items()
                for one in own
            ],
        }
    )
    if strict and any(one.severity == "hard" for own in found.values() for one in own):
        raise typer.Exit(_FOUND)
