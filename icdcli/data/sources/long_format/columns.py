"""The columns of a table of codes, found by their configured or their usual names."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from icdcli.errors import DataError
from icdcli.io.csv_reader import Reading, match_columns, plain_name, shown_names

ROLES = {
    "id_column": "encounter",
    "codes_column": "code",
    "sequence_column": "sequence",
    "poa_column": "present on admission",
    "version_column": "version",
}
"""The configuration keys of the columns, and what each column has."""

_USUAL = {
    "id_column": (
        *("hadm_id", "encounter_id", "encounterid", "encntr_id", "enc_id", "encounter", "pat_enc"),
        *("pat_enc_csn_id", "csn", "visit_id", "visit_occurrence_id", "visit", "case_id", "caseid"),
        *("stay_id", "admission_id", "episode_id", "account_number", "note_id", "document_id"),
        *("fallnummer", "fall_id", "id_episodio", "id"),
    ),
    "codes_column": (
        *("codes", "code", "icd_code", "icdcode", "icd9_code", "icd10_code", "icd", "icd9"),
        *("icd10", "diagnosis_code", "diag_code", "dx_code", "dxcode", "dx", "diagnosis", "diag"),
        *("condition_source_value", "kode", "codigo", "icd_kode"),
    ),
    "sequence_column": (
        *("seq_num", "seq", "sequence", "sequence_number", "seq_no", "seqno", "dx_seq", "diag_seq"),
        *("code_seq", "code_sequence", "diagnosispriority", "dx_rank"),
    ),
    "poa_column": (
        *("poa", "poa_indicator", "poa_ind", "poa_flag", "present_on_admission", "on_admission"),
        *("dx_poa", "poa_code", "is_poa"),
    ),
    "version_column": (
        *("icd_version", "icdversion", "code_version", "icd_ver", "coding_system"),
        *("vocabulary_id", "code_type", "codetype", "icd_type"),
    ),
}
_NEEDED = ("id_column", "codes_column")


def long_columns(
    path: Path, available: Sequence[str], configured: Mapping[str, str | None]
) -> dict[str, str]:
    """Return the columns of a table of codes by the keys of `ROLES`.

    Args:
        path: The table, for messages.
        available: The names of its columns.
        configured: Key to the configured name; None: find the column by its usual names.

    Raises:
        DataError: If a column is missing, or one column is several things.
    """
    plain = {plain_name(name): name for name in reversed(available)}
    found: dict[str, str] = {}
    for role in ROLES:
        name = configured.get(role)
        if name is not None:
            found[role] = available[match_columns(path, available, [name])[0]]
            continue
        usual = next((plain[usual] for usual in _USUAL[role] if usual in plain), None)
        if usual is not None:
            found[role] = usual
        elif role in _NEEDED:
            raise DataError(
                f"{path}: no column of the {ROLES[role]}s was found. Set {role} to one of its "
                f"columns: {shown_names(available)}"
            )
    for role, name in found.items():
        same = [other for other, its in found.items() if its == name]
        if len(same) > 1:
            raise DataError(
                f"{path}: {' and '.join(same)} are the same column, {name!r}. Set {role} to a "
                "column of its own."
            )
    return found


def usual_column(role: str, names: Sequence[str]) -> str | None:
    """Return the first of some columns that has a usual name of a role; None: none has."""
    return next((name for name in names if plain_name(name) in _USUAL[role]), None)


def columns_in_words(columns: Mapping[str, str]) -> str:
    """Return which column is what, as a part of a sentence."""
    return ", ".join(f"{ROLES[role]} in {name!r}" for role, name in columns.items())


def uncounted(reading: Reading) -> Reading:
    """Return a reading of the same kind, which counts nothing in the counts of this one."""
    return Reading(
        reading.chunk_size,
        reading.skip_bad_rows,
        reading.on_progress,
        encoding=reading.encoding,
    )
