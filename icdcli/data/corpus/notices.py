"""What a user must know about a prepared corpus before believing its results."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from icdcli.data.sources.admission import CODES_COLUMN
from icdcli.errors import counted

_SHOWN_INTO = 3  # codes that a retired one was divided into
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
    yield from _validity(card)
    labels = card.get("labels", {})
    known = card.get("code_validity", {}).get("category", {}).get("codes", 0)
    untitled = labels.get("without_title", -1)
    # Beginnings of codes, such as the four characters of CodiEsp's procedures, have no title.
    if card.get("dataset") == "table" and labels.get("count") == untitled != known:
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


def _validity(card: Mapping[str, Any]) -> Iterator[str]:
    """Yield the warnings about codes that aren't valid, one sentence each."""
    entry = card.get("code_validity", {})
    days = entry.get("days")
    where = "on the day of a document" if days else f"in {entry.get('edition')}"
    for status, what, when in (
        ("retired", "retired", "last in"),
        ("future", "not valid yet", "in"),
    ):
        if codes := entry.get(status):
            one = codes["codes"] == 1
            yield (
                f"{codes['codes']:,} {'code is' if one else 'codes are'} {what} {where} "
                f"({counted(codes['mentions'], 'mention')}), but kept as "
                f"{'a label' if one else 'labels'}: {_named(codes, when)}"
            )
    if days and (outside := days["outside"]):
        yield (
            f"{outside['documents']:,} documents, of {outside['first']} to {outside['last']}, are "
            "of days without an edition at hand; the nearest ones are used. `icdcode codes fetch` "
            "adds editions"
        )
    unknown = entry.get("unknown")
    if unknown and not card.get(CODES_COLUMN) and card.get("dataset") == "table":
        more = ", …" if unknown["codes"] > len(unknown["first"]) else ""
        yield (
            f"{entry['edition']} lacks {unknown['codes']:,} of the codes "
            f"({', '.join(unknown['first'])}{more}). They are kept, without a title"
        )


def _named(entry: Mapping[str, Any], when: str) -> str:
    """Return the first codes of an entry in words, with what became of them."""
    names = [
        f"{one['code']} ({one['documents']:,}, "
        + (_now(one["into"]) if one["into"] else f"{when} {one['edition']}")
        + ")"
        for one in entry["first"]
    ]
    more = entry["codes"] - len(names)
    return "; ".join([*names, *([f"and {more:,} more"] if more else [])])


def _now(into: Sequence[str]) -> str:
    return f"now {', '.join(into[:_SHOWN_INTO])}{', …' if len(into) > _SHOWN_INTO else ''}"


def leaks(leakage: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a sentence for each pair of splits that share subjects or texts."""
    for pair, found in leakage.items():
        shared = []
        if found["subjects"]:
            shared.append(counted(found["subjects"], "subject"))
        if found["texts"]:
            documents = counted(found["documents"], "document")
            shared.append(f"{counted(found['texts'], 'identical text')} ({documents})")
        if shared:
            yield f"leakage, in both {pair.replace('&', 'and')}: {' and '.join(shared)}"
