from datetime import datetime

import pytest

from icdcli.data.encounters.boundaries import NoteBoundary, NotePlace, place_in_note
from icdcli.data.encounters.joining import EncounterNote, NoteAbout, join_notes


def note(id, text, hour=None, type=None):
    time = None if hour is None else datetime(2150, 5, 31, hour)
    return EncounterNote(NoteAbout(id, type, time, f"more of {id}"), text)


NOTES = [
    note("late", "Pneumonia.", 9),
    note("unknown", "Gout."),
    note("early", "Fever.", 8, "Triage"),
    note("same", "Cough.", 9),
]


def test_notes_are_joined_by_time_and_those_without_one_are_last():
    joined = join_notes(NOTES)
    assert joined.text == "Fever.\n\nPneumonia.\n\nCough.\n\nGout."
    assert [one.note_id for one in joined.notes] == ["early", "late", "same", "unknown"]
    assert joined.notes[0] == NoteBoundary("early", "Triage", datetime(2150, 5, 31, 8), 0, 6)
    assert [joined.text[one.begin : one.end] for one in joined.notes] == [
        "Fever.", "Pneumonia.", "Cough.", "Gout.",
    ]  # fmt: skip
    assert joined.mores == tuple(f"more of {one.note_id}" for one in joined.notes)


def test_published_benchmarks_join_notes_as_they_come():
    joined = join_notes(NOTES, "\n", by_time=False)
    assert joined.text == "Pneumonia.\nGout.\nFever.\nCough."
    assert [one.note_id for one in joined.notes] == ["late", "unknown", "early", "same"]


def test_every_character_of_a_note_has_its_place_in_it():
    joined = join_notes(NOTES)
    texts = {one.about.id: one.text for one in NOTES}
    for boundary in joined.notes:
        for begin in range(boundary.begin, boundary.end):
            place = place_in_note(joined.notes, begin, begin + 1)
            assert place.note_id == boundary.note_id
            assert texts[place.note_id][place.begin : place.end] == joined.text[begin]
    assert place_in_note(joined.notes, 8, 18) == NotePlace("late", 0, 10)


@pytest.mark.parametrize("span", [(0, 9), (6, 7), (4, 8)])
def test_a_place_across_notes_is_refused(span):
    with pytest.raises(ValueError, match="aren't within one note"):
        place_in_note(join_notes(NOTES).notes, *span)


def test_the_repr_of_a_note_has_no_text():
    assert "Gout" not in repr(NOTES[1])


def test_a_single_note_is_joined_to_itself():
    assert join_notes(NOTES[:1]) == (
        "Pneumonia.",
        (NoteBoundary("late", None, datetime(2150, 5, 31, 9), 0, 10),),
        ("more of late",),
    )
