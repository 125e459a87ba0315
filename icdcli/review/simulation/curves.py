"""The curves of a simulation: the means of its seeds, and how orders and evidence compare."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean

import numpy as np

from icdcli.review.simulation.rounds import SimulatedRound
from icdcli.review.simulation.run import LearningCurve
from icdcli.review.simulation.settings import SimulatedArm

MEASURES = {
    "map": "MAP",
    "f1_micro": "micro-F1",
    "evidence_f1": "F1 of shown words",
    "known": "share of gold codes known",
    "accepted": "share of codes suggested before",
    "decided": "codes decided per note",
}
"""What is shown of a round, with its name in words."""
_OF_MODEL = ("map", "f1_micro", "evidence_f1")
_OF_SPLIT = (*_OF_MODEL, "known")


@dataclass(frozen=True)
class CurvePoint:
    """The mean of the seeds after some reviewed notes.

    Attributes:
        notes: The number of reviewed notes.
        means: Measure to its mean; those that aren't defined are missing.
        lowest: Measure to the lowest value of a seed.
        highest: Measure to the highest.
    """

    notes: int
    means: Mapping[str, float]
    lowest: Mapping[str, float]
    highest: Mapping[str, float]


@dataclass(frozen=True)
class CurveDifference:
    """How one curve differs from another, in the mean of the rounds in which both can differ.

    Attributes:
        curve: The curve.
        other: The curve that it is compared with.
        means: Measure to the mean difference.
        better: Measure to the number of rounds, of all seeds, in which the curve is higher.
        rounds: The number of rounds of all seeds.
        at_equal_work: Measure to the mean difference from what the other curve reaches when as many
            codes, not notes, are decided. Notes with many codes teach more, and take more time.
    """

    curve: str
    other: str
    means: Mapping[str, float]
    better: Mapping[str, int]
    rounds: int
    at_equal_work: Mapping[str, float]


def measures_of(rounds: Sequence[SimulatedRound], place: int, split: str) -> dict[str, float]:
    """Return the measures of a round that are defined.

    Args:
        rounds: All rounds of an arm.
        place: The place of the round in them.
        split: The split.
    """
    one = rounds[place]
    new = one.notes - (rounds[place - 1].notes if place else 0)
    values = {
        **{name: one.splits[split].get(name) for name in _OF_SPLIT},
        "accepted": one.accepted_share if place else None,  # nothing was suggested before
        "decided": one.decisions.codes / new,
    }
    return {name: value for name, value in values.items() if value is not None}


def mean_curves(curve: LearningCurve, split: str) -> dict[str, list[CurvePoint]]:
    """Return the name of each curve with its points, as far as all of its seeds have come."""
    found: dict[str, list[Sequence[SimulatedRound]]] = {}
    for arm, rounds in curve.rounds.items():
        found.setdefault(arm.curve, []).append(rounds)
    return {name: list(_points(seeds, split)) for name, seeds in found.items()}


def _points(seeds: Sequence[Sequence[SimulatedRound]], split: str) -> Iterator[CurvePoint]:
    for place, rounds in enumerate(zip(*seeds, strict=False)):
        values = [measures_of(seed, place, split) for seed in seeds]
        names = [name for name in MEASURES if all(name in one for one in values)]
        columns = {name: [one[name] for one in values] for name in names}
        yield CurvePoint(
            rounds[0].notes,
            {name: fmean(column) for name, column in columns.items()},
            {name: min(column) for name, column in columns.items()},
            {name: max(column) for name, column in columns.items()},
        )


def curve_differences(curve: LearningCurve, split: str) -> list[CurveDifference]:
    """Return how the orders differ, and what evidence adds, as far as both sides were played."""
    pairs: dict[tuple[str, str], list[tuple[SimulatedArm, SimulatedArm]]] = {}
    for arm in curve.rounds:
        others = []
        if arm.order == "uncertainty":
            others.append(SimulatedArm("random", arm.evidence, arm.seed))
        if arm.evidence:
            others.append(SimulatedArm(arm.order, False, arm.seed))
        for other in others:
            if other in curve.rounds:
                pairs.setdefault((arm.curve, other.curve), []).append((arm, other))
    return [
        found
        for (name, other_name), arms in pairs.items()
        if (found := _difference(curve, split, name, other_name, arms)) is not None
    ]


def _difference(
    curve: LearningCurve,
    split: str,
    name: str,
    other_name: str,
    arms: Sequence[tuple[SimulatedArm, SimulatedArm]],
) -> CurveDifference | None:
    changes: dict[str, list[float]] = {}
    at_equal_work: dict[str, list[float]] = {}
    rounds = 0
    for arm, other in arms:
        mine, theirs = curve.rounds[arm], curve.rounds[other]
        for place, (one, two) in enumerate(zip(mine, theirs, strict=False)):
            if one.model == two.model:
                continue  # the same notes, in the first round and when all are reviewed
            rounds += 1
            first, second = measures_of(mine, place, split), measures_of(theirs, place, split)
            for measure in first.keys() & second.keys():
                changes.setdefault(measure, []).append(first[measure] - second[measure])
            for measure in _OF_MODEL:
                reached = _at_work(theirs, _work(mine)[place], measure, split)
                if reached is not None and measure in first:
                    at_equal_work.setdefault(measure, []).append(first[measure] - reached)
    if not rounds:
        return None
    ordered = [measure for measure in MEASURES if measure in changes]
    return CurveDifference(
        name,
        other_name,
        {measure: fmean(changes[measure]) for measure in ordered},
        {measure: sum(change > 0 for change in changes[measure]) for measure in ordered},
        rounds,
        {measure: fmean(found) for measure, found in at_equal_work.items()},
    )


def _work(rounds: Sequence[SimulatedRound]) -> list[int]:
    """Return the number of codes that are decided after each round."""
    return list(accumulate(one.decisions.codes for one in rounds))


def _at_work(rounds: Sequence[SimulatedRound], work: int, measure: str, split: str) -> float | None:
    """Return what an arm reaches when some codes are decided, linear in between its rounds.

    Returns:
        The value; None: the arm hasn't come that far, or a value isn't defined.
    """
    done = _work(rounds)
    values = [one.splits[split].get(measure) for one in rounds]
    if not done[0] <= work <= done[-1] or any(value is None for value in values):
        return None
    return float(np.interp(work, done, values))  # type: ignore[arg-type]


def notes_for(points: Sequence[CurvePoint], measure: str, share: float) -> int | None:
    """Return after how many notes a curve has reached a share of its last value for good.

    Args:
        points: The points of the curve.
        measure: The measure.
        share: The share of the last value.

    Returns:
        The number of notes; None: the measure isn't defined.
    """
    values = [point.means.get(measure) for point in points]
    if not values or values[-1] is None:
        return None
    reached = [value is not None and value >= share * values[-1] for value in values]
    last_below = max((place for place, one in enumerate(reached) if not one), default=-1)
    return points[last_below + 1].notes
