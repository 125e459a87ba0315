"""Statistics of reviews, counted by hand."""

from collections.abc import Callable

import pytest
from reviewing import fill, model, suggested

from icdcli.review.decisions import DecisionDraft
from icdcli.review.notes import ReviewNote, import_notes
from icdcli.review.readings import append_decisions
from icdcli.review.statistics import CodeAcceptance, review_statistics
from icdcli.review.store import Store
from icdcli.review.suggestions import add_model, add_suggestions

ACCEPT, KEEP = (DecisionDraft("accept", {"code": code}, 10.0) for code in ("J18.9", "I10"))
REJECT = DecisionDraft("reject", {"code": "I10", "reason": "past"}, 5.0)
REPLACE = DecisionDraft("replace", {"code": "I10", "by": "I11.9"}, 20.0)
ADD = DecisionDraft("add", {"code": "Z51.1"}, 15.0)
SUBMIT = DecisionDraft("submit")


def test_statistics_are_those_of_the_decisions(store: Store) -> None:
    fill(store, 5)
    histories = {
        "n1": [ACCEPT, KEEP],
        "n2": [ACCEPT, REJECT],
        "n3": [ACCEPT, REPLACE],
        "n4": [ACCEPT, REJECT, KEEP, ADD],  # changed: what counts is the end
    }
    for id, drafts in histories.items():
        append_decisions(store, id, [*drafts, SUBMIT], author="ana", seen=0)
    append_decisions(store, "n5", [ACCEPT], author="ana", seen=0)  # isn't submitted
    found = review_statistics(store)
    assert (found.notes, found.finished, found.readings) == (4, 4, 4)
    assert found.codes == (
        CodeAcceptance("I10", suggested=4, accepted=2, rejected=1, replaced=1, added=0),
        CodeAcceptance("J18.9", suggested=4, accepted=4, rejected=0, replaced=0, added=0),
        CodeAcceptance("I11.9", suggested=0, accepted=0, rejected=0, replaced=0, added=1),
        CodeAcceptance("Z51.1", suggested=0, accepted=0, rejected=0, replaced=0, added=1),
    )
    assert found.seconds[50] == (20.0 + 30.0) / 2  # of 20, 15, 30 and 40
    (drift,) = found.models
    assert (drift.name, drift.notes, drift.suggested, drift.codes_per_note) == ("first", 4, 8, 2.0)
    assert drift.precision == 6 / 8
    assert drift.recall == 6 / 8  # two of the eight codes were the reviewer's
    assert drift.precision_interval.low < 0.75 < drift.precision_interval.high
    assert drift.drifted is False  # validation: .75
    assert found.agreement is None


def test_a_model_that_is_worse_than_in_validation_has_drifted(store: Store) -> None:
    fill(store, 40)
    for place in range(40):
        drafts = [ACCEPT, KEEP] if place % 8 == 0 else [ACCEPT, REJECT]
        append_decisions(store, f"n{place + 1}", [*drafts, SUBMIT], author="ana", seen=0)
    (drift,) = review_statistics(store).models
    assert drift.precision == pytest.approx((40 + 5) / 80)
    assert drift.drifted is True


def test_each_model_is_measured_on_what_it_suggested(store: Store) -> None:
    fill(store, 2)
    append_decisions(store, "n1", [ACCEPT, REJECT, SUBMIT], author="ana", seen=0)
    add_model(store, model("second", validation={}))
    add_suggestions(store, model("second").sha256, [("n1", suggested()), ("n2", suggested())])
    append_decisions(store, "n2", [ACCEPT, KEEP, SUBMIT], author="ana", seen=0)
    first, second = review_statistics(store).models
    assert (first.name, first.precision, second.name, second.precision) == (
        *("first", 0.5),
        *("second", 1.0),
    )
    assert second.drifted is None


def test_agreement_is_that_of_blind_readings(opened: Callable[..., Store]) -> None:
    store = opened(double_share=1.0)
    import_notes(store, [ReviewNote("n1", "x"), ReviewNote("n2", "y"), ReviewNote("n3", "z")])

    def read(id: str, author: str, reading: int, *codes: str) -> None:
        drafts = [DecisionDraft("add", {"code": code}) for code in codes]
        append_decisions(store, id, [*drafts, SUBMIT], author=author, seen=0, reading=reading)

    read("n1", "ana", 1, "I10", "J18.9")
    read("n1", "ben", 2, "I10")
    read("n1", "eva", 3, "I10")
    read("n2", "ana", 1, "I10")
    read("n2", "ben", 2, "I10")
    read("n3", "ana", 1, "I10")
    found = review_statistics(store)
    assert (found.notes, found.finished, found.readings) == (3, 2, 6)
    assert (found.agreement.documents, found.agreement.exact) == (2, 0.5)
    assert found.agreement.f1 == pytest.approx((2 / 3 + 1) / 2)
    assert found.to_json()["agreement"]["documents"] == 2


def test_an_empty_store_has_statistics(store: Store) -> None:
    found = review_statistics(store)
    assert (found.notes, found.codes, found.models, found.seconds) == (0, (), (), {})
