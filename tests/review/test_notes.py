"""Notes are imported once, all or none of them, and reviewers needn't wait meanwhile."""

import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from reviewing import fill
from sqlalchemy import func, select

from icdcli.data.notes.text import Note
from icdcli.errors import DataError
from icdcli.review.decisions import DecisionDraft
from icdcli.review.notes import (
    ImportedNotes,
    ReviewNote,
    import_notes,
    is_double,
    stored_note,
)
from icdcli.review.readings import append_decisions
from icdcli.review.schema import NoteRow, TextRow
from icdcli.review.store import Store, open_store


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


# Meanwhile


def test_decisions_are_stored_while_notes_are_imported(target: str) -> None:
    with open_store(target) as store, open_store(target) as reviewers:
        fill(store)
        seen = [0]

        def decide(stage: str, *_: object) -> None:
            if stage == "importing":
                draft = DecisionDraft("comment", {"text": "fine"})
                done = append_decisions(reviewers, "n1", [draft], author="a", seen=seen[-1])
                seen.append(done.state.number)

        import_notes(store, [ReviewNote(f"new {n}", f"Text {n}") for n in range(1200)], decide)
        assert seen == [0, 1, 2, 3]  # after each block of 500


def test_a_killed_import_is_completed_by_the_same_call(store: Store) -> None:
    notes = [ReviewNote(f"n{n}", f"Text {n}") for n in range(1200)]

    def killed(stage: str, done: int, *_: object) -> None:
        if stage == "importing" and done > 500:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_notes(store, notes, killed)
    assert count(store, NoteRow) == 1000
    assert import_notes(store, iter(notes)) == ImportedNotes(200, 1000, 0, 0)
    assert count(store, NoteRow) == 1200


def test_an_import_of_another_process_is_noticed(target: str) -> None:
    notes = [ReviewNote(f"n{n}", f"Text {n}") for n in range(1200)]
    with open_store(target) as store, open_store(target) as other:

        def import_too(stage: str, done: int, *_: object) -> None:
            if (stage, done) == ("importing", 500):
                import_notes(other, [notes[600], ReviewNote("n1100", "Another text")])

        with pytest.raises(DataError, match=r"'n1100': there is another text with this id"):
            import_notes(store, notes, import_too)
        assert count(store, NoteRow) == 1001  # two blocks, n600 among them, and n1100


def test_the_same_notes_can_be_imported_twice_at_once(target: str) -> None:
    notes = [ReviewNote(f"n{n}", f"Text {n}") for n in range(400)]
    together = threading.Barrier(2)

    def wait(stage: str, *_: object) -> None:
        if stage == "checking the notes":
            together.wait(20)

    def work() -> ImportedNotes:
        with open_store(target) as own:
            return import_notes(own, notes, wait)

    with open_store(target) as store, ThreadPoolExecutor(2) as pool:
        done = [one.result() for one in [pool.submit(work) for _ in range(2)]]
        assert sum(one.new for one in done) == count(store, NoteRow) == 400
        assert all(one.new + one.known == 400 for one in done)


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
def test_nobody_waits_for_an_import_of_a_hundred_thousand_notes(target: str) -> None:
    with open_store(target) as store, open_store(target) as reviewers:
        fill(reviewers)
        began, waited = time.process_time(), [0.0]
        done = threading.Event()

        def decide() -> None:
            seen = 0
            while not done.wait(0.2):
                draft, start = DecisionDraft("comment", {"text": "fine"}), time.monotonic()
                seen = append_decisions(
                    reviewers, "n1", [draft], author="a", seen=seen
                ).state.number
                waited.append(time.monotonic() - start)

        with ThreadPoolExecutor(1) as pool:
            deciding = pool.submit(decide)
            notes = (ReviewNote(f"m{n}", f"{n} " + "word " * 400) for n in range(100_000))
            try:
                assert import_notes(store, notes).new == 100_000
            finally:
                done.set()
            deciding.result()
        assert len(waited) > 20
        assert max(waited) < 2
        assert time.process_time() - began < 60
