"""The letters of ICD-10-GM behind a code: its certainty and its side (``M54.5 G``, ``M17.1VR``).

A letter that follows without a blank looks like a part of the code. It is none if the code without
it exists, and the codes of its category have no letter as their seventh character, as the injuries
of ICD-10-CM have (``S72.001A``).
"""

import re
from functools import cache

from icdcli.icd.titles import is_known, titles

CERTAINTY = {"V": "suspected", "A": "excluded", "Z": "status after"}  # G: confirmed
_LETTERS = r"[GVAZ][LRB]?|[LRB][GVAZ]?"  # sides: left, right, both
_WITH_LETTERS = re.compile(rf"([A-Z]\d\d(?:\.?\d{{1,2}})?)({_LETTERS})")
_COMPLETE = 7  # characters of the longest codes


def is_letters(token: str) -> bool:
    """Return whether a token is a certainty, a side or both."""
    return bool(re.fullmatch(_LETTERS, token.upper()))


def check_certainty(letters: str) -> None:
    """Raise an error unless the letters mean that the diagnosis is confirmed.

    Raises:
        ValueError: If it is suspected, excluded or past.
    """
    for letter in letters.upper():
        if letter in CERTAINTY:
            raise ValueError(
                f"has the certainty {letter} ({CERTAINTY[letter]}; ICD-10-GM) after a code. Keep "
                "only the codes that count, without the letters"
            )


def split_letters(raw: str) -> tuple[str, str]:
    """Return a code and the letters behind it, if it has any and doesn't exist with them."""
    found = _WITH_LETTERS.fullmatch(raw)
    if not found or any(is_known(raw, kind, "icd10") for kind in ("diagnosis", "procedure")):
        return raw, ""
    return found[1], found[2]


def surely_has_letters(raw: str) -> bool:
    """Return whether the last letters of a code can't be a part of it."""
    code, letters = split_letters(raw)
    return (
        bool(letters)
        and is_known(code, "diagnosis", "icd10")
        and (code[:3] not in _with_last_letters() or letters[0] in "VZ")
    )


@cache
def _with_last_letters() -> frozenset[str]:
    """Return the categories of ICD-10-CM whose seventh character can be a letter."""
    bare = (code.replace(".", "") for code in titles("icd10", "diagnosis"))
    return frozenset(code[:3] for code in bare if len(code) == _COMPLETE and code[-1].isalpha())
