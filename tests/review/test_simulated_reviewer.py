"""The simulated reviewer decides as the gold codes say, through the real store."""

from datetime import date

import numpy as np
import pytest
from reviewing import TEXT, fill

from icdcli.errors import ConfigError
from icdcli.review.export import stable_split
from icdcli.review.readings import read_events, read_state
from icdcli.review.simulation.gold import GoldNote, review_notes, review_order
from icdcli.review.simulation.measuring import words_of_spans
from icdcli.review.simulation.reviewer import SimulatedDecisions, play_review
from icdcli.review.simulation.rounds import all_decisions
from icdcli.review.simulation.settings import SimulatedArm, SimulationSettings
from icdcli.review.store import Store

GOLD = GoldNote("n1", f"{TEXT} Note n1.", None, None, {"E11.9": ((0, 8),), "J18.9": ((14, 23),)})


def gold(id: str, subject: str | None = None) -> GoldNote:
    return GoldNote(id, "text", subject, date(2026, 5, 31), {})


@pytest.mark.parametrize("evidence", [True, False])
def test_gold_codes_are_accepted_or_added_and_others_rejected(store: Store, evidence: bool) -> None:
    fill(store)
    play_review(store, GOLD, evidence=evidence)
    state = read_state(store, "n1")
    assert state.submitted
    assert {code: one.status for code, one in state.decisions.items()} == {
        "E11.9": "added",
        "J18.9": "accepted",
        "I10": "rejected",  # above the threshold; R07.9 is below and stays undecided
    }
    marked = {code: state.decisions[code].evidence for code in state.codes}
    assert marked == {
        "E11.9": ((0, 8),) if evidence else None,
        "J18.9": ((14, 23),) if evidence else None,
    }
    assert all_decisions(store) == SimulatedDecisions(1, 1, 1, 2 if evidence else 0)


def test_a_note_without_suggestions_is_reviewed_by_adding(store: Store) -> None:
    from icdcli.review.notes import ReviewNote, import_notes

    import_notes(store, [ReviewNote("n1", GOLD.text)])
    play_review(store, GOLD, evidence=True)
    assert read_state(store, "n1").codes == ("E11.9", "J18.9")
    assert [one.kind for one in read_events(store, "n1")] == [
        "add",
        "mark",
        "add",
        "mark",
        "submit",
    ]


def test_every_beginning_of_the_random_order_has_its_share_for_validation() -> None:
    notes = [gold(f"n{number}") for number in range(100)]
    order = review_order(100, seed=3)
    assert sorted(order) == list(range(100)) and order == review_order(100, seed=3)
    assert order != review_order(100, seed=4)
    imported = review_notes(notes, order, 0.2, "en")
    assert [note.id for note in imported] == [note.id for note in notes]
    splits = [stable_split(imported[place]) for place in order]
    for count in (10, 25, 50, 100):
        assert splits[:count].count("validation") == count // 5


def test_notes_of_a_patient_are_in_one_split() -> None:
    notes = [gold(f"n{number}", f"p{number // 4}") for number in range(40)]
    imported = review_notes(notes, review_order(40, 0), 0.3, "en")
    splits: dict[str | None, set[str | None]] = {}
    for note in imported:
        splits.setdefault(note.subject, set()).add(note.split)
    assert all(len(found) == 1 for found in splits.values())
    assert {"train", "validation"} == set.union(*splits.values())


def test_words_count_if_a_span_has_one_of_their_characters() -> None:
    places_W2 = np.array([[0, 4], [5, 9], [10, 12]])
    assert words_of_spans([(3, 5), (9, 10)], places_W2).tolist() == [True, False, False]
    assert words_of_spans([(3, 6)], places_W2).tolist() == [True, True, False]
    assert words_of_spans([], places_W2).tolist() == [False, False, False]


def test_rounds_end_when_all_notes_are_reviewed() -> None:
    assert SimulationSettings(50, 50).reviewed(170) == [50, 100, 150, 170]
    assert SimulationSettings(50, 50, rounds=2).reviewed(170) == [50, 100]
    assert SimulationSettings(50, 50).reviewed(50) == [50]


def test_arms_of_a_seed_come_together() -> None:
    settings = SimulationSettings(evidence=(True, False), seeds=(0, 1))
    names = [arm.name for arm in settings.arms()]
    assert names[:4] == [
        "uncertainty-evidence-0",
        "random-evidence-0",
        "uncertainty-codes-0",
        "random-codes-0",
    ]
    assert len(set(names)) == 8
    assert SimulatedArm("random", False, 7).curve == SimulatedArm("random", False, 8).curve


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (SimulationSettings(50), "has 40 training notes, and the simulation starts with 50"),
        (SimulationSettings(2), "of the first 2 notes, 0 would be for validation"),
        (SimulationSettings(10, validation_share=1.5), "share must be between 0 and 1"),
        (SimulationSettings(10, 0), "must be at least 1"),
        (SimulationSettings(10, seeds=()), "there must be one"),
    ],
)
def test_impossible_settings_are_refused(settings: SimulationSettings, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings.check(40, "corpus")
