"""The written form of a code, so that a code has the same spelling in every table.

Raw tables omit the dot, pad with blanks and mix upper and lower case. Without the dot, diagnosis
and procedure codes collide (``0331`` is whooping cough or an incision of the lung), so every
function here takes the kind, or guesses it.
"""

import re
from typing import Literal

System = Literal["icd9", "icd10"]
Kind = Literal["diagnosis", "procedure"]

SYSTEMS: tuple[System, ...] = ("icd9", "icd10")
KINDS: tuple[Kind, ...] = ("diagnosis", "procedure")

_ICD = re.compile(r"^icd[-_ ]?(9|10|11)(?:[-_ ]?([a-z]{2,3}))?(?=-|$)")

# Characters before the dot (CMS's display format). An ICD-10-PCS code has seven characters and no
# dot.
_CHARACTERS_BEFORE_DOT: dict[tuple[str, str], int | None] = {
    ("icd9", "diagnosis"): 3,
    ("icd9", "procedure"): 2,
    ("icd10", "diagnosis"): 3,
    ("icd10", "procedure"): None,
}


def system_name(written: str) -> str:
    """Return the name of a coding system or edition in the spelling of editions.

    ``ICD-10-CM`` is ``icd10cm``, and ``ICD10CM-2026`` is ``icd10cm-2026``; names that don't begin
    with ICD are only written in small letters.
    """
    name = written.strip().lower()
    return _ICD.sub(lambda found: f"icd{found[1]}{found[2] or ''}", name)


def dotted(raw: str, kind: str, system: str) -> str:
    """Return a code as its coding system writes it.

    Args:
        raw: The code as found: with or without its dot, in upper or lower case, with blanks around
            it. It must be a string, since a number has lost its leading zeros.
        kind: ``diagnosis`` or ``procedure``.
        system: ``icd9`` (ICD-9-CM) or ``icd10`` (ICD-10-CM for diagnoses, ICD-10-PCS for
            procedures).

    Returns:
        The code in upper case with its dot, which is omitted if nothing follows it: ``428.0``,
        ``E849.7``, ``36.15``, ``I10``, ``0BJ08ZZ``.

    Raises:
        ValueError: If the code is empty, has characters other than ASCII letters, digits and one
            dot, or if its dot isn't at the position of this kind and system, which means that the
            kind is wrong.
    """
    check_system(kind, system)
    code = raw.strip().upper()
    bare = code.replace(".", "", 1)
    if not bare:
        raise ValueError(f"an empty {system} {kind} code")
    if not (bare.isascii() and bare.isalnum()):
        raise ValueError(
            f"{raw!r} is not an {system} {kind} code: a code has letters, digits and at most one "
            "dot"
        )
    before = _CHARACTERS_BEFORE_DOT[system, kind]
    if (system, kind) == ("icd9", "diagnosis") and bare.startswith("E"):
        before = 4
    result = f"{bare[:before]}.{bare[before:]}" if before and len(bare) > before else bare
    if "." in code.rstrip(".") and code != result:
        raise ValueError(f"{raw!r} is not an {system} {kind} code: its dot would be as in {result}")
    return result


def without_placeholders(code: str) -> str:
    """Return an ICD-10-CM code without the placeholders (X) at its end.

    Placeholders fill the places before a seventh character. Data without seventh characters may
    still have them: ``S02.5XX`` means S02.5, and ``W57.XXX`` W57.
    """
    return code.rstrip("X").rstrip(".")


def kind_of(code: str, system: str) -> Kind:
    """Guess whether a code is a diagnosis or a procedure, for sources that don't have the kind.

    The guess uses only the shape. It is right if the code is complete and has its dot. An ICD-9-CM
    code without its dot (``4280``) counts as a diagnosis, although it may be a procedure.

    Args:
        code: The code, with its dot if its system has one.
        system: ``icd9`` or ``icd10``.

    Returns:
        ``procedure`` for two digits before the dot (ICD-9-CM) and for a code that can't be
        ICD-10-CM: more than three characters without a dot, or a digit first (ICD-10-PCS, also
        truncated). Else ``diagnosis``.

    Raises:
        ValueError: If the system is unknown.
    """
    check_system("diagnosis", system)
    code = code.strip().upper()
    if system == "icd9":
        return "procedure" if re.fullmatch(r"\d\d(\.\d*)?", code) else "diagnosis"
    return "procedure" if re.fullmatch(r"[A-Z0-9]{4,7}|\d[A-Z0-9]*", code) else "diagnosis"


def check_system(kind: str, system: str) -> None:
    """Raise a `ValueError` that lists the choices if the kind or the coding system is unknown."""
    if (system, kind) not in _CHARACTERS_BEFORE_DOT:
        raise ValueError(
            f"no codes of kind {kind!r} in system {system!r}. The kinds are {KINDS}, the systems "
            f"{SYSTEMS}"
        )
