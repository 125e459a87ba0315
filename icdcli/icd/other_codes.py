"""What a value looks like that is no code of ICD, for the messages that refuse it."""

import re
from collections.abc import Iterable

from icdcli.icd.codes import System

_AS_TEXT = "Read the original table with codes as text"
_CODE = r"[A-Z]?\d[A-Z0-9]*(?:\.[A-Z0-9]+)?"
_RANGE = re.compile(
    rf"({_CODE})\s*(?:[-–—]|\bto\b|\bthrough\b|\bthru\b|\bbis\b)\s*({_CODE})(?![\w./])",
    re.IGNORECASE,
)
_LEAST = 3  # characters of a code in a range, without its dot
_DATE = re.compile(
    r"\d{1,2}-[A-Z]{3}(-\d{2,4})?|[A-Z]{3}-\d{2,4}|\d{4}-\d\d-\d\d([T ].*)?|"
    r"\d{1,2}[/.]\d{1,2}[/.]\d{2,4}",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+(\.\d+)?E[-+]?\d+", re.IGNORECASE)
_MORPHOLOGY = re.compile(r"M?-?\d{4}/\d{1,2}", re.IGNORECASE)
_SHAPES = (
    ("a morphology code of ICD-O", _MORPHOLOGY),
    ("a code of LOINC", re.compile(r"\d{1,7}-\d")),
    ("a code of SNOMED CT", re.compile(r"\d{6,18}")),
    ("a code of CPT", re.compile(r"\d{5}|\d{4}[FTU]")),
    ("a code of HCPCS", re.compile(r"[A-CEGHJ-MP-V]\d{4}")),
    ("a code of ICD-11", re.compile(r"[0-9A-HJ-NP-Z][A-HJ-NP-Z]\d[0-9A-Z](\.[0-9A-Z]{1,2})?")),
)
_CATALOGS = re.compile(
    r"(?:(?:MS|APR|AP|G|R)-?)?DRG|CPT-?4?|HCPCS|SNOMED(?:-?CT)?|SCTID|LOINC|OPS|ICD-?O(?:-?3)?|"
    r"ICPC-?2?|RXNORM|ATC",
    re.IGNORECASE,
)


def range_in(text: str) -> bool:
    """Return whether a text begins with a range of codes, such as ``E11-E14``."""
    found = _RANGE.match(text)
    if not found:
        return False
    if found.end() < len(text) and re.fullmatch(r"[\d –—-]+", found[0]):
        return False  # 500-749 grams
    codes = [code.replace(".", "") for code in found.groups()]
    return min(map(len, codes)) >= _LEAST and codes[0][0].isdigit() == codes[1][0].isdigit()


def is_morphology(word: str) -> bool:
    """Return whether a word is a morphology code of ICD-O, such as ``8140/3``."""
    return bool(_MORPHOLOGY.fullmatch(word))


def names_catalog(word: str) -> bool:
    """Return whether a word is the name of another catalog of codes, such as ``DRG``."""
    return bool(_CATALOGS.fullmatch(word.rstrip(":")))


def looks_like(value: str, system: System) -> str:
    """Return the end of a message about a value that is no code: what it may be; or nothing."""
    value = value.strip()
    if range_in(value):
        return ". It looks like a range. Write each code of the range"
    if _DATE.fullmatch(value):
        return f". A spreadsheet may have made a date of the code. {_AS_TEXT}"
    if _NUMBER.fullmatch(value):
        return f". A program may have made a number of the code. {_AS_TEXT}"
    if names_catalog(value.split()[0]):
        return ". Keep only codes of ICD in the column"
    shape = _shape(value, system)
    return f". It looks like {shape}. Keep only codes of ICD in the column" if shape else ""


def most_look_like(codes: Iterable[str], system: System) -> str:
    """Return what most of some codes without a title look like, as a sentence; or nothing."""
    codes = list(codes)
    shapes = [_shape(code.replace(".", ""), system) for code in codes]
    for name in ("a code of CPT", "a code of SNOMED CT", "a code of ICD-11"):
        if shapes.count(name) > len(codes) / 2:
            return f" Most of them look like codes of {name.removeprefix('a code of ')}."
    return ""


def _shape(value: str, system: System) -> str:
    value = value.upper()
    if _NUMBER.fullmatch(value) or (system == "icd9" and re.fullmatch(r"[EV]\d{2,4}", value)):
        return ""
    return next((name for name, pattern in _SHAPES if pattern.fullmatch(value)), "")
