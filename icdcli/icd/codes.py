"""The written form of a code, so that one code has one spelling whatever table it comes from.

Raw tables leave the dot out, pad with blanks and mix cases. Raw diagnosis and procedure strings collide before the dot
is in (``0331``: whooping cough, or an incision of the lung), so every function here asks for, or guesses, the kind.
"""

import re
from typing import Literal

System = Literal["icd9", "icd10"]
Kind = Literal["diagnosis", "procedure"]

SYSTEMS: tuple[System, ...] = ("icd9", "icd10")
KINDS: tuple[Kind, ...] = ("diagnosis", "procedure")

# Characters before the dot (CMS's display format); an ICD-10-PCS code is seven characters in a row and has no dot.
_CHARACTERS_BEFORE_DOT: dict[tuple[str, str], int | None] = {
    ("icd9", "diagnosis"): 3,
    ("icd9", "procedure"): 2,
    ("icd10", "diagnosis"): 3,
    ("icd10", "procedure"): None,
}


def dotted(raw: str, kind: str, system: str) -> str:
    """Writes a code the way its coding system displays it.

    Args:
        raw: The code as found: with or without its dot, in any case, with blanks around it. Always a string: read as a
            number it has lost its leading zeros.
        kind: ``diagnosis`` or ``procedure``.
        system: ``icd9`` (ICD-9-CM) or ``icd10`` (ICD-10-CM for diagnoses, ICD-10-PCS for procedures).

    Returns:
        The code in upper case with its dot, which is left out where nothing would follow it: ``428.0``, ``E849.7``,
        ``36.15``, ``I10``, ``0BJ08ZZ``.

    Raises:
        ValueError: Empty, other characters than ASCII letters, digits and one dot, or a dot in another place than the
            kind and system have it, which says that the kind is wrong.
    """
    check_system(kind, system)
    code = raw.strip().upper()
    bare = code.replace(".", "", 1)
    if not bare:
        raise ValueError(f"an empty {system} {kind} code")
    if not re.fullmatch(r"[A-Z0-9]+", bare):
        raise ValueError(
            f"{raw!r} is no {system} {kind} code: a code has letters, digits and at most one dot"
        )
    before = _CHARACTERS_BEFORE_DOT[system, kind]
    if (system, kind) == ("icd9", "diagnosis") and bare.startswith("E"):
        before = 4
    result = f"{bare[:before]}.{bare[before:]}" if before and len(bare) > before else bare
    if "." in code.rstrip(".") and code != result:
        raise ValueError(f"{raw!r} is no {system} {kind} code: the dot would stand as in {result}")
    return result


def kind_of(code: str, system: str) -> Kind:
    """Guesses whether a dotted code is a diagnosis or a procedure, for sources that do not tell.

    It is a guess from the shape alone, right wherever the code is written in full with its dot. An ICD-9-CM code whose
    dot was left out (``4280``) counts as a diagnosis, although it may be a procedure.

    Args:
        code: The code, dotted where its system has a dot.
        system: ``icd9`` or ``icd10``.

    Returns:
        ``procedure`` for two digits before the dot (ICD-9-CM) or for a code that no ICD-10-CM code looks like: more than
        three characters without a dot, or a digit first (ICD-10-PCS, also cut short); else ``diagnosis``.

    Raises:
        ValueError: An unknown system.
    """
    check_system("diagnosis", system)
    code = code.strip().upper()
    if system == "icd9":
        return "procedure" if re.fullmatch(r"\d\d(\.\d*)?", code) else "diagnosis"
    return "procedure" if re.fullmatch(r"[A-Z0-9]{4,7}|\d[A-Z0-9]*", code) else "diagnosis"


def check_system(kind: str, system: str) -> None:
    """Raises a ValueError that names the choices where the kind of code or the coding system is unknown."""
    if (system, kind) not in _CHARACTERS_BEFORE_DOT:
        raise ValueError(
            f"no codes of kind {kind!r} in system {system!r}: the kinds are {KINDS}, the systems {SYSTEMS}"
        )
