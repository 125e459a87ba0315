"""The counts of the papers' corpora, which a corpus is compared with.

A score can be compared with a published one only on the same documents and labels. The counts are
those of Mullenbach et al. 2018 and Edin et al. 2023, with codes read as strings (8,929 labels) or
as the former read them (8,921). On later releases of MIMIC-IV, the scripts of Edin et al. give
other labels; issue 17 of their repository reports them. The rows of MIMIC-IV's tables are those of
MIT's validation scripts.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_MIMIC3_ROWS = {"NOTEEVENTS": 2_083_180, "DIAGNOSES_ICD": 651_047, "PROCEDURES_ICD": 240_095}
_NOTES = {"discharge": 331_793}
_MIMIC4_ROWS = _NOTES | {"diagnoses_icd": 4_756_326}
# Of MIMIC-IV-Note there is one release, which goes with all of these.
_LATER_ROWS = {
    "MIMIC-IV v3.0": _NOTES | {"diagnoses_icd": 6_364_520},
    "MIMIC-IV v3.1": _NOTES | {"diagnoses_icd": 6_364_488},
}


@dataclass(frozen=True)
class Published:
    """A benchmark as published.

    Attributes:
        release: The data set's release.
        rows: The rows of its raw tables, which identify the release.
        documents: The documents of train, validation and test; None: unknown.
        labels: The number of labels; None if no paper has it.
    """

    release: str
    rows: Mapping[str, int]
    documents: tuple[int, int, int] | None
    labels: int | None


PUBLISHED: Mapping[str, Published] = {
    "mimic3-full": Published("MIMIC-III v1.4", _MIMIC3_ROWS, (47_719, 1_631, 3_372), 8_929),
    "mimic3-full-caml": Published("MIMIC-III v1.4", _MIMIC3_ROWS, (47_719, 1_631, 3_372), 8_921),
    "mimic3-50": Published("MIMIC-III v1.4", _MIMIC3_ROWS, (8_066, 1_573, 1_729), 50),
    "mimic3-clean": Published("MIMIC-III v1.4", _MIMIC3_ROWS, (38_401, 5_577, 8_734), 3_681),
    "mimic4-icd9": Published("MIMIC-IV v2.2", _MIMIC4_ROWS, (154_542, 21_980, 32_804), None),
    "mimic4-icd10": Published("MIMIC-IV v2.2", _MIMIC4_ROWS, (89_099, 13_378, 19_802), 7_942),
}

LATER: Mapping[str, tuple[Published, ...]] = {
    protocol: tuple(Published(release, rows, None, labels) for release, rows in _LATER_ROWS.items())
    for protocol, labels in (("mimic4-icd9", 6_147), ("mimic4-icd10", 7_940))
}
"""Benchmarks on later releases than that of their paper."""


@dataclass(frozen=True)
class FoundCount:
    """A count of a corpus beside the published one."""

    found: int
    published: int


@dataclass(frozen=True)
class BenchmarkCheck:
    """The comparison of a corpus with the published benchmark.

    Attributes:
        protocol: The protocol's name.
        is_benchmark: Whether the corpus is the benchmark.
        reason: Why it isn't, else empty.
        counts: Name to count; empty if the raw tables aren't those of the release.
        release: The data set's release; empty if it is unknown.
    """

    protocol: str
    is_benchmark: bool
    reason: str
    counts: dict[str, FoundCount]
    release: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return asdict(self)


def other_rows(protocol: str, rows: Mapping[str, int]) -> list[str]:
    """Return how the raw tables differ from those of a benchmark's release; empty if they don't.

    Args:
        protocol: The benchmark's name.
        rows: Raw table, in upper or lower case, to the number of its rows.
    """
    return _other_rows(PUBLISHED[protocol], rows)


def _other_rows(known: Published, rows: Mapping[str, int]) -> list[str]:
    found = {table.lower(): count for table, count in rows.items()}
    return [
        f"{table} has {found.get(table.lower(), 0):,} rows, that of {known.release} {count:,}"
        for table, count in known.rows.items()
        if found.get(table.lower()) != count
    ]


def compare_with_published(
    protocol: str,
    rows: Mapping[str, int],
    splits: Mapping[str, Mapping[str, float]],
    labels: int,
    published_lists: bool,
) -> BenchmarkCheck | None:
    """Compare a corpus with the benchmark that its protocol is named after.

    Args:
        protocol: The protocol's name.
        rows: Raw table, in upper or lower case, to the number of its rows.
        splits: Split to its entry in the card.
        labels: The number of labels.
        published_lists: Whether the split lists are the published ones.

    Returns:
        The comparison; None for a protocol that no paper reports on.
    """
    known = PUBLISHED.get(protocol)
    if known is None:
        return None
    later = (release for release in LATER.get(protocol, ()) if not _other_rows(release, rows))
    known = next(later, known)
    if other := _other_rows(known, rows):
        return BenchmarkCheck(protocol, False, "; ".join(other), {})
    counts: dict[str, FoundCount] = {}
    if known.documents is not None:
        for split, count in zip(("train", "validation", "test"), known.documents, strict=True):
            found = int(splits.get(split, {}).get("documents", 0))
            counts[f"{split} documents"] = FoundCount(found, count)
    if known.labels is not None:
        counts["labels"] = FoundCount(labels, known.labels)
    differing = [name for name, count in counts.items() if count.found != count.published]
    reasons = [f"the number of {' and '.join(differing)} differs"] if differing else []
    if not published_lists:
        reasons.append("the split lists aren't the published ones")
    return BenchmarkCheck(protocol, not reasons, "; ".join(reasons), counts, known.release)
