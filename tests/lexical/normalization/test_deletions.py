"""Words are found that are one letter from another, and no others."""

from hypothesis import given
from hypothesis import strategies as st

from icdcli.lexical.normalization.deletions import Deletions

LETTERS = "abé\U00010000"
WORDS = st.text(LETTERS, min_size=1, max_size=6)


def edits(word: str) -> set[str]:
    """Return all strings that are one letter from a word."""
    cuts = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    return {
        *(begin + end[1:] for begin, end in cuts if end),
        *(begin + end[1::-1] + end[2:] for begin, end in cuts if len(end) > 1),
        *(begin + letter + end[1:] for begin, end in cuts for letter in LETTERS if end),
        *(begin + letter + end for begin, end in cuts for letter in LETTERS),
    } - {word}


@given(st.sets(WORDS), WORDS)
def test_all_words_one_letter_away_are_found(words: set[str], word: str) -> None:
    near = Deletions(sorted(words)).near(word)
    assert len(near) == len(set(near))
    assert set(near) == words & edits(word)


def test_words_with_equal_checksums_are_told_apart(monkeypatch) -> None:
    monkeypatch.setattr("icdcli.lexical.normalization.deletions.crc32", lambda *_: 7)
    assert Deletions(["fever", "cough", "fver", "fe"]).near("fevr") == ["fever", "fver"]
    assert Deletions([]).near("fever") == []
