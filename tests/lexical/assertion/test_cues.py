"""The tables of cues are whole, and a bad row of a user's table is named."""

from pathlib import Path

import pytest

from icdcli.errors import ConfigError, DataError
from icdcli.lexical.assertion.classes import Assertion
from icdcli.lexical.assertion.cues import LANGUAGES, built_in_cues, load_cues, read_own_cues
from icdcli.lexical.assertion.reader import AssertionReader

HEADER = "cue\tassertion\tscope\n"


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_cue_is_in_a_table_twice(language: str) -> None:
    rows = [line.split("\t") for line in built_in_cues(language).splitlines()[1:]]
    keys = [
        (cue, group if scope == "word" else scope if scope in ("section", "value") else "")
        for cue, group, scope in rows
    ]
    assert len(keys) == len(set(keys))
    assert len(keys) > 400
    load_cues(built_in_cues(language))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("no\tnegated", "2 columns, expected 3"),
        ("no\tnegatet\tforward", "unknown assertion 'negatet' (did you mean 'negated'?)"),
        ("no\tnegated\tforwards", "unknown scope 'forwards' (did you mean 'forward'?)"),
        ("no\t-\tforward", "the scope 'forward' needs an assertion"),
        ("\tnegated\tforward", "the cue has no word"),
        ("never <end> seen\tnegated\tbackward", "<end> stands at the end of a cue"),
        ("<end>\tnegated\tbackward", "<end> stands at the end of a cue"),
        ("<any> seen\tnegated\tbackward", "<any> stands amid a cue"),
        ("two words\tkin\tword", "a row of a group has one word"),
        ("mother\t-\tword", "a row of a group has one word"),
        ("in her <kim>\tfamily\tbackward", "no word of the table belongs to <kim>"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    own = tmp_path / "cues.tsv"
    own.write_text(HEADER + "# a comment\n\n" + row + "\n")
    with pytest.raises(DataError) as error:
        read_own_cues(own)
    assert "cues.tsv, line 4: " + message in str(error.value)


def test_a_table_without_header_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "cues.tsv"
    own.write_text("no\tnegated\tforward\n")
    with pytest.raises(DataError, match="the first line must be"):
        read_own_cues(own)


def test_a_table_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "cues.tsv"
    own.write_bytes(HEADER.encode() + "neg\xf3\tnegated\tforward\n".encode("cp1252"))
    with pytest.raises(DataError, match="isn't UTF-8"):
        read_own_cues(own)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the assertion cues"):
        read_own_cues(tmp_path / "none.tsv")


def test_a_language_without_a_table_has_no_cues() -> None:
    assert built_in_cues("fi") == ""


def test_later_rows_of_joined_tables_replace_earlier_ones() -> None:
    joined = load_cues(HEADER + "no\tnegated\tforward\n" + HEADER + "no\t-\tnone\n")
    assert list(joined.words["no"].cues) == ["none"]


def test_a_cue_of_a_group_is_found_by_each_of_its_words_and_those_of_later_tables() -> None:
    table = HEADER + "in her <kin>\tfamily\tbackward\nmother\tkin\tword\n"
    reader = AssertionReader(load_cues(table + HEADER + "nana\tkin\tword\n"))
    for word in ("mother", "nana"):
        assert reader.read(f"gout in her {word}").at([0]) == Assertion.FAMILY
    assert reader.read("gout in her toe").at([0]) == Assertion.AFFIRMED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gout 3 years back", Assertion.HISTORICAL),
        ("gout some years back", Assertion.AFFIRMED),
        ("gout from 1987", Assertion.HISTORICAL),
        ("gout from 3", Assertion.AFFIRMED),
    ],
)
def test_numbers_and_years_belong_to_groups_of_their_own(text: str, expected: Assertion) -> None:
    rows = "<number> years back\thistorical\tbackward\nfrom yyyy\thistorical\tbackward\n"
    assert AssertionReader(load_cues(HEADER + rows)).read(text).at([0]) == expected
