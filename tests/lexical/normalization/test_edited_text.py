"""Places in an edited text lead back to the original."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from icdcli.lexical.normalization.edited_text import Edit, EditedText


def original(edited: EditedText, begin: int, end: int) -> list[int]:
    return edited.original(np.array([[begin, end]]))[0].tolist()


def test_a_replacement_has_the_place_of_what_it_replaces() -> None:
    edited = EditedText.of("an old HTN now", [Edit(3, 6, "former"), Edit(7, 10, "HTN (high)")])
    assert edited.text == "an former HTN (high) now"
    assert original(edited, 0, 2) == [0, 2]
    assert original(edited, 5, 7) == [3, 6]
    assert original(edited, 15, 18) == [7, 10]
    assert original(edited, 21, 24) == [11, 14]
    assert original(edited, 0, 24) == [0, 14]
    assert original(edited, 9, 9) == [6, 6]


def test_a_text_without_edits_stays_as_it_is() -> None:
    for text in ("", "a b"):
        edited = EditedText.of(text, [])
        assert edited.text == text
        assert original(edited, 0, len(text)) == [0, len(text)]
    assert EditedText.of("a", []).original(np.zeros((0, 2), np.int64)).shape == (0, 2)


def test_text_can_be_inserted_and_left_out() -> None:
    edited = EditedText.of("abcd", [Edit(0, 0, "x"), Edit(1, 3, "")])
    assert edited.text == "xad"
    assert original(edited, 0, 1) == [0, 0]
    assert original(edited, 1, 3) == [0, 4]


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4), st.booleans())))
def test_what_is_not_replaced_is_found_in_the_original(
    pieces: list[tuple[str, str, bool]],
) -> None:
    text, instead, edits = "", "", []
    kept = []
    for before, after, changes in pieces:
        if changes:
            edits.append(Edit(len(text), len(text) + len(before), after))
            instead += after
        else:
            kept.append((len(instead), len(instead) + len(before), before))
            instead += before
        text += before
    edited = EditedText.of(text, edits)
    assert edited.text == instead
    for begin, end, piece in kept:
        first, after = original(edited, begin, end)
        assert text[first:after] == piece
    characters = np.array([[place, place + 1] for place in range(len(instead))]).reshape(-1, 2)
    places_N2 = edited.original(characters)
    assert (np.diff(places_N2[:, 0]) >= 0).all()
    assert (places_N2 >= 0).all() and (places_N2 <= len(text)).all()
