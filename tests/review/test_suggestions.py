"""Suggestions are stored once and kept; other label spaces and editions are noticed."""

import pytest
from reviewing import EDITIONS, fill, model, suggested, suggestion

from icdcli.errors import DataError
from icdcli.explain.spans import EvidenceSpan
from icdcli.review.decisions import DecisionDraft
from icdcli.review.readings import append_decisions, read_events
from icdcli.review.store import Store
from icdcli.review.suggestions import (
    Suggestion,
    add_model,
    add_suggestions,
    suggestions_of,
    uncertainty_of,
)


def test_suggestions_are_read_as_they_were_stored(store: Store) -> None:
    (id,) = fill(store)
    found = suggestions_of(store, id)
    assert found.suggestions == tuple(suggested())
    assert found.suggestions[0].evidence == (EvidenceSpan(14, 23, 0.5, "affirmed"),)
    assert (found.model, found.model_name, found.editions) == (model().sha256, "first", EDITIONS)
    assert [one.is_predicted for one in found.suggestions] == [True, True, False]


def test_a_newer_model_leaves_old_decisions_their_suggestions(store: Store) -> None:
    (id,) = fill(store)
    draft = DecisionDraft("accept", {"code": "J18.9"})
    append_decisions(store, id, [draft], author="a", seen=0)
    add_model(store, model("second"))
    newer = [suggestion("E11.9", 0.8)]
    assert add_suggestions(store, model("second").sha256, [(id, newer)]) == 1
    assert suggestions_of(store, id).suggestions == tuple(newer)
    (event,) = read_events(store, id)
    assert (event.model, event.editions) == (model().sha256, EDITIONS)
    made_on = suggestions_of(store, id, number=event.suggestion_set)
    assert made_on.suggestions == tuple(suggested())
    assert suggestions_of(store, id, model=model().sha256) == made_on
    append_decisions(store, id, [DecisionDraft("accept", {"code": "E11.9"})], author="a", seen=1)
    assert read_events(store, id)[1].model == model("second").sha256


def test_the_same_suggestions_are_stored_once(store: Store) -> None:
    (id,) = fill(store)
    assert add_suggestions(store, model().sha256, [(id, suggested())]) == 0
    assert add_suggestions(store, model().sha256, [(id, suggested(0.8))]) == 1
    assert add_suggestions(store, model().sha256, [(id, [])]) == 1
    assert suggestions_of(store, id).suggestions == ()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([suggestion("I10"), suggestion("I10")], "a code is suggested twice"),
        (
            [Suggestion("I10", None, 1.0, 1.0, 0.5, None, (EvidenceSpan(70, 80, 1.0),))],
            r"evidence for I10 \(70 to 80\) is outside",
        ),
        ([Suggestion("I10", None, 1.0, 1.5, 0.5)], "confidence of I10"),
    ],
)
def test_wrong_suggestions_are_refused(store: Store, wrong: list, message: str) -> None:
    (id,) = fill(store)
    with pytest.raises(DataError, match=message):
        add_suggestions(store, model().sha256, [(id, wrong)])
    assert suggestions_of(store, id).suggestions == tuple(suggested())
    with pytest.raises(DataError, match="has no note 'other'"):
        add_suggestions(store, model().sha256, [("other", [])])
    with pytest.raises(DataError, match="has no model 00"):
        add_suggestions(store, "00", [(id, [])])


def test_another_label_space_or_edition_is_refused_unless_accepted(store: Store) -> None:
    assert add_model(store, model())
    assert not add_model(store, model())
    assert add_model(store, model("second"))
    other_codes = model("third", codes=("I10",))
    with pytest.raises(DataError, match=r"by second, with a label space of 4 codes.*\(1 codes\)"):
        add_model(store, other_codes)
    edition = {"diagnosis": {"name": "icd10cm-2027", "sha256": "0" * 64}}
    with pytest.raises(DataError, match=r"codes of icd10cm-2026-04, those of third of .*-2027"):
        add_model(store, model("third", editions=edition))
    assert add_model(store, other_codes, accept_others=True)


def test_uncertainty_is_the_expected_number_of_wrong_choices() -> None:
    assert uncertainty_of(suggested(0.9, 0.5, 0.25)) == pytest.approx(0.1 + 0.5 + 0.25)
    assert uncertainty_of([]) == 0
