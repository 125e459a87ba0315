"""What the papers' corpora hold, so that a corpus can be held against them, count by count.

A score compares with a published one only on the same documents and labels. The counts are those of Mullenbach et al.
2018 and Edin et al. 2023, with codes read as strings (8,929 labels) or as the former read them (8,921).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MIMIC3_ROWS = {"NOTEEVENTS": 2_083_180, "DIAGNOSES_ICD": 651_047, "PROCEDURES_ICD": 240_095}
_MIMIC4_ROWS = {"discharge": 331_793}


@dataclass(frozen=True)
class Published:
    """A benchmark as published.

    Attributes:
        release: The data set's release.
        rows: Rows of its raw tables, by which it is known.
        documents: Documents of train, validation and test.
        labels: Labels; None where no paper says.
    """

    release: str
    rows: Mapping[str, int]
    documents: tuple[int, int, int]
    labels: int | None


PUBLISHED: Mapping[str, Published] = {
    "mimic3-full": Published("MIMIC-III v1.4", _MIMIC3_ROWS, (47_719, 1_631, 3_372), 8_929),
    "mimic3-full-caml": Published("MIMIC-III v1.4", _MIMIC3_ROWS, (47_719, 1_631, 3_372), 8_921),
    "mimic3-50": Published("MIMIC-III v1.4", _MIMIC3_ROWS, (8_066, 1_573, 1_729), 50),
    "mimic3-clean": Published("MIMIC-III v1.4", _MIMIC3_ROWS, (38_401, 5_577, 8_734), 3_681),
    "mimic4-icd9": Published("MIMIC-IV v2.2", _MIMIC4_ROWS, (154_542, 21_980, 32_804), None),
    "mimic4-icd10": Published("MIMIC-IV v2.2", _MIMIC4_ROWS, (89_099, 13_378, 19_802), 7_942),
}


def hold_against_published(
    protocol: str,
    rows: Mapping[str, int],
    splits: Mapping[str, Mapping[str, float]],
    labels: int,
    published_lists: bool,
) -> dict[str, Any] | None:
    """Say whether a corpus is the benchmark that its protocol is named after.

    Args:
        protocol: The protocol's name.
        rows: Raw table, in any case, to the number of its rows.
        splits: Split to what the card says of it.
        labels: The number of labels.
        published_lists: Whether the split lists are those that were published.

    Returns:
        ``is_benchmark``, the ``reason`` where it isn't, and ``counts``: what to ``found`` and ``published`` numbers, told
        where the raw tables are the release's own; None for a protocol that no paper reports on.
    """
    known = PUBLISHED.get(protocol)
    if known is None:
        return None
    found = {table.lower(): count for table, count in rows.items()}
    other = [
        f"{table} has {found.get(table.lower(), 0):,} rows, that of {known.release} {count:,}"
        for table, count in known.rows.items()
        if found.get(table.lower()) != count
    ]
    if other:
        return {
            "protocol": protocol,
            "is_benchmark": False,
            "reason": "; ".join(other),
            "counts": {},
        }
    counts = {
        f"{split} documents": {
            "found": int(splits.get(split, {}).get("documents", 0)),
            "published": count,
        }
        for split, count in zip(("train", "validation", "test"), known.documents, strict=True)
    }
    if known.labels is not None:
        counts["labels"] = {"found": labels, "published": known.labels}
    differing = [name for name, count in counts.items() if count["found"] != count["published"]]
    reasons = [f"the number of {' and '.join(differing)} differs"] if differing else []
    if not published_lists:
        reasons.append("the split lists aren't the published ones")
    return {
        "protocol": protocol,
        "is_benchmark": not reasons,
        "reason": "; ".join(reasons),
        "counts": counts,
    }
