"""The editions at hand, and how a name or a day chooses one."""

from datetime import date

import pytest

from icdcli.errors import ConfigError, DataError
from icdcli.icd.editions.catalog import (
    VARIABLE,
    check_name,
    editions,
    find_edition,
    open_edition,
    store_edition,
)
from icdcli.icd.editions.edition import About, Edition, Entry

BUNDLED = ["icd10cm-2024", "icd10cm-2026-04", "icd10pcs-2024", "icd9cm-32"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "codes"))
    return tmp_path / "codes"


def stored(name, valid_from=None, title="x"):
    return store_edition(Edition.of(About(name, title, valid_from=valid_from), [Entry("A", "a")]))


def test_the_package_has_its_editions_with_source_and_license():
    found = [one.about for one in editions()]
    assert [about.name for about in found] == BUNDLED
    assert all(about.source and about.license and about.valid_from for about in found)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("icd10cm", "icd10cm-2026-04"),
        ("icd10cm-2026", "icd10cm-2026-04"),
        ("ICD10CM-2024", "icd10cm-2024"),
        ("icd9cm", "icd9cm-32"),
    ],
)
def test_the_beginning_of_a_name_means_the_newest(name, found):
    assert find_edition(name).about.name == found


@pytest.mark.parametrize(
    ("day", "found"),
    [
        (date(2024, 3, 1), "icd10cm-2024"),
        (date(2026, 3, 31), "icd10cm-2024"),  # the nearest before it
        (date(2026, 4, 1), "icd10cm-2026-04"),
        (date(2015, 1, 1), "icd10cm-2024"),  # the first there is
    ],
)
def test_a_day_chooses_the_edition_that_was_valid(day, found):
    assert find_edition("icd10cm", day).about.name == found


def test_an_unknown_name_gets_the_nearest_and_all_at_hand():
    with pytest.raises(
        ConfigError, match=r"did you mean 'icd10cm-2024'\?\)\. At hand are: icd10cm"
    ):
        find_edition("icd10cm-2023")
    with pytest.raises(ConfigError, match="codes import"):
        find_edition("kcd")


def test_imported_editions_are_found_and_replace_bundled_ones(own_folder):
    stored("kcd-9")
    stored("icd10cm-2027", date(2026, 10, 1))
    stored("icd9cm-32", title="mine")
    assert find_edition("kcd").about.name == "kcd-9"
    assert find_edition("icd10cm").about.name == "icd10cm-2027"
    assert find_edition("icd9cm").about.title == "mine"
    assert [one.about.name for one in editions() if not one.bundled] == [
        "icd10cm-2027",
        "icd9cm-32",
        "kcd-9",
    ]


def test_an_edition_that_was_written_again_is_read_again(own_folder):
    first = find_edition("kcd") if stored("kcd-9").exists() else None
    stored("kcd-9", title="new title")
    assert first is not None and first.about.title == "x"
    assert find_edition("kcd").about.title == "new title"


@pytest.mark.parametrize("name", ["", "KCD", "../kcd", "kcd 9", "-kcd", "kcd/9"])
def test_a_name_that_is_no_file_name_is_refused(name):
    with pytest.raises(ConfigError, match="can't be the name of an edition"):
        check_name(name)


def test_a_damaged_or_missing_edition_is_named(own_folder):
    own_folder.mkdir()
    (own_folder / "bad-1.parquet").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"bad-1\.parquet: the edition can't be read"):
        editions()
    with pytest.raises(DataError, match=r"gone\.parquet: the edition can't be read"):
        open_edition(own_folder / "gone.parquet")
