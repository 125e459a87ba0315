"""Puts a plain list of codes in order below chapters, blocks and categories.

Official lists of codes, and most lists of a hospital, have no structure but the codes themselves:
``E11.9`` is below ``E11``. ICD-9-CM, ICD-10-CM and ICD-10-PCS also have chapters and blocks
(`icdcli.icd.hierarchy`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from icdcli.icd.codes import Kind, System, dotted
from icdcli.icd.editions.edition import Entry, Level, NoteKind
from icdcli.icd.hierarchy import Group, block_of, chapter_of

_NO_NOTES: Mapping[str, Mapping[NoteKind, Sequence[str]]] = {}
# Characters of a category; one more for ICD-9-CM codes with E.
_CATEGORY = {
    ("icd9", "diagnosis"): 3,
    ("icd9", "procedure"): 2,
    ("icd10", "diagnosis"): 3,
    ("icd10", "procedure"): 3,
}


def nested(titles: Mapping[str, str], kind: Kind, system: System) -> Iterator[Entry]:
    """Yield the codes of ICD below their chapters, blocks and categories.

    Args:
        titles: Dotted code to title. All codes without another one below them can be assigned.
        kind: The kind of the codes.
        system: Their coding system.

    Yields:
        The entries in the order of the chapters, blocks and codes. Categories that the list lacks
        have no title.
    """
    by_group: dict[tuple[Group | None, Group | None], list[str]] = {}
    for code in titles:
        group = chapter_of(code, kind, system), block_of(code, kind, system)
        by_group.setdefault(group, []).append(code)
    above: str | None = None
    chapter: Group | None = None
    for (of, block), codes in by_group.items():
        if of is not None and of != chapter:
            above = f"Chapter {of.id}"
            yield Entry(above, of.title, "chapter", None, False)
        chapter = of
        parent = above if of is not None else None
        if block is not None and block != of and not _is_category(block, kind, system):
            yield Entry(block.id, block.title, "block", parent, False)
            parent = block.id
        yield from _below(codes, titles, parent, block, kind, system)


def nested_by_prefix(
    titles: Mapping[str, str],
    parents: Mapping[str, str],
    notes: Mapping[str, Mapping[NoteKind, Sequence[str]]] = _NO_NOTES,
) -> Iterator[Entry]:
    """Yield codes of any system below the ones that a table names, or that they begin with.

    Args:
        titles: Code to title, in the order of the list.
        parents: Code to the code above it; codes that aren't in it are below the longest other
            code that they begin with, dots and signs aside.
        notes: What the list says about a code.

    Yields:
        The entries, each after its parent. Codes without another one below them can be assigned.
    """
    bare = {"".join(filter(str.isalnum, code)): code for code in reversed(list(titles))}
    above: dict[str, str | None] = {}
    for code in titles:
        found = parents.get(code)
        own = "".join(filter(str.isalnum, code))
        if found is None:
            prefixes = (own[:length] for length in range(len(own) - 1, 0, -1))
            found = next((bare[prefix] for prefix in prefixes if prefix in bare), None)
        above[code] = found if found != code else None
    below: dict[str | None, list[str]] = {}
    for code, parent in above.items():
        below.setdefault(parent, []).append(code)
    # Depth first without recursion; what is in a circle isn't below the top.
    waiting = list(reversed(below.get(None, [])))
    while waiting:
        code = waiting.pop()
        children = below.get(code, [])
        yield Entry(code, titles[code], "code", above[code], not children, notes.get(code, {}))
        waiting += reversed(children)


def _below(
    codes: Iterable[str],
    titles: Mapping[str, str],
    parent: str | None,
    block: Group | None,
    kind: Kind,
    system: System,
) -> Iterator[Entry]:
    ordered = sorted((code.replace(".", ""), code) for code in codes)
    opened: list[tuple[str, str]] = []
    known: set[str] = set()
    for place, (bare, code) in enumerate(ordered):
        shortest = _CATEGORY[system, kind] + _longer(bare, kind, system)
        missing = bare[:shortest]
        if missing not in known and len(bare) > shortest:
            category = dotted(missing, kind, system)
            if category not in titles:
                known.add(missing)
                title = block.title if block is not None and block.id == category else ""
                yield Entry(category, title, "category", parent, False)
                opened = [(missing, category)]
        while opened and not bare.startswith(opened[-1][0]):
            opened.pop()
        following = ordered[place + 1][0] if place + 1 < len(ordered) else ""
        above = opened[-1][1] if opened else parent
        level: Level = "category" if len(bare) == shortest else "code"
        yield Entry(code, titles[code], level, above, not following.startswith(bare))
        known.add(bare)
        opened.append((bare, code))


def _longer(bare: str, kind: Kind, system: System) -> int:
    return (system, kind, bare[:1]) == ("icd9", "diagnosis", "E")


def _is_category(block: Group, kind: Kind, system: System) -> bool:
    """Return whether a block is one category, which has a row of its own."""
    return "-" not in block.id and len(block.id) >= _CATEGORY[system, kind]
