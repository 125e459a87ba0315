"""Compare notes with the summary of a training, one measure after another.

Each measure is tested by itself; Holm's rule keeps the chance of any false alarm at 5 %. Among many
notes, differences that don't matter are significant, too, so an alarm also needs an effect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from icdcli.drift.two_samples import (
    effect_of_shares,
    holm,
    kolmogorov_smirnov,
    population_stability_index,
    shares_differ,
)
from icdcli.evaluation.reference.scores import SCORE_MEASURES
from icdcli.evaluation.reference.summary import ReferenceSummary
from icdcli.evaluation.reference.texts import TEXT_MEASURES

LEVEL = 0.05
"""The chance of an alarm for notes that are like the training notes."""

SMALL_INDEX, SMALL_SHARE = 0.1, 0.2
"""The least population stability index, and the least effect size h of shares, of an alarm."""

CODES = "groups_of_codes"
"""The name of the measure of predicted codes."""


@dataclass(frozen=True)
class MeasuredNotes:
    """What was measured of incoming notes.

    Attributes:
        notes: The number of notes with words.
        without_words: The number of other notes, which aren't compared.
        values: For each of `TEXT_MEASURES` and `SCORE_MEASURES`, a value per note.
        groups: The group of codes to the number of notes that it is predicted in.
    """

    notes: int
    without_words: int
    values: Mapping[str, Sequence[float]]
    groups: Mapping[str, int]


@dataclass(frozen=True)
class MeasureShift:
    """How one measure of the notes differs from that of the documents of a training.

    Attributes:
        measure: The measure.
        expected: Its median in training; of `CODES`, the share of documents with the group.
        found: The same in the notes.
        effect: The population stability index; of `CODES`, Cohen's h.
        p: The p-value, by Holm's rule for all measures.
        group: Of `CODES`, the group of codes that differs most.
    """

    measure: str
    expected: float
    found: float
    effect: float
    p: float
    group: str | None = None

    @property
    def alarm(self) -> bool:
        """Return whether the difference is significant and large enough to matter."""
        smallest = SMALL_INDEX if self.group is None else SMALL_SHARE
        return self.p < LEVEL and self.effect >= smallest

    def to_json(self) -> dict[str, Any]:
        """Return the values as they are printed."""
        values = {name: round(getattr(self, name), 4) for name in ("expected", "found", "effect")}
        group = {} if self.group is None else {"group": self.group}
        return {"measure": self.measure, **group, **values, "p": self.p, "alarm": self.alarm}


def compare_notes(reference: ReferenceSummary, notes: MeasuredNotes) -> list[MeasureShift]:
    """Return the differences of all measures, in a fixed order.

    Args:
        reference: The summary of the training.
        notes: The incoming notes.
    """
    measures = {**reference.texts.measures, **reference.scores.measures}
    found = [
        _of_values(name, measures[name], notes.values[name])
        for name in (*TEXT_MEASURES, *SCORE_MEASURES)
    ]
    found += _of_groups(reference, notes)
    adjusted = holm([one.p for one in found])
    return [replace(one, p=p) for one, p in zip(found, adjusted, strict=True)]


def _of_values(name: str, expected: Sequence[float], found: Sequence[float]) -> MeasureShift:
    return MeasureShift(
        name,
        float(np.median(expected)),
        float(np.median(found)),
        population_stability_index(expected, found),
        kolmogorov_smirnov(expected, found),
    )


def _of_groups(reference: ReferenceSummary, notes: MeasuredNotes) -> list[MeasureShift]:
    """Return the group of codes that differs most, as one test; none if no code is predicted."""
    documents, before = reference.scores.documents, reference.scores.groups
    tests = []
    for group in sorted({*before, *notes.groups}):
        counts = before.get(group, 0), notes.groups.get(group, 0)
        p = shares_differ((counts[0], documents), (counts[1], notes.notes))
        expected, found = counts[0] / documents, counts[1] / notes.notes
        effect = effect_of_shares(expected, found)
        tests.append(MeasureShift(CODES, expected, found, effect, p, group))
    if not tests:
        return []
    most = min(tests, key=lambda one: (one.p, -one.effect))
    return [replace(most, p=min(1.0, most.p * len(tests)))]
