"""Checks of the gold and predicted codes of a split, and what removing codes by rules changes.

Shapes: N documents, L labels.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.reader import Labels
from icdcli.icd.code_system import CodeSystem
from icdcli.icd.rules.encounters import DatedChecks, EncounterChecks, KindedCode
from icdcli.icd.rules.findings import CheckKind, Finding, Severity
from icdcli.metrics.arrays import Booleans
from icdcli.metrics.metrics import decision_metrics

RESOLVED_METRICS = (
    *("f1_micro", "precision_micro", "recall_micro"),
    *("f1_macro", "precision_macro", "recall_macro"),
)
"""The metrics that are shown without and with the removed codes."""

_NOT, _HARD, _EXCLUDES1 = "as predicted", "hard rules", "and Excludes1"


class FindingCount(NamedTuple):
    """How often a check found something.

    Attributes:
        findings: The number of findings.
        documents: The number of documents with one.
    """

    findings: int
    documents: int


FindingCounts = Mapping[tuple[Severity, CheckKind], FindingCount]
"""Severity and kind of findings to their numbers, hard ones first."""


class Resolution(NamedTuple):
    """The metrics after codes were removed by rules.

    Attributes:
        rules: The rules.
        removed: The number of codes that were removed.
        right: How many of them were gold.
        metrics: The metrics of `RESOLVED_METRICS`.
    """

    rules: str
    removed: int
    right: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class SplitChecks:
    """The checks of a split.

    Attributes:
        editions: The names of the editions.
        documents: The number of documents.
        gold: The findings in the gold codes.
        predicted: The findings in the predicted codes.
        resolutions: The metrics as predicted, without the codes that hard rules remove, and without
            one of the codes of each pair with an Excludes1 note, too.
    """

    editions: tuple[str, ...]
    documents: int
    gold: FindingCounts
    predicted: FindingCounts
    resolutions: tuple[Resolution, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, findings also per 100 documents."""
        return {
            "editions": list(self.editions),
            "gold": [*self._rows(self.gold)],
            "predicted": [*self._rows(self.predicted)],
            "resolved": {
                one.rules: {
                    "removed": one.removed,
                    "removed_right": one.right,
                    "metrics": dict(one.metrics),
                }
                for one in self.resolutions
            },
        }

    def _rows(self, counts: FindingCounts) -> Iterator[dict[str, Any]]:
        for (severity, kind), (findings, documents) in counts.items():
            yield {
                "finding": kind,
                "severity": severity,
                "findings": findings,
                "documents": documents,
                "per_100_documents": round(100 * findings / self.documents, 2),
            }


def check_split(
    scores_NL: NDArray[np.float32],
    targets_NL: Booleans,
    predicted_NL: Booleans,
    labels: Labels,
    system: CodeSystem,
    days: Sequence[date | None] = (),
) -> SplitChecks:
    """Check the gold and predicted codes of each document of a split.

    Args:
        scores_NL: The scores: of several codes that rules remove, the lowest one goes first.
        targets_NL: The gold codes.
        predicted_NL: The predicted codes.
        labels: The label space.
        system: Its coding system.
        days: The day of discharge of each document, which chooses the edition; empty: unknown.
    """
    dated = DatedChecks(
        {kind: edition for kind, edition in system.editions.items() if kind in labels.kinds}
    )
    checks_N = [dated.on(day) for day in days or [None] * len(targets_NL)]
    codes = list(zip(labels.codes, labels.kinds, strict=True))
    gold = [
        checks.check([codes[label] for label in own])
        for checks, own in zip(checks_N, _labels_of(targets_NL), strict=True)
    ]
    found: list[list[Finding]] = []
    removed: dict[str, Counter[int]] = {_HARD: Counter(), _EXCLUDES1: Counter()}
    right: dict[str, Counter[int]] = {_HARD: Counter(), _EXCLUDES1: Counter()}
    for row, (checks, own) in enumerate(zip(checks_N, _labels_of(predicted_NL), strict=True)):
        ordered = own[np.argsort(-scores_NL[row, own], kind="stable")]
        chosen = [codes[label] for label in ordered]
        findings = checks.check(chosen)
        found.append(findings)
        for rules, excludes1 in ((_HARD, False), (_EXCLUDES1, True)):
            if any(
                one.severity == "hard" or (excludes1 and one.kind == "excludes") for one in findings
            ):
                gone = ordered[_removed(checks, chosen, findings, excludes1)]
                removed[rules].update(gone.tolist())
                right[rules].update(gone[targets_NL[row, gone]].tolist())
    counts_L = [one.sum(axis=0) for one in (targets_NL & predicted_NL, predicted_NL, targets_NL)]
    resolutions = [Resolution(_NOT, 0, 0, _metrics(*counts_L))]
    for rules, less in removed.items():
        right_L, predicted_L = (
            count_L - np.array([fewer[label] for label in range(len(labels))])
            for count_L, fewer in ((counts_L[0], right[rules]), (counts_L[1], less))
        )
        metrics = _metrics(right_L, predicted_L, counts_L[2])
        resolutions.append(Resolution(rules, less.total(), right[rules].total(), metrics))
    return SplitChecks(
        tuple(dated.used), len(gold), _counts(gold), _counts(found), tuple(resolutions)
    )


def _labels_of(chosen_NL: Booleans) -> Iterator[NDArray[np.intp]]:
    """Yield the labels of each document."""
    rows, labels = np.nonzero(chosen_NL)
    ends = np.searchsorted(rows, np.arange(1, len(chosen_NL)))
    yield from np.split(labels, ends)


def _removed(
    checks: EncounterChecks, codes: list[KindedCode], findings: list[Finding], excludes1: bool
) -> list[int]:
    """Return the places of the codes that rules remove."""
    kept, _ = checks.resolve(codes, findings, excludes1)
    return [place for place, code in enumerate(codes) if code not in kept]


def _counts(found: Iterable[list[Finding]]) -> FindingCounts:
    findings: Counter[tuple[Severity, CheckKind]] = Counter()
    documents: Counter[tuple[Severity, CheckKind]] = Counter()
    for own in found:
        kinds = [(one.severity, one.kind) for one in own]
        findings.update(kinds)
        documents.update(set(kinds))
    ordered = sorted(findings, key=lambda key: (key[0], -findings[key]))
    return {key: FindingCount(findings[key], documents[key]) for key in ordered}


def _metrics(
    right_L: NDArray[np.int64], predicted_L: NDArray[np.int64], gold_L: NDArray[np.int64]
) -> dict[str, float]:
    values = decision_metrics(right_L, predicted_L, gold_L)
    return {name: float(values[name]) for name in RESOLVED_METRICS}
