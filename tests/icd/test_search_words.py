"""Words of a search and of terms."""

import pytest

from icdcli.icd.search_words import shortest


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["systems", "system", "systems"], ["system"]),
        (["other", "mother", "others"], ["other", "mother"]),
        (["a", "ab", "abc"], ["a", "ab", "abc"]),
        (["diabetes"], ["diabetes"]),
        ([], []),
    ],
)
def test_words_that_begin_with_another_one_are_left_out(words, expected):
    assert shortest(words, 3) == expected
