"""The table of codes of a comparison: what each run finds, and what only one of them does."""

from typing import Any

import numpy as np

from icdcli.report.comparison.sections import Shown
from icdcli.report.page import code_table_data

_DETAILED = 4
"""Runs up to which the table has every column; with more, the page would become too large."""


def compared_codes(shown: Shown) -> dict[str, object]:
    """Return the table of the codes that are gold or that a run predicts.

    Args:
        shown: The comparison.
    """
    findings = shown.findings
    formats = _formats(shown.letters)
    masks = findings.chapter_masks
    chapter_of = {
        int(label): place
        for place, chosen_L in enumerate(masks.values())
        for label in chosen_L.nonzero()[0]
    }
    used_L = findings.gold_L + sum(found.predicted_L for found in findings.found) > 0
    rows = []
    for label in np.flatnonzero(used_L).tolist():
        values = _row(shown, label) | {"chapter": chapter_of.get(label)}
        rows.append([values[column] for column in formats])
    hidden = [column for column in formats if column.startswith(("predicted", "chapter"))]
    return code_table_data(rows, formats, [*masks], hidden)


def _formats(letters: list[str]) -> dict[str, str]:
    """Return the columns with their formats."""
    detailed, others = len(letters) <= _DETAILED, letters[1:]
    names = {
        "count": ["train_count", "gold", *(f"found {letter}" for letter in letters)],
        "share": [f"F1 {letter}" for letter in letters],
        "difference": [f"F1 {letter} - A" for letter in others] if detailed else [],
    }
    if detailed:
        for letter in others:
            names["count"] += [_only("A", letter), _only(letter, "A")]
    formats = {"code": "text", "title": "text"}
    formats |= {name: kind for kind, columns in names.items() for name in columns}
    if detailed:
        formats |= {f"predicted {letter}": "count" for letter in letters}
    return formats | {"chapter": "count"}


def _only(finds: str, misses: str) -> str:
    return f"{finds}, not {misses}"


def _row(shown: Shown, label: int) -> dict[str, Any]:
    """Return the values of a code by column."""
    findings = shown.findings
    labels = findings.labels
    values: dict[str, Any] = {
        "code": labels.codes[label],
        "title": labels.titles[label],
        "train_count": labels.train_counts[label],
        "gold": int(findings.gold_L[label]),
    }
    first = findings.f1(0, label)
    for run, letter in enumerate(shown.letters):
        f1 = findings.f1(run, label)
        values[f"F1 {letter}"] = f1
        values[f"found {letter}"] = int(findings.found[run].right_L[label])
        values[f"predicted {letter}"] = int(findings.found[run].predicted_L[label])
        if run:
            against = findings.against_first[run - 1]
            values[f"F1 {letter} - A"] = None if f1 is None or first is None else f1 - first
            values[_only("A", letter)] = int(against.only_first_L[label])
            values[_only(letter, "A")] = int(against.only_other_L[label])
    return values
