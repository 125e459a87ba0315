"""The principal diagnoses of MIMIC: the codes with the sequence number 1."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from icdcli.data.sources.admission import Admission, Code
from icdcli.data.sources.admission_join import whole_id
from icdcli.data.sources.long_format.columns import uncounted
from icdcli.io.csv_reader import Reading


def read_principals(
    reading: Reading,
    table: Path,
    columns: tuple[str, str],
    spell: Callable[[str], Code | str],
    where: Mapping[str, str],
) -> dict[str, str | None]:
    """Return the principal diagnosis of each admission; None if it has several.

    Args:
        reading: How the table is read; its counts stay as they are.
        table: The table of diagnoses.
        columns: The columns of the admission's id and of the code.
        spell: Returns the code of a raw string, or the reason to drop its rows.
        where: Column to exact value, as the rows of principal diagnoses have it.
    """
    own = uncounted(reading)
    found: dict[str, str | None] = {}
    for chunk in own.rows(table, columns, where=where):
        for id, raw in chunk:
            code = spell(raw)
            if not id or isinstance(code, str):
                continue
            known = found.setdefault(whole_id(id), code.code)
            if known != code.code:
                found[whole_id(id)] = None
    return found


def with_principals(
    admissions: Iterable[Admission], principals: Mapping[str, str | None]
) -> Iterator[Admission]:
    """Yield admissions with their principal diagnoses."""
    for admission in admissions:
        yield replace(admission, principal=principals.get(admission.id))
