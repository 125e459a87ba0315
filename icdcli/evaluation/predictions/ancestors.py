"""The nodes above a code, for hierarchical measures: chapter, block, category and what is below.

They depend on the written form of a code and the official ranges, so that retired and invented
codes have them, too. Below the category there is a level for each further character; of ICD-10-CM
those that the edition has count: above S02.0XXA there is S02.0, but no S02.0X. The levels of
ICD-10-PCS are its axes. Of a system without rules of its own (KCD, ICD-10-GM) it is what its
edition says.
"""

from collections.abc import Iterator, Sequence

from icdcli.icd.code_system import CodeSystem
from icdcli.icd.codes import System, dotted
from icdcli.icd.hierarchy import block_of, chapter_of
from icdcli.metrics.arrays import Booleans
from icdcli.metrics.hierarchical import HierarchicalCounts, hierarchical_counts

Node = tuple[str, str]

LEVELS_OF_CODES = (
    "chapter",
    "block",
    "category",
    *(f"category and {number} more" for number in range(1, 5)),
)
_DEPTHS = tuple(f"level {number}" for number in range(1, 13))
_CATEGORY = {("icd9", "procedure"): 2}


def hierarchical_counts_of(
    gold_NL: Booleans,
    predicted_NL: Booleans,
    codes: Sequence[str],
    kinds: Sequence[str],
    system: CodeSystem,
) -> HierarchicalCounts:
    """Count the nodes of each document that are right, predicted and gold.

    Args:
        gold_NL: The gold codes.
        predicted_NL: The predicted codes.
        codes: The code of each label.
        kinds: Its kind.
        system: The coding system.
    """
    paths = paths_of(codes, kinds, system)
    return hierarchical_counts(gold_NL, predicted_NL, paths, levels_of(system))


def levels_of(system: CodeSystem) -> tuple[str, ...]:
    """Return the names of the levels of a system, from the top."""
    return LEVELS_OF_CODES if system.shape is not None else _DEPTHS


def paths_of(
    codes: Sequence[str], kinds: Sequence[str], system: CodeSystem
) -> list[tuple[Node, ...]]:
    """Return the nodes of each code from the top down to itself.

    Args:
        codes: Codes as their system spells them.
        kinds: Their kinds.
        system: The coding system.
    """
    return [
        tuple(
            _by_rules(code, kind, system.shape, system)
            if system.shape is not None
            else _by_edition(code, kind, system)
        )
        for code, kind in zip(codes, kinds, strict=True)
    ]


def _by_rules(code: str, kind: str, shape: System, system: CodeSystem) -> Iterator[Node]:
    plain = code.replace(".", "")
    width = _CATEGORY.get((shape, kind), 3)
    if (shape, kind) == ("icd9", "diagnosis") and plain.startswith("E"):
        width = 4
    seen = {plain[:width]}  # the only block of some categories is the category itself
    for level, group in (
        ("chapter", chapter_of(code, kind, shape)),
        ("block", block_of(code, kind, shape)),
    ):
        if group is not None and group.id not in seen:
            yield level, f"{kind} {group.id}"
            seen.add(group.id)
    edition = system.edition(kind) if (shape, kind) == ("icd10", "diagnosis") else None
    for end in range(min(width, len(plain)), len(plain) + 1):
        try:
            node = dotted(plain[:end], kind, shape)
        except ValueError:
            continue
        if end in (width, len(plain)) or edition is None or edition.row(node) is not None:
            level = LEVELS_OF_CODES[min(2 + max(0, end - width), len(LEVELS_OF_CODES) - 1)]
            yield level, code if end == len(plain) else node


def _by_edition(code: str, kind: str, system: CodeSystem) -> Iterator[Node]:
    edition = system.edition(kind)
    row = edition.spelled(code) if edition is not None else None
    names = [code]
    if edition is not None and row is not None:
        names += [edition.codes[place] for place in edition.above(row)]
    for depth, name in enumerate(reversed(names)):
        yield _DEPTHS[min(depth, len(_DEPTHS) - 1)], name
