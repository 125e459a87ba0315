"""What a corpus, a checkpoint, an evaluation and a prediction record about their editions.

{"diagnosis": {"name": "icd10cm-2026-04", "sha256": "6f1c…"}}      files of a run
icd10cm-2026-04@6f1c0a9d2b7e                                       in each prediction
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pyarrow, which views of corpora needn't import
    from icdcli.icd.editions.edition import Edition

Editions = Mapping[str, Mapping[str, str]]
"""The name and the hash of the edition of each kind of code."""

_DIGITS = 12


def edition_record(edition: "Edition") -> dict[str, str]:
    """Return the name and the hash of an edition."""
    return {"name": edition.about.name, "sha256": edition.sha256}


def edition_id(edition: Mapping[str, str]) -> str:
    """Return the name of an edition and the first digits of its hash, ``NAME@DIGITS``."""
    return f"{edition['name']}@{edition['sha256'][:_DIGITS]}"


def edition_ids(editions: Editions | None) -> list[str]:
    """Return what `edition_id` returns for each edition, each once; none if they are unknown."""
    return list(dict.fromkeys(map(edition_id, (editions or {}).values())))


def of_kinds(editions: Editions, kinds: Iterable[str]) -> Editions:
    """Return the editions of some kinds of codes."""
    wanted = set(kinds)
    return {kind: edition for kind, edition in editions.items() if kind in wanted}


def other_editions(editions: Editions | None, others: Editions | None) -> tuple[str, str] | None:
    """Return the editions of the kinds of codes for which two records differ, in words.

    Args:
        editions: The editions of one record; None: unknown.
        others: Those of another one.

    Returns:
        The names in each record, with hashes if the names are equal; None if no edition differs,
        or if one of the records is unknown.
    """
    if editions is None or others is None:
        return None
    kinds = [
        kind
        for kind, edition in editions.items()
        if kind in others and edition["sha256"] != others[kind]["sha256"]
    ]
    if not kinds:
        return None
    same_names = all(editions[kind]["name"] == others[kind]["name"] for kind in kinds)
    one, other = (
        " and ".join(
            dict.fromkeys(
                edition_id(record[kind]) if same_names else record[kind]["name"] for kind in kinds
            )
        )
        for record in (editions, others)
    )
    return one, other
