"""Notes like those of training give no alarm; others do, in what they differ in."""

import numpy as np
import pytest

from icdcli.drift.comparison import CODES, MeasuredNotes, MeasureShift, compare_notes
from icdcli.evaluation.reference.scores import SCORE_MEASURES, ScoreReference
from icdcli.evaluation.reference.summary import ReferenceSummary
from icdcli.evaluation.reference.texts import TEXT_MEASURES, TextReference

NAMES = (*TEXT_MEASURES, *SCORE_MEASURES)
GROUPS = ("diagnosis C", "diagnosis I", "diagnosis N")


def values(draw, count, **changed):
    """Return values of all measures; those that are named are shifted."""
    made = {
        "words": draw.lognormal(5.5, 0.6, count).round(),
        "unknown_words": draw.beta(5, 30, count),
        "capitals": draw.beta(3, 100, count),
        "accents": np.zeros(count),
        "highest_score": draw.beta(9, 1, count),
        "mean_of_5_scores": draw.beta(6, 2, count),
        "predicted_codes": draw.poisson(7, count).astype(float),
    }
    return {name: made[name] + changed.get(name, 0) for name in NAMES}


def reference(draw, texts=250, documents=250):
    made = values(draw, texts), values(draw, documents)
    text = TextReference(np.zeros(1, bool), {k: sorted(made[0][k]) for k in TEXT_MEASURES})
    measures = {name: sorted(made[1][name]) for name in SCORE_MEASURES}
    groups = {group: int(draw.binomial(documents, 0.3)) for group in GROUPS}
    return ReferenceSummary(text, ScoreReference("validation", documents, measures, groups))


def notes(draw, count, shares=None, **changed):
    groups = {
        group: int(draw.binomial(count, share))
        for group, share in {**dict.fromkeys(GROUPS, 0.3), **(shares or {})}.items()
    }
    return MeasuredNotes(count, 0, values(draw, count, **changed), groups)


def alarms(differences):
    return [one.measure for one in differences if one.alarm]


@pytest.mark.slow
@pytest.mark.parametrize("count", [20, 200])
def test_false_alarms_are_as_rare_as_they_should_be(count):
    draw = np.random.default_rng(0)
    found = [bool(alarms(compare_notes(reference(draw), notes(draw, count)))) for _ in range(150)]
    assert np.mean(found) < 0.08


@pytest.mark.parametrize(
    ("changed", "measure"),
    [
        ({"words": -150}, "words"),
        ({"unknown_words": 0.2}, "unknown_words"),
        ({"capitals": 0.9}, "capitals"),
        ({"accents": 0.05}, "accents"),
        ({"highest_score": -0.2}, "highest_score"),
        ({"mean_of_5_scores": -0.3}, "mean_of_5_scores"),
        ({"predicted_codes": -4}, "predicted_codes"),
        ({"shares": {"diagnosis C": 0.9}}, CODES),
        ({"shares": {"diagnosis Z": 0.5}}, CODES),
    ],
)
def test_each_difference_is_found_and_named(changed, measure):
    draw = np.random.default_rng(0)
    found = compare_notes(reference(draw), notes(draw, 60, **changed))
    assert alarms(found) == [measure]
    (one,) = (one for one in found if one.measure == measure)
    assert one.p < 0.001
    if measure == CODES:
        assert one.group in changed["shares"] and one.found > one.expected
    else:
        assert np.sign(one.found - one.expected) == np.sign(changed[measure])


def test_a_difference_that_does_not_matter_is_no_alarm():
    """With very many notes, everything is significant."""
    draw = np.random.default_rng(0)
    many = reference(draw, 5_000, 5_000)
    (one, *_) = compare_notes(many, notes(draw, 50_000, words=8))
    assert one.p < 0.01 and one.effect < 0.1 and not one.alarm


def test_no_predicted_codes_at_all():
    draw = np.random.default_rng(0)
    before = reference(draw)
    none = MeasuredNotes(50, 0, values(draw, 50), {})
    assert CODES in alarms(compare_notes(before, none))
    bare = ReferenceSummary(
        before.texts, ScoreReference("validation", 250, before.scores.measures, {})
    )
    assert [one.measure for one in compare_notes(bare, none)] == [*NAMES]


def test_a_difference_as_json():
    one = MeasureShift(CODES, 0.1, 0.5, 0.9, 0.001, "diagnosis C")
    assert one.to_json() == {
        **{"measure": CODES, "group": "diagnosis C", "expected": 0.1, "found": 0.5},
        **{"effect": 0.9, "p": 0.001, "alarm": True},
    }
