"""Codes in one cell of a table, as people and programs write them.

A cell may be a list, a list that Python or numpy printed, or a text of codes with or without their
descriptions. A cell that can be read in one way only is read; any other is refused. Messages never
quote words, which may be text of a note.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from icdcli.icd.codes import KINDS, System
from icdcli.icd.gm_letters import check_certainty, is_letters
from icdcli.icd.listed_cells import ListedCodes
from icdcli.icd.other_codes import is_morphology, looks_like, names_catalog, range_in
from icdcli.icd.titles import is_known

# PostgreSQL and MySQL write \N for null.
MISSING = frozenset(("nan", "none", "null", "na", "n/a", "<na>", "nat", "#n/a", r"\n"))
"""What programs write for a missing value, in lower case."""
_EMPTY = MISSING | {""}
_SIGNS = frozenset(("-", "--", "---", ".", "?", "0", "0.0"))
_NO_CODE = _EMPTY.union(
    _SIGNS, ("n.a.", "nil", "unknown", "unk", "missing", "invl", "invalid", "no code", "not coded")
)
_LISTED = re.compile(
    r"(?:(?:array|Index|Series|set|frozenset|list|tuple)\(\s*)?[\[({](?P<inside>.*?)[\])}]"
    r"\s*(?:,\s*dtype=[^()]*)?\)?",
    re.DOTALL,
)
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?(e[-+]?\d+)?", re.IGNORECASE)
_UNQUOTED = re.compile(r"\w[\w.+*/-]{0,19}")
_LONGEST = 12  # characters of a value in a message, and of what may be a code

# What may be meant as a code: it has a digit among the first three characters.
_CODE_LIKE = re.compile(r"[A-Z]{0,2}\d[A-Z0-9]*(\.[A-Z0-9]*)?")
_SHORTEST = 2
_AMOUNT = re.compile(r"\d[\d.]*(-\d[\d.]*)?%?")  # as the last words of a description
_REMEMBERED = 1 << 16  # tokens; a table repeats its codes
_DECIMAL_COMMA = {
    "icd9": re.compile(r"(?<![\w.])(\d{3}|V\d\d|E\d{3}),(\d{1,2})(?![\w.])", re.IGNORECASE),
    "icd10": re.compile(r"(?<![\w.])([A-Z]\d[A-Z0-9]),(\d{1,2})(?![\w.])", re.IGNORECASE),
}
_BROKEN_DOT = {
    "icd9": re.compile(r"(?<![\w.])(\d{3}|V\d\d|E\d{3})\.[ \t]+(\d{1,2})(?![\w.])", re.IGNORECASE),
    "icd10": re.compile(r"(?<![\w.])([A-Z]\d[A-Z0-9])\.[ \t]+(\d{1,4})(?![\w.])", re.IGNORECASE),
}
_NUMBERED = re.compile(r"(?:(?<=\s)|(?<=;)|^)(\d{1,2})[.)]\s+(?=[A-Z0-9])", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"(?P<words>.+)\((?P<code>[^()\s]+)\)\.?")
_MARKS = "+*!†‡#"  # ICD-10: dagger, asterisk, and the optional codes of ICD-10-GM
# Characters that nobody sees, and those that other scripts and word processors write for ASCII.
_INVISIBLE = dict.fromkeys(
    [0xAD, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A)]
)
_AS_ASCII = (
    _INVISIBLE
    | {place: place - 0xFEE0 for place in range(0xFF01, 0xFF5F)}
    | dict(zip(map(ord, "、、•·‧‐‑−“”„‘’‚"), ",,;..---\"\"\"'''", strict=True))
)
_QUOTES = re.compile(r"(?<![\w.])=?([\"'`])\s*([\w.+*†!-]+)\s*\1(?![\w.])|^'(?=\w)")
_SYSTEM_NAME = re.compile(
    r"(?<![\w.])icd[-_ ]?(9|10|11)(?:[-_ ]?(?:cm|pcs|gm|who|am))?\s*[:_/ -]\s*(?=[A-Z]?\d)",
    re.IGNORECASE,
)
_JOINED = re.compile(r"(?<=\w)\s*([+†])\s*(?=[A-Z]\d)", re.IGNORECASE)  # A17.0+G01*
_DOTTED = re.compile(r"[A-Z]\d\d\.\d{1,4}\W?", re.IGNORECASE)
_BROKEN = re.compile(r"[A-Z]?\d[A-Z0-9]\d?\s+\.?\d{1,2}", re.IGNORECASE)  # E11 9


def cell_codes(value: Any, system: System | None, listed: ListedCodes | None = None) -> list[str]:
    """Return the codes of one cell, as they are written there.

    Args:
        value: A list of strings, a string, or a value for an empty cell: None or a NaN.
        system: The coding system; None: any string may be a code, and a text is only divided at
            ``;``, ``,``, ``|`` and blanks.
        listed: The list of a system without rules of its own, which decides what a code is.

    Returns:
        The codes in the cell's order, in upper case if the system is known. Words for a missing
        value (``nan``, ``NULL``, ``unknown`` …) are left out.

    Raises:
        ValueError: If the cell can't be read in one way only; the message is the end of a sentence
            that names the row and the column.
    """
    if value is None or (isinstance(value, float) and value != value):
        return []
    elements = value if isinstance(value, list | tuple) else [value]
    if not all(is_unicode(element) for element in elements if isinstance(element, str)):
        raise ValueError("isn't valid Unicode. Write it again as UTF-8")
    if isinstance(value, list | tuple):
        return [code for element in value for code in _element(element, system, listed)]
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(
            f"is {type(value).__name__} {value}, and whether the code had more zeros can't be "
            "known: 250.0 may have been 250.00, and 31 0031. Store codes as text"
        )
    if not isinstance(value, str):
        raise ValueError(
            f"is {type(value).__name__}. Write a list of strings, or one string separated by ; or ,"
        )
    text = _as_ascii(value, system).strip()
    if _is_missing(text, system):
        return []
    printed = _LISTED.fullmatch(text) if listed is None or listed.find(text) is None else None
    if printed:
        inside = _inside(printed["inside"])
        return [code for part in inside for code in _element(part, system, listed)]
    if text.startswith("[") and (listed is None or listed.find(text) is None):
        raise ValueError(f"{shown(text)} begins like a list, but isn't one")
    if listed is not None:
        found = listed.read(text)
        return [code for code in found if listed.find(code) or not _is_missing(code, system)]
    if system is None:
        parts = re.split(r"[;,|\s]+", text)
        return [part for part in parts if not _is_missing(part, system)]
    return list(_of_text(text, system))


def is_unicode(text: str) -> bool:
    """Return whether a text can be written as UTF-8: JSON may have half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(value: str) -> str:
    """Return a value for a message if it is short and has a digit; else only its length."""
    text = value.strip()
    if len(text) <= _LONGEST and re.search(r"\d", text) and not re.search(r"\s", text):
        return repr(text)
    return f"a value of {len(text):,} characters"


def _is_missing(text: str, system: System | None) -> bool:
    return text.strip().lower() in (_EMPTY if system is None else _NO_CODE)


def _element(element: Any, system: System | None, listed: ListedCodes | None) -> Iterator[str]:
    """Yield the codes of one element of a list."""
    if element is None or (isinstance(element, float) and element != element):
        return
    if isinstance(element, Mapping) and isinstance(element.get("code"), str):
        element = element["code"]  # ACI-BENCH: a code with its description
    if not isinstance(element, str):
        is_number = isinstance(element, int | float)
        raise ValueError(
            f"has {element if is_number else 'a ' + type(element).__name__}. Write codes as "
            "strings, since numbers lose their zeros"
        )
    text = _as_ascii(element, system).strip()
    if _is_missing(text, system):
        return
    if listed is not None:
        yield from listed.read(text, several=False)
    elif system is None:
        yield text
    else:
        yield from _of_text(text, system)


def _as_ascii(text: str, system: System | None) -> str:
    """Return a text without invisible characters, and with ASCII's signs if codes have them."""
    if text.isascii():
        return text
    return text.translate(_INVISIBLE if system is None else _AS_ASCII)


def _inside(inside: str) -> list[str]:
    """Return the elements of a list that a program printed, with or without commas and quotes."""
    quoted = [one or other for one, other in _QUOTED.findall(inside)]
    rest = _QUOTED.sub(" ", inside)
    if "..." in rest:
        raise ValueError("is a list that numpy shortened with '...'. Save the complete list")
    if re.search(r"[\[\]{}()'\"]", rest):
        raise ValueError("is not a list of codes. Write a list of strings")
    bare = [part for part in re.split(r"[,\s]+", rest) if not _is_missing(part, None)]
    if not quoted and not all(_UNQUOTED.fullmatch(part) for part in bare):
        raise ValueError("is not a list of codes. Write a list of strings")
    numbers = [part for part in bare if _NUMBER.fullmatch(part)]
    if bare and (quoted or len(numbers) == len(bare)):
        raise ValueError(
            f"has {shown(bare[0])} without quotes. Write codes as strings, since numbers lose "
            "their zeros"
        )
    return quoted or bare


def _of_text(text: str, system: System) -> Iterator[str]:
    """Yield the codes of a text, with or without descriptions."""
    parts = [part.strip() for part in text.replace("|", ";").split(";")]
    if all(_is_code(part, system) for part in parts):  # the usual case
        yield from (_plain(part, system) for part in parts)
        return
    text = _QUOTES.sub(r"\2", _without_names(_without_numbers(text), system))
    text = _JOINED.sub(r"\1 ", text)
    text = _BROKEN_DOT[system].sub(r"\1.\2", text)
    text = _DECIMAL_COMMA[system].sub(lambda found: _with_dot(found, system), text)
    for entry in re.split(r"[;|\r\n\t]+", text):
        if not _is_missing(entry, system):
            yield from _of_entry(entry.strip(), system)


def _with_dot(found: re.Match[str], system: System) -> str:
    """Return a code with a decimal comma as one with a dot, unless it may be two codes."""
    code = f"{found[1]}.{found[2]}"
    one = system == "icd10" or len(found[2]) == 1 or is_known(code.upper(), "diagnosis", system)
    return code if one else found[0]


def _without_numbers(text: str) -> str:
    """Return a numbered list without its numbers: ``1. I10 2. E11.9``."""
    numbers = [int(number) for number in _NUMBERED.findall(text)]
    return _NUMBERED.sub("", text) if numbers == list(range(1, len(numbers) + 1)) else text


def _without_names(text: str, system: System) -> str:
    """Return a text without the names of the coding system before its codes: ``ICD-10: I10``."""
    for number in _SYSTEM_NAME.findall(text):
        if f"icd{number}" != system:
            raise ValueError(
                f"names ICD-{number}, but code_system is {system}. Keep only codes of one system "
                "in the column"
            )
    return _SYSTEM_NAME.sub("", text)


def _of_entry(entry: str, system: System) -> Iterator[str]:
    """Yield the codes of a part of a cell: only codes, or codes before their descriptions."""
    bracketed = _IN_BRACKETS.fullmatch(entry)
    if bracketed and not _is_code(bracketed["words"].split()[0], system):
        words, code = bracketed["words"].split(), bracketed["code"]
        if _is_code(code, system) and not any(_is_familiar(word, system) for word in words):
            yield _plain(code, system)
            return
    _refuse_unclear(entry, system)
    tokens = [token for token in re.split(r"[,\s]+", entry) if not _is_missing(token, system)]
    if system == "icd10":
        tokens = list(_without_letters(tokens))
    if all(_is_code(token, system) for token in tokens):
        yield from (_plain(token, system) for token in tokens)
        return
    if len(tokens) == 1 or names_catalog(tokens[0]):
        refused = tokens[0] if len(tokens) == 1 else entry
        raise ValueError(
            f"{shown(refused)} is not an {system} code: a code has letters, digits and at most "
            f"one dot{looks_like(refused, system)}"
        )
    pieces = [piece.split() for piece in re.split(r",(?!\d)", entry) if piece.strip()]
    for place, piece in enumerate(pieces):
        starts = _is_code(piece[0], system) and (place == 0 or _is_certain(piece[0], system))
        words = [word for word in piece[starts:] if word not in ("-", "–", ":")]
        strange = [word for word in words if _may_have_code(word, system)]
        if len(piece) == 1 and not starts and not _AMOUNT.fullmatch(piece[0]):
            strange = [word for word in words if re.search(r"\d", word)] or strange
        if strange or (place == 0 and not starts):
            raise ValueError(
                f"{shown(strange[0] if strange else piece[0])} is among words, so what is a code "
                "isn't clear. Write only codes, separated by ;"
            )
        if starts:
            yield _plain(piece[0], system)


def _may_have_code(word: str, system: System) -> bool:
    """Return whether a word of a description is, has, or may be a code of its own."""
    if _is_familiar(word, system) or is_morphology(word) or _DOTTED.fullmatch(word):
        return True
    parts = re.split(r"[^\w.]+", word)
    return len(parts) > 1 and any(
        part[:1].isalpha() and _is_certain(part, system) for part in parts
    )


def _refuse_unclear(entry: str, system: System) -> None:
    """Raise an error if an entry has a range of codes, or a code that a blank has divided.

    Raises:
        ValueError: If it has.
    """
    if any(range_in(piece.strip()) for piece in entry.split(",")):
        raise ValueError(
            f"{shown(entry)} looks like a range of codes. Write each code of the range"
        )
    if _BROKEN.fullmatch(entry) and not all(_is_code(part, system) for part in entry.split()):
        raise ValueError(
            f"{shown(entry)} has a blank inside of a code, or a number after one. "
            "Write only codes, separated by ;"
        )


def _without_letters(tokens: list[str]) -> Iterator[str]:
    """Yield tokens without the letters of ICD-10-GM that follow a code; G means confirmed."""
    after_code = False
    for token in tokens:
        if after_code and is_letters(token):
            check_certainty(token)
        else:
            yield token
            after_code = _is_code(token, "icd10")


@lru_cache(_REMEMBERED)
def _plain(token: str, system: System) -> str:
    """Return a code without the signs around it."""
    code = token.upper().rstrip(":,").removesuffix("..").strip("()")
    if code.count(".") > 1:
        code = code.removesuffix(".")
    if system == "icd10":
        code = re.sub(r"\.?-$", "", code.rstrip(_MARKS))
    return code


@lru_cache(_REMEMBERED)
def _is_code(token: str, system: System) -> bool:
    """Return whether a token may be meant as a code."""
    code = _plain(token, system)
    if not _SHORTEST <= len(code) <= _LONGEST:
        return False
    return bool(_CODE_LIKE.fullmatch(code)) or _is_familiar(code, system)


def _is_certain(token: str, system: System) -> bool:
    """Return whether a token among words can't be a number, as in 500 mg."""
    code = _plain(token, system)
    return _is_familiar(code, system) and ("." in code or not code.isdigit())


def _is_familiar(token: str, system: System) -> bool:
    """Return whether a word of a description is, or may be, a code of its own."""
    code = _plain(token.strip("().,"), system)
    # Shorter ones are the two-digit categories of ICD-9-CM procedures, and numbers in descriptions.
    if len(code.replace(".", "")) <= _SHORTEST:
        return False
    return any(is_known(code, kind, system) for kind in KINDS)
