"""The kind and the spelling of a column of codes, decided for the column as a whole.

Without its dot, one string can be two codes: ``5185`` is the diagnosis 518.5 or the procedure
51.85. Which one is meant can't be seen in a cell, but in the column: nearly all of its codes exist
as codes of one kind. If that isn't clear, nothing is guessed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from icdcli.icd.codes import Kind, System, dotted
from icdcli.icd.editions.catalog import is_in_an_edition
from icdcli.icd.gm_letters import CERTAINTY, check_certainty, split_letters, surely_has_letters
from icdcli.icd.other_codes import looks_like, most_look_like
from icdcli.icd.titles import is_known, title_of

CodeKind = Literal["diagnosis", "procedure", "both"]

MOST_UNKNOWN = 0.05
"""The largest share of codes without a title that is accepted by default."""

_STRAY = 0.02  # share of codes of the other kind that may be errors of the table
_LEAST = 2  # distinct codes that exist only as one kind, to decide for it
_LEAST_SHARE = 0.05  # their share of the codes that could be of either kind
_EXAMPLES = 5
_FIRST = 10  # codes without a title that are named
_DIAGNOSIS = {
    "icd9": re.compile(r"(\d{3}|V\d\d)(\.?\d{1,2})?\.?|E\d{3}(\.?\d)?\.?"),
    "icd10": re.compile(r"[A-Z]\d[A-Z0-9](\.?[A-Z0-9]{1,4})?\.?"),
}
_PROCEDURE = {
    "icd9": re.compile(r"\d\d(\.?\d{1,2})?\.?"),
    "icd10": re.compile(r"[0-9A-HJ-NP-Z]{2,7}"),
}
_EDITIONS = {"icd9": "ICD-9-CM", "icd10": "ICD-10-CM and ICD-10-PCS"}
_COMPLETE_PCS = 7
_NOUN = {"diagnosis": "diagnoses", "procedure": "procedures", "both": "diagnoses and procedures"}


@dataclass(frozen=True)
class CodeColumn:
    """How a column of codes is read, and why.

    Attributes:
        system: The coding system; None: codes are kept unchanged, and all count as diagnoses.
        kind: The kind of its codes.
        configured: Whether the configuration sets the kind.
        codes: Distinct codes as they are written, so that 4280 and 428.0 count twice.
        undotted: Those of them that are written without the dot that they have.
        as_diagnoses: Those that exist as diagnoses.
        as_procedures: Those that exist as procedures.
        unknown: Distinct codes, spelled, that aren't in the official tables, or have an impossible
            form.
        labels: Distinct codes, spelled.
        first_unknown: The first ten unknown codes.
        problem: Why the column can't be used unless unknown codes are accepted; None: it can.
        letters: Whether letters behind a code are the certainty and the side of ICD-10-GM.
    """

    system: System | None
    kind: CodeKind
    configured: bool = False
    codes: int = 0
    undotted: int = 0
    as_diagnoses: int = 0
    as_procedures: int = 0
    unknown: int = 0
    labels: int = 0
    first_unknown: tuple[str, ...] = ()
    problem: str | None = None
    letters: bool = False
    keep_impossible: bool = field(default=False, repr=False)

    def spelled(self, raw: str) -> tuple[str, Kind]:
        """Return a code as its system writes it, and its kind.

        Raises:
            ValueError: If its form is impossible for the column's system and kind.
        """
        if self.system is None:
            return raw.strip(), "diagnosis"
        if self.letters:
            raw, letters = split_letters(raw)
            check_certainty(letters)
        kind = _kind_in(raw, self.kind, self.system)
        try:
            return _spelled(raw, kind, self.system), kind
        except ValueError as error:
            if self.keep_impossible:
                return raw.strip().upper(), kind
            raise ValueError(f"{error}{_hint(raw, self.system)}") from None

    def in_words(self) -> str:
        """Return the decision and its evidence as a sentence."""
        why = "as code_kind says" if self.configured else "decided for the complete column"
        return (
            f"{_NOUN[self.kind]}, {why}: of {self.codes:,} distinct codes, {self.as_diagnoses:,} "
            f"exist as diagnoses and {self.as_procedures:,} as procedures; {self.undotted:,} are "
            "written without their dot"
            + ("; G (confirmed) and sides of ICD-10-GM are left out" if self.letters else "")
        )

    def to_json(self) -> dict[str, Any]:
        """Return the decision as JSON values."""
        entry = asdict(self)
        del entry["keep_impossible"]
        if not self.letters:
            del entry["letters"]
        return {**entry, "first_unknown": list(self.first_unknown), "decision": self.in_words()}


def decide_column(
    counts: Mapping[str, int],
    system: System,
    code_kind: CodeKind | None = None,
    keep_impossible: bool = False,
) -> CodeColumn:
    """Decide how a column of codes is read.

    Args:
        counts: Each distinct code as `icdcli.icd.code_cells.cell_codes` returns it, with the number
            of its rows.
        system: The coding system.
        code_kind: The kind, if it is known; None: decide.
        keep_impossible: Keep codes of an impossible form unchanged; else they are refused.

    Raises:
        ValueError: If the kind isn't clear; the message is the end of a sentence that names the
            column.
    """
    letters = system == "icd10" and any(map(surely_has_letters, counts))
    if letters:
        counts = _without_letters(counts)
    diagnoses = {raw for raw in counts if _may_be(raw, "diagnosis", system)}
    procedures = {raw for raw in counts if _may_be(raw, "procedure", system)}
    problem = _of_another_system(counts, system) or _saved_as_numbers(counts, system)
    kind: CodeKind
    if code_kind is not None and code_kind != "both":
        kind = code_kind
    elif problem:
        kind = "both" if system == "icd10" else "diagnosis"
    else:
        kind = _decided(diagnoses, procedures, system, counts, code_kind)
    rows: dict[str, int] = {}
    unknown: dict[str, int] = {}
    undotted = 0
    for raw, count in counts.items():
        its_kind = _kind_in(raw, kind, system)
        try:
            code = _spelled(raw, its_kind, system)
            # The tables of titles lack what is new in an imported edition.
            known = is_known(code, its_kind, system) or is_in_an_edition(code, system)
            undotted += "." in code and "." not in raw
        except ValueError:
            code, known = raw, False
        rows[code] = rows.get(code, 0) + count
        if not known:
            unknown[code] = unknown.get(code, 0) + count
    problem = problem or _lost_zeros(counts, kind, system)
    if problem is None and len(unknown) > MOST_UNKNOWN * len(rows):
        problem = _too_many_unknown(unknown, rows, system)
    return CodeColumn(
        system,
        kind,
        code_kind is not None,
        len(counts),
        undotted,
        len(diagnoses),
        len(procedures),
        len(unknown),
        len(rows),
        tuple(sorted(unknown)[:_FIRST]),
        problem,
        letters,
        keep_impossible,
    )


def _without_letters(counts: Mapping[str, int]) -> dict[str, int]:
    """Return codes without the letters of ICD-10-GM; those that don't count are left out."""
    found: dict[str, int] = {}
    for raw, count in counts.items():
        code, letters = split_letters(raw)
        if not CERTAINTY.keys() & set(letters):
            found[code] = found.get(code, 0) + count
    return found


def _may_be(raw: str, kind: Kind, system: System) -> bool:
    """Return whether a code exists as a code of a kind."""
    if system == "icd10" and kind == "procedure" and _is_diagnosis_like(raw):
        # Three characters of a procedure (B20) and a diagnosis look alike; see `_decided`.
        return False
    form = (_DIAGNOSIS if kind == "diagnosis" else _PROCEDURE)[system]
    try:
        return bool(form.fullmatch(raw)) and is_known(_spelled(raw, kind, system), kind, system)
    except ValueError:
        return False


def _is_diagnosis_like(raw: str) -> bool:
    """Return whether a code of ICD-10 can be a diagnosis, and isn't a complete procedure."""
    if not _DIAGNOSIS["icd10"].fullmatch(raw):
        return False
    return len(raw) != _COMPLETE_PCS or not is_known(raw, "procedure", "icd10")


def _decided(
    diagnoses: set[str],
    procedures: set[str],
    system: System,
    raws: Iterable[str],
    code_kind: CodeKind | None,
) -> CodeKind:
    """Return the kind of a column.

    Args:
        diagnoses: The codes that exist as diagnoses.
        procedures: The codes that exist as procedures.
        system: The coding system.
        raws: All codes.
        code_kind: ``both`` if the column is known to have both kinds; else None.

    Raises:
        ValueError: If it isn't clear.
    """
    either = sorted(diagnoses & procedures)
    only: dict[CodeKind, int] = {
        "diagnosis": len(diagnoses - procedures),
        "procedure": len(procedures - diagnoses),
    }
    if system == "icd10" and (beginnings := _beginnings_of_procedures(diagnoses, procedures)):
        either = beginnings
    if system == "icd9" and _has_dots(raws):
        # With dots, 486 is a diagnosis: the procedure would be written 48.6.
        only["diagnosis"] += len(either)
        either = []
    if not either:
        kinds = [kind for kind, count in only.items() if count]
        return code_kind or ("both" if len(kinds) == len(only) else (*kinds, "diagnosis")[0])
    clear = sum(only.values())
    for kind, count in only.items():
        few_others = clear - count <= _STRAY * clear
        if (
            code_kind is None
            and few_others
            and count >= max(_LEAST, _LEAST_SHARE * (clear + len(either)))
        ):
            return kind
    examples = "; ".join(_both_readings(raw, system) for raw in either[:_EXAMPLES])
    raise ValueError(
        "has codes without a dot that exist as diagnosis and as procedure, and it isn't clear "
        f"which are meant. Codes of both kinds: {len(either):,}; only of diagnoses: "
        f"{only['diagnosis']:,}; only of procedures: {only['procedure']:,}. For example: "
        f"{examples}. "
        "Set code_kind: diagnosis or procedure, or write the codes with their dots"
    )


def _has_dots(raws: Iterable[str]) -> bool:
    """Return whether a column of ICD-9 is written with dots: every longer code has one."""
    raws = list(raws)
    longer = [raw for raw in raws if len(raw) > (4 if raw.startswith("E") else 3)]
    return bool(longer) and all("." in raw for raw in longer)


def _beginnings_of_procedures(diagnoses: set[str], procedures: set[str]) -> list[str]:
    """Return the codes that may be diagnoses (B20) or beginnings of ICD-10-PCS codes (B20).

    Only a column that certainly has beginnings of procedures (0BJ) raises the question.
    """
    if not any(len(raw) < _COMPLETE_PCS for raw in procedures):
        return []
    return sorted(
        raw for raw in diagnoses if "." not in raw and is_known(raw, "procedure", "icd10")
    )


def _both_readings(raw: str, system: System) -> str:
    kinds: tuple[Kind, Kind] = ("diagnosis", "procedure")
    codes = [(_spelled(raw, kind, system), kind) for kind in kinds]
    readings = [f"{code} {title_of(code, kind, system) or kind}" for code, kind in codes]
    return f"{raw}: {' or '.join(readings)}"


def _kind_in(raw: str, kind: CodeKind, system: System) -> Kind:
    """Return the kind of a code in a column of a kind; the dot of a code decides for itself."""
    raw = raw.strip().upper()
    if system == "icd9" and "." in raw.rstrip("."):
        return "procedure" if re.fullmatch(r"\d\d\.\d{1,2}", raw) else "diagnosis"
    if kind != "both":
        return kind
    if system == "icd10":
        return "diagnosis" if _is_diagnosis_like(raw) or "." in raw else "procedure"
    is_procedure = _may_be(raw, "procedure", system) and not _may_be(raw, "diagnosis", system)
    return "procedure" if is_procedure else "diagnosis"


def _spelled(raw: str, kind: Kind, system: System) -> str:
    """Return a code with its dot and without the X that fills up three characters (I10X).

    Raises:
        ValueError: If its form is impossible.
    """
    code = dotted(raw, kind, system)
    if (system, kind) == ("icd10", "diagnosis") and re.fullmatch(r"[A-Z]\d[A-Z0-9]\.X", code):
        return code[:3]
    form = (_DIAGNOSIS if kind == "diagnosis" else _PROCEDURE)[system]
    if not form.fullmatch(code):
        raise ValueError(f"{raw!r} is not an {system} {kind} code")
    return code


def _hint(raw: str, system: System) -> str:
    """Return what may have happened to a code of an impossible form."""
    if re.fullmatch(r"\d+\.0", raw):
        return ". Programs write whole numbers so: read the original table with codes as strings"
    if system == "icd9" and re.fullmatch(r"\d{1,2}(\.\d+)?", raw):
        return ". If its leading zeros are lost, read the original table with codes as strings"
    return looks_like(raw, system)


def _of_another_system(counts: Mapping[str, int], system: System) -> str | None:
    """Return the problem if too many codes belong to another coding system."""
    other: System = "icd10" if system == "icd9" else "icd9"
    foreign = sorted(raw for raw in counts if _is_foreign(raw, system, other))
    if len(foreign) <= MOST_UNKNOWN * len(counts):
        return None
    examples = ", ".join(foreign[:_EXAMPLES])
    found = (
        f"has codes of {_EDITIONS[other]}: {len(foreign):,} of {len(counts):,} ({examples}), but "
        f"code_system is {system}"
    )
    if len(foreign) >= (1 - MOST_UNKNOWN) * len(counts):
        return f"{found}. Set code_system: {other}"
    return f"{found}. Keep only the codes of one system in the column"


def _is_foreign(raw: str, system: System, other: System) -> bool:
    kinds: tuple[Kind, Kind] = ("diagnosis", "procedure")
    if any(_may_be(raw, kind, system) for kind in kinds):
        return False
    if system == "icd9" and not raw[0].isalpha():
        return False  # ICD-10-PCS has such codes too, but so do tables of ICD-9 with errors
    return any(_may_be(raw, kind, other) for kind in kinds)


def _saved_as_numbers(counts: Mapping[str, int], system: System) -> str | None:
    """Return the problem if a program has read the codes of ICD-9 as numbers (486.0)."""
    if system != "icd9" or not counts or not all(re.fullmatch(r"\d+\.\d+", raw) for raw in counts):
        return None
    whole = sorted(
        raw
        for raw in counts
        if raw.endswith(".0")
        and not is_known(raw, "diagnosis", system)
        and not is_known(raw, "procedure", system)
    )
    if not whole:
        return None
    return (
        f"was saved as numbers: it has {', '.join(whole[:_EXAMPLES])}, which no code of ICD-9-CM "
        "is. Leading and final zeros are lost. Read the original table with codes as strings "
        "(pandas: dtype=str)"
    )


def _lost_zeros(counts: Mapping[str, int], kind: CodeKind, system: System) -> str | None:
    """Return the problem if a program has read the codes of ICD-9 as numbers (0066 as 66)."""
    if system != "icd9" or any(raw.startswith("0") for raw in counts):
        return None
    longest = max((len(raw) for raw in counts if raw.isdigit()), default=0)
    shortest = 2 if kind == "diagnosis" else 1
    short = sorted(raw for raw in counts if raw.isdigit() and len(raw) <= shortest)
    if kind == "procedure" and longest > _LEAST + 1:
        short = sorted(raw for raw in counts if raw.isdigit() and len(raw) <= _LEAST)
    if not short or kind == "both":
        return None
    return (
        f"has lost its leading zeros: no code begins with 0, and {', '.join(short[:_EXAMPLES])} "
        f"{'is' if len(short) == 1 else 'are'} too short. Read the original table with codes as "
        "strings (pandas: dtype=str)"
    )


def _too_many_unknown(unknown: Mapping[str, int], rows: Mapping[str, int], system: System) -> str:
    first = sorted(unknown, key=lambda code: (-unknown[code], code))[:_EXAMPLES]
    return (
        f"has {len(unknown):,} of {len(rows):,} codes "
        f"({100 * len(unknown) / len(rows):.0f} %) that aren't in the official tables of "
        f"{_EDITIONS[system]} ({', '.join(first)}).{most_look_like(unknown, system)} Check "
        "code_system and the column. Editions of other countries have such codes"
    )
