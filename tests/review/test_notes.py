"""Notes are imported once, whole or not at all, and their texts can be purged."""

import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from reviewing import TEXT, fill, suggested
from sqlalchemy import func, select

from icdcli.data.notes.text import Note
from icdcli.errors import ConfigError, DataError
from icdcli.review.decisions import DecisionDraft
from icdcli.review.notes import (
    ReviewNote,
    import_notes,
    is_double,
    purge_texts,
    stored_note,
    submitted_notes,
)
from icdcli.review.readings import append_decisions, read_state
from icdcli.review.schema import NoteRow, TextRow
from icdcli.review.store import Store, open_store
from icdcli.review.suggestions import suggestions_of


def count(store: Store, table: type) -> int:
    with store.reading() as connection:
        return connection.scalar(select(func.count()).select_from(table))


def test_a_note_is_stored_with_its_encounter(store: Store) -> None:
    note = ReviewNote("a", "Fièvre 열 🤒", "e1", "p1", date(2026, 5, 31), "fr", "test")
    import_notes(store, [note, Note("b", "Fever", date(2026, 6, 1))])
    assert stored_note(store, "a") == note
    assert stored_note(store, "b") == ReviewNote("b", "Fever", day=date(2026, 6, 1))
    with pytest.raises(DataError, match="has no note 'c'"):
        stored_note(store, "c")


def test_an_import_can_be_repeated(store: Store) -> None:
    notes = [ReviewNote("a", "Fever"), ReviewNote("b", "Cough"), ReviewNote("a", "Fever")]
    first = import_notes(store, notes)
    second = import_notes(store, [*notes, ReviewNote("c", " ")])
    assert (first.new, first.known, first.empty) == (2, 1, 0)
    assert (second.new, second.known, second.empty) == (1, 3, 1)
    assert count(store, NoteRow) == 3


def test_a_text_is_stored_once(store: Store) -> None:
    import_notes(store, [ReviewNote(id, "Fever") for id in "abc"])
    import_notes(store, [ReviewNote("d", "Fever")])
    assert (count(store, NoteRow), count(store, TextRow)) == (4, 1)


@pytest.mark.parametrize("known", ["in the store", "in the import"])
def test_another_text_with_the_same_id_imports_nothing(store: Store, known: str) -> None:
    import_notes(store, [ReviewNote("old", "Fever")])
    many = [ReviewNote(f"n{number}", f"Text {number}") for number in range(1200)]
    wrong = ReviewNote("old" if known == "in the store" else "n3", "Another text")
    with pytest.raises(DataError, match=rf"note '{wrong.id}': there is another text") as caught:
        import_notes(store, [*many, wrong])
    assert "Another" not in str(caught.value)
    assert count(store, NoteRow) == count(store, TextRow) == 1


@pytest.mark.parametrize(
    ("note", "message"),
    [
        (ReviewNote("", "Fever"), "has no id"),
        (ReviewNote("a", "Fever\x00"), "'a' contains a NUL"),
        (ReviewNote("a", "Fever \ud800"), "'a' contains half of a character"),
        (ReviewNote("a", None), "'a' has no text"),
        (ReviewNote("a", "Fever", split="dev"), "its split is none of"),
    ],
)
def test_what_cannot_be_stored_is_one_message(store: Store, note: ReviewNote, message: str) -> None:
    with pytest.raises(DataError, match=message):
        import_notes(store, [ReviewNote("good", "Cough"), note])
    assert count(store, NoteRow) == 0


def test_the_share_of_double_notes_depends_on_id_and_seed_alone(store: Store) -> None:
    ids = [f"note {number}" for number in range(2000)]
    some = {id for id in ids if is_double(id, 0.2, 1)}
    assert 330 <= len(some) <= 470
    assert some < {id for id in ids if is_double(id, 0.4, 1)}
    assert some != {id for id in ids if is_double(id, 0.2, 2)}
    assert not any(is_double(id, 0.0, 1) for id in ids)
    assert all(is_double(id, 1.0, 1) for id in ids)


def test_a_store_gives_its_share_of_notes_to_two_readers(target: str) -> None:
    ids = [f"note {number}" for number in range(100)]
    with open_store(target, double_share=0.3, double_seed=5) as store:
        done = import_notes(store, [ReviewNote(id, id) for id in reversed(ids)])
        found = {id for id in ids if stored_note(store, id).readings == 2}
    assert found == {id for id in ids if is_double(id, 0.3, 5)}
    assert done.double == len(found)


# Purging


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


# Size


def test_an_import_is_streamed(tmp_path: Path) -> None:
    def notes(number: int) -> Iterator[ReviewNote]:
        return (ReviewNote(f"n{place}", f"{place} " + "word " * 400) for place in range(number))

    with open_store(tmp_path / "review.db") as store:
        import_notes(store, notes(600))  # what is imported once is in memory now
        tracemalloc.start()
        import_notes(store, notes(6000))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8_000_000  # the texts alone have 12 MB


@pytest.mark.slow
def test_a_hundred_thousand_notes_are_imported_in_reasonable_time(target: str) -> None:
    with open_store(target) as store:
        began = time.process_time()
        notes = (ReviewNote(f"n{place}", f"{place} " + "word " * 400) for place in range(100_000))
        assert import_notes(store, notes).new == 100_000
        assert time.process_time() - began < 60
