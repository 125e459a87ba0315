"""The codes that mean a history: that a relative has a disease, or that the patient once had one.

Notes word them like the disease itself, after "family history of" or "history of". So what a note
says of relatives and of the past is evidence of these codes, and of no others.
"""

from typing import Literal

from icdcli.icd.codes import check_system
from icdcli.icd.titles import title_of

History = Literal["family", "personal"]

_CATEGORIES: dict[str, dict[str, History]] = {
    "icd9": {
        **dict.fromkeys(("V16", "V17", "V18", "V19"), "family"),
        **dict.fromkeys(("V10", "V11", "V12", "V13", "V15"), "personal"),
    },
    "icd10": {
        **dict.fromkeys(("Z80", "Z81", "Z82", "Z83", "Z84"), "family"),
        **dict.fromkeys(("Z85", "Z86", "Z87"), "personal"),
    },
}
_TITLES: dict[str, History] = {"family history of": "family", "personal history of": "personal"}
# They have the wording of the others, but their evidence is a list of allergies.
_ALLERGIES = ("V14", "V15.0")


def history_of(code: str, kind: str, system: str) -> History | None:
    """Return the history that a code means.

    Args:
        code: The dotted code.
        kind: ``diagnosis`` or ``procedure``.
        system: ``icd9`` or ``icd10``.

    Returns:
        ``family`` for a disease of relatives (``Z80.0``, ``V16.0``), ``personal`` for one that the
        patient once had (``Z85.3``, ``V10.3``); None for all other codes.

    Raises:
        ValueError: If the system or kind is unknown.
    """
    check_system(kind, system)
    if kind != "diagnosis" or code[:1] not in ("V", "Z"):
        return None
    if system == "icd9" and code.startswith(_ALLERGIES):
        return None
    if (found := _CATEGORIES[system].get(code[:3])) is not None:
        return found
    title = (title_of(code, kind, system) or "").lower()
    return next((history for words, history in _TITLES.items() if words in title), None)
