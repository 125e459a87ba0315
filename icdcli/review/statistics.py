"""What the decisions say: acceptance by code, precision, time, agreement, drift from validation.

Shapes: N notes, R resamples.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sqlalchemy import select

from icdcli.metrics.agreement import Agreement, agreement_of, clipped
from icdcli.metrics.bootstrap import RESAMPLES, Interval, resample_weights, resampled_interval
from icdcli.review.readings import ADJUDICATION
from icdcli.review.results import SubmittedReading, submitted_readings
from icdcli.review.schema import ModelRow
from icdcli.review.state import effective
from icdcli.review.store import Store
from icdcli.review.suggestions import Suggestion, suggestions_of


@dataclass(frozen=True)
class CodeAcceptance:
    """What reviewers made of the suggestions of one code.

    Attributes:
        code: The code.
        suggested: The number of suggestions that were decided.
        accepted: The number of those that are among the note's codes.
        rejected: The number of those that were rejected.
        replaced: The number of those that were replaced by another code.
        added: How often reviewers added the code, which the model hadn't suggested.
    """

    code: str
    suggested: int
    accepted: int
    rejected: int
    replaced: int
    added: int


@dataclass(frozen=True)
class ModelDrift:
    """How a model does for reviewers, compared with its validation.

    Attributes:
        model: The hash of the model.
        name: Its name.
        notes: The number of submitted readings with its suggestions.
        suggested: The number of suggestions above the threshold.
        precision: The share of those that reviewers kept; None: there are none.
        precision_interval: Its 95 % interval; None: the resamples don't vary.
        recall: The share of the notes' codes that it suggested above the threshold; None: no codes.
        codes_per_note: The mean number of suggestions above the threshold.
        validation: Its metrics on the validation split.
        drifted: Whether the precision of validation is outside of the interval; None: unknown.
    """

    model: str
    name: str
    notes: int
    suggested: int
    precision: float | None
    precision_interval: Interval | None
    recall: float | None
    codes_per_note: float
    validation: Mapping[str, float]
    drifted: bool | None


@dataclass(frozen=True)
class ReviewStatistics:
    """What the submitted readings of a store say.

    Attributes:
        notes: The number of notes with a submitted reading.
        finished: The number of those whose codes are final.
        readings: The number of submitted readings.
        seconds: Percentile (25, 50, 75) to the seconds spent on a reading; empty: none has a time.
        codes: The acceptance of each code, those suggested most often first.
        models: The models, in the order in which they came to the store.
        agreement: The agreement of blind readings; None: there are none.
    """

    notes: int
    finished: int
    readings: int
    seconds: Mapping[int, float]
    codes: tuple[CodeAcceptance, ...]
    models: tuple[ModelDrift, ...]
    agreement: Agreement | None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "notes": self.notes,
            "finished": self.finished,
            "readings": self.readings,
            "seconds": dict(self.seconds),
            "codes": [asdict(one) for one in self.codes],
            "models": [asdict(one) for one in self.models],
            "agreement": None if self.agreement is None else self.agreement.to_json(),
        }


def review_statistics(store: Store) -> ReviewStatistics:
    """Return what the submitted readings of a store say.

    A suggestion that nobody has decided, since it is below the threshold, isn't counted. Each
    reading counts with the suggestions that it was submitted on. Adjudications count for the time
    and not for the model, whose suggestions the readings before have decided.
    """
    notes = finished = readings = 0
    seconds: list[float] = []
    counts: dict[str, Counter[str]] = {}
    by_model: dict[str, list[tuple[int, int, int, int]]] = {}
    pairs = []
    for found in submitted_readings(store):
        notes, finished = notes + 1, finished + (found.final is not None)
        if found.blind is not None:
            first, second = found.blind
            pairs.append((first.state.codes, second.state.codes))
        for number, reading in found.submitted.items():
            readings += 1
            if reading.seconds > 0:
                seconds.append(reading.seconds)
            if number != ADJUDICATION:
                suggested = _suggested(store, reading)
                _count_codes(counts, reading, suggested)
                model = reading.submitted.model
                if model is not None:
                    by_model.setdefault(model, []).append(_hits(reading, suggested))
    return ReviewStatistics(
        notes,
        finished,
        readings,
        {at: float(np.percentile(seconds, at)) for at in (25, 50, 75)} if seconds else {},
        tuple(_acceptance(counts)),
        tuple(_drifts(store, by_model)),
        agreement_of(pairs),
    )


def _suggested(store: Store, reading: SubmittedReading) -> Sequence[Suggestion]:
    number = reading.submitted.suggestion_set
    shown = suggestions_of(store, reading.id, number=number) if number is not None else None
    return shown.suggestions if shown else ()


def _count_codes(
    counts: dict[str, Counter[str]], reading: SubmittedReading, suggested: Sequence[Suggestion]
) -> None:
    decisions = reading.state.decisions
    seen = {one.suggestion_set for one in effective(reading.events)}
    proposed = {one.code for one in suggested}
    for one in suggested:
        if one.code in decisions:
            status = decisions[one.code].status
            found = "accepted" if status == "added" else status
            counts.setdefault(one.code, Counter())[found] += 1
    if seen == {reading.submitted.suggestion_set}:  # else an older model may have suggested it
        for code, decision in decisions.items():
            if decision.status == "added" and code not in proposed:
                counts.setdefault(code, Counter())["added"] += 1


def _hits(reading: SubmittedReading, suggested: Sequence[Suggestion]) -> tuple[int, int, int, int]:
    """Return the numbers of suggestions above the threshold, all and kept, of codes, and 1."""
    predicted = {one.code for one in suggested if one.is_predicted}
    codes = set(reading.state.codes)
    return len(predicted), len(predicted & codes), len(codes), 1


def _acceptance(counts: Mapping[str, Counter[str]]) -> Iterator[CodeAcceptance]:
    found = [
        CodeAcceptance(
            code,
            each["accepted"] + each["rejected"] + each["replaced"],
            each["accepted"],
            each["rejected"],
            each["replaced"],
            each["added"],
        )
        for code, each in counts.items()
    ]
    yield from sorted(found, key=lambda one: (-one.suggested, -one.added, one.code))


def _drifts(
    store: Store, by_model: Mapping[str, Sequence[tuple[int, int, int, int]]]
) -> Iterator[ModelDrift]:
    with store.reading() as connection:
        models = connection.execute(select(ModelRow).order_by(ModelRow.number)).all()
    for model in models:
        if model.sha256 not in by_model:
            continue
        hits_N4 = np.array(by_model[model.sha256])
        suggested, kept, codes, notes = map(int, hits_N4.sum(axis=0))
        precision = kept / suggested if suggested else None
        interval = None
        if precision is not None:
            weights_RN = np.concatenate(list(resample_weights(notes, RESAMPLES, 0)))
            sums_R4 = weights_RN @ hits_N4
            values_R = np.divide(
                *(sums_R4[:, 1], sums_R4[:, 0]),
                out=np.full(len(sums_R4), np.nan),
                where=sums_R4[:, 0] > 0,
            )
            interval = clipped(resampled_interval(precision, values_R, notes), 0.0)
        expected = model.validation.get("precision_micro")
        known = expected is not None and interval is not None
        yield ModelDrift(
            model=model.sha256,
            name=model.name,
            notes=notes,
            suggested=suggested,
            precision=precision,
            precision_interval=interval,
            recall=kept / codes if codes else None,
            codes_per_note=suggested / notes,
            validation=model.validation,
            drifted=not interval.low <= expected <= interval.high if known and interval else None,
        )
