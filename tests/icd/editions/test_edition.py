"""An edition: its rows and notes, its file, and its hash."""

from datetime import date

import pytest

from icdcli.errors import DataError
from icdcli.icd.editions.edition import About, Edition, Entry


def codes(edition, rows):
    return [edition.codes[row] for row in rows]


def test_rows_know_what_is_above_and_below(edition):
    row = edition.row("S06.0")
    assert codes(edition, edition.above(row)) == ["S06", "S00-S09", "S00-S69", "Chapter S00-T88"]
    assert codes(edition, edition.children(edition.row("S06"))) == ["S06.0", "S06.307"]
    assert edition.ends_R[edition.row("S06")] == edition.row("S50-S59")
    assert edition.level(row) == "code"
    assert edition.level(edition.row("S06")) == "category"


def test_notes_above_a_code_apply_to_it(edition):
    row = edition.row("S06.0XXA")
    assert [
        (edition.codes[place], notes) for place, notes in edition.notes_above(row, "excludes1")
    ] == [("S06", ("head injury NOS (S09.90)",))]


@pytest.mark.parametrize("spelled", ["S06.0XXA", "s06.0xxa", "S060XXA", " S060XXA "])
def test_codes_are_found_however_they_are_spelled(edition, spelled):
    assert edition.codes[edition.spelled(spelled)] == "S06.0XXA"
    assert edition.spelled("S06.9") is None


def test_a_file_gives_back_all_that_was_written(edition, tmp_path):
    path = tmp_path / "edition.parquet"
    edition.write(path)
    read = Edition.read(path)
    assert list(read.entries()) == list(edition.entries())
    assert (read.about, read.sha256) == (edition.about, edition.sha256)


def test_the_hash_changes_with_every_title_and_note(entries):
    def hashed(changed):
        return Edition.of(About("a", "a"), changed).sha256

    other_title = [entries[0]._replace(title="other"), *entries[1:]]
    other_note = [entries[0]._replace(notes={"notes": ["other"]}), *entries[1:]]
    assert len({hashed(entries), hashed(other_title), hashed(other_note)}) == 3
    assert hashed(entries) == hashed(list(entries))


def test_days_survive_the_file(tmp_path):
    about = About("x-1", "X", ("procedure",), date(2026, 10, 1), None, "somewhere", "free")
    Edition.of(about, [Entry("1", "one")]).write(tmp_path / "x.parquet")
    assert Edition.read(tmp_path / "x.parquet").about == about


def test_two_titles_of_one_code_and_missing_parents_are_refused():
    with pytest.raises(DataError, match="a: A1 occurs twice, as 'one' and 'two'"):
        Edition.of(About("a", "a"), [Entry("A1", "one"), Entry("A1", "two")])
    with pytest.raises(DataError, match="A1 is below B, which isn't before it"):
        Edition.of(About("a", "a"), [Entry("A1", "one", parent="B")])


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and more")
    with pytest.raises(
        DataError, match=r"x\.parquet: the edition can't be read .* Import it again"
    ):
        Edition.read(tmp_path / "x.parquet")
