"""The texts of notes are purged, in blocks; everything else is kept."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from reviewing import TEXT, fill, suggested

from icdcli.errors import ConfigError, DataError
from icdcli.review.decisions import DecisionDraft
from icdcli.review.notes import ReviewNote, import_notes, stored_note
from icdcli.review.purging import purge_texts, submitted_notes
from icdcli.review.readings import append_decisions, read_state
from icdcli.review.store import Store, open_store
from icdcli.review.suggestions import suggestions_of


def test_a_purge_deletes_texts_and_keeps_everything_else(store: Store) -> None:
    first, second = fill(store, 2)
    append_decisions(store, first, [DecisionDraft("accept", {"code": "I10"})], author="a", seen=0)
    state = read_state(store, first)
    done = purge_texts(store, [first])
    assert (done.texts, done.notes) == (1, 1)
    assert stored_note(store, first).text is None
    assert stored_note(store, second).text is not None
    assert read_state(store, first) == state
    assert suggestions_of(store, first).suggestions == tuple(suggested())
    assert purge_texts(store, [first]).texts == 0
    # The same note isn't imported again, but an import that has it goes on.
    assert import_notes(store, [ReviewNote(first, f"{TEXT} Note {first}.")]).known == 1
    assert stored_note(store, first).text is None
    with pytest.raises(DataError, match="its text was purged"):
        import_notes(store, [ReviewNote("new", f"{TEXT} Note {first}.")])


def test_a_text_that_other_notes_have_is_purged_with_all_of_them(store: Store) -> None:
    import_notes(store, [ReviewNote(id, "Fever") for id in "abc"])
    with pytest.raises(ConfigError, match="the same text is in 'b', 'c'"):
        purge_texts(store, ["a"])
    assert stored_note(store, "a").text == "Fever"
    done = purge_texts(store, ["a", "b", "c"])
    assert (done.texts, done.notes) == (1, 3)


def test_a_purged_text_is_no_longer_in_the_files(tmp_path: Path) -> None:
    with open_store(tmp_path / "review.db") as store:
        import_notes(store, [ReviewNote("a", "ZEBRA " * 2000), ReviewNote("b", "Cough")])
        assert b"ZEBRA" in b"".join(file.read_bytes() for file in tmp_path.iterdir())
        purge_texts(store, ["a"])
        assert b"ZEBRA" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


def test_submitted_notes_are_found_by_day(target: str) -> None:
    days = iter([datetime(2026, 5, day, 12, tzinfo=UTC) for day in range(1, 29)])
    with open_store(target, clock=lambda: next(days)) as store:
        fill(store, 2)  # takes three days
        for id in ("n1", "n2"):
            drafts = [
                DecisionDraft("accept", {"code": "J18.9"}),
                DecisionDraft("accept", {"code": "I10"}),
                DecisionDraft("submit"),
            ]
            last = append_decisions(store, id, drafts, author="a", seen=0).events[-1]
        assert submitted_notes(store) == ["n1", "n2"]
        assert submitted_notes(store, last.at.date()) == ["n1"]
        append_decisions(store, "n1", [DecisionDraft("reopen")], author="a", seen=3)
        assert submitted_notes(store) == ["n2"]


def test_a_killed_purge_is_completed_by_the_same_call(store: Store) -> None:
    ids = [f"n{n}" for n in range(450)]
    import_notes(store, [ReviewNote(id, f"Text of {id}") for id in ids])

    def killed(_stage: str, done: int, *_: object) -> None:
        if done == 400:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        purge_texts(store, ids, killed)
    left = [id for id in ids if stored_note(store, id).text is not None]
    assert left == ids[400:]
    assert purge_texts(store, ids).texts == 50
