"""What a user must know about a prepared corpus before believing its results."""

from collections.abc import Iterator, Mapping
from typing import Any

from icdcli.data.sources.table_codes import CODES_COLUMN

_NO_TITLES = "no label has a title: set code_system (icd9, icd10), or check that it is right"


def corpus_warnings(card: Mapping[str, Any]) -> Iterator[str]:
    """Yield the warnings about a corpus, one sentence each.

    Args:
        card: The content of its ``card.json``.
    """
    for file, problem in card.get("first_bad_row", {}).items():
        yield f"{file}: invalid rows were skipped. The first: {problem}"
    column = card.get(CODES_COLUMN, {})
    if column.get("problem"):
        yield f"column {column['name']!r}: {column['problem']}. It is used, since you accept it"
    elif column.get("unknown"):
        more = ", …" if column["unknown"] > len(column["first_unknown"]) else ""
        yield (
            f"column {column['name']!r}: {column['unknown']:,} of {column['labels']:,} codes "
            f"aren't in the official tables ({', '.join(column['first_unknown'])}{more})"
        )
    labels = card.get("labels", {})
    if card.get("dataset") == "table" and labels.get("count") == labels.get("without_title", -1):
        yield _NO_TITLES
    splits = card.get("splits", {}).values()
    if lost := sum(int(split.get("without_subject", 0)) for split in splits):
        every = sum(int(split["documents"]) for split in splits)
        yield (
            f"{lost:,} of {every:,} documents have no patient id: each counts as a patient of its "
            "own, and other notes of the same patient may be in another split"
        )
    for split, counts in card.get("splits", {}).items():
        if most := counts.get("documents_of_one_subject"):
            yield (
                f"{most:,} of {counts['documents']:,} {split} documents have the same patient id. "
                "If it stands for unknown patients, leave these cells empty"
            )
    yield from leaks(card.get("description", {}).get("leakage", {}))


def leaks(leakage: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a sentence for each pair of splits that share subjects or texts."""
    for pair, found in leakage.items():
        shared = []
        if found["subjects"]:
            shared.append(_counted(found["subjects"], "subject"))
        if found["texts"]:
            documents = _counted(found["documents"], "document")
            shared.append(f"{_counted(found['texts'], 'identical text')} ({documents})")
        if shared:
            yield f"leakage, in both {pair.replace('&', 'and')}: {' and '.join(shared)}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
