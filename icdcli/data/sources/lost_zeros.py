"""Tables of MIMIC whose codes of ICD-9 a program has read as numbers: 0066 became 66."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from icdcli.data.sources.admission import Code
from icdcli.errors import DataError
from icdcli.icd.codes import dotted
from icdcli.icd.titles import is_known, titles


def refuse_lost_zeros(
    path: Path, column: str, raws: Iterable[str], kind: str, own_titles: Mapping[Code, str]
) -> None:
    """Raise an error if a program has read the codes of a table as numbers.

    Then no code begins with 0, and some codes (66) are in no table of codes, or there with the
    official title of the code with its zeros (00.66).

    Args:
        path: The table.
        column: The column of its codes.
        raws: The distinct codes of ICD-9-CM in it, as they are written.
        kind: Their kind.
        own_titles: The titles of the data set's own tables.

    Raises:
        DataError: If zeros are lost; the message names a code.
    """
    raws = sorted(raws)
    if any(raw.startswith("0") for raw in raws):
        return
    official = titles("icd9", kind)
    for raw in raws:
        if not raw.isdigit():
            continue
        code = dotted(raw, kind, "icd9")
        own = own_titles.get(Code(code, kind))
        # Three digits may be a category of diagnoses; two are no code of a procedure.
        exists = code in official or (kind == "diagnosis" and is_known(code, kind, "icd9"))
        intended = [dotted(zeros + raw, kind, "icd9") for zeros in ("0", "00")]
        possible = [
            known
            for known in intended
            if known in official and (own == official[known] or (own is None and not exists))
        ]
        if possible:
            raise DataError(
                f"{path}: column {column} has lost its leading zeros: no code begins with 0, and "
                f"{raw} must have been {' or '.join(possible)}. Copy the original table, or save "
                "it again with codes read as strings (pandas: dtype=str)."
            )
