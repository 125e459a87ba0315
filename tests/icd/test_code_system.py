"""The coding system of a corpus: editions by name, codes of every kind of system."""

from datetime import date

import pytest

from icdcli.errors import ConfigError, DataError
from icdcli.icd.code_system import (
    EARLIER,
    earlier_editions,
    open_code_system,
    shape_of,
    stored_code_system,
)
from icdcli.icd.editions.catalog import VARIABLE, store_edition
from icdcli.icd.editions.edition import About, Edition, Entry
from icdcli.icd.titles import described_codes, description, title_of


@pytest.mark.parametrize(
    ("name", "full", "shape"),
    [
        ("icd9", "icd9cm-32", "icd9"),
        ("icd10", "icd10cm-2026-04", "icd10"),
        ("icd10cm-2024", "icd10cm-2024", "icd10"),
        ("icd10pcs", "icd10pcs-2024", "icd10"),
    ],
)
def test_names_mean_editions(name, full, shape):
    system = open_code_system(name)
    assert (system.name, system.shape) == (full, shape)
    assert set(system.editions) == {"diagnosis", "procedure"}
    assert open_code_system(system.name).to_json() == system.to_json()


def test_a_day_chooses_the_editions():
    assert open_code_system("icd10", date(2024, 1, 1)).name == "icd10cm-2024"


def test_the_editions_of_version_0_1_0_say_what_it_said():
    """Its runs are resumed with the same titles, descriptions and label spaces."""
    system = open_code_system(EARLIER["icd10"])
    for code in ("J45.909", "M54.5", "428", "E11", "A02.0", "I21.4", "nonsense"):
        assert system.title(code, "diagnosis") == title_of(code, "diagnosis", "icd10")
        assert system.description(code, "diagnosis") == description(code, "diagnosis", "icd10")
    ours = list(system.described_codes(["diagnosis", "procedure"]))
    assert sorted(ours) == sorted(described_codes("icd10", ["diagnosis", "procedure"]))
    nine = open_code_system(EARLIER["icd9"])
    assert sorted(nine.described_codes(["procedure", "diagnosis"])) == sorted(
        described_codes("icd9", ["diagnosis", "procedure"])
    )
    assert earlier_editions("icd9") == open_code_system("icd9").to_json()
    assert earlier_editions(None) is None


def test_a_retired_code_keeps_the_title_of_its_last_edition():
    assert open_code_system("icd10").title("C83.39", "diagnosis") is not None


def test_placeholders_at_the_end_of_a_code_mean_nothing():
    for name in ("icd10", EARLIER["icd10"]):
        system = open_code_system(name)
        assert system.title("S02.5XX", "diagnosis") == "Fracture of tooth (traumatic)"
        assert system.terms("S02.5XX", "diagnosis") == ("Broken tooth",)
        assert system.terms("W34.00X", "diagnosis") == system.terms("W34.00", "diagnosis") != ()


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "codes.csv"
    path.write_text(
        "code,title,parent,terms\n"
        "H,Heart,,\nH-1†,Heart attack,H,MI|coronary occlusion\n99213,Office visit,,\n"
        "1234-5,Glucose,,\nno follow-up,Free text,,\n"
    )
    return open_code_system(f"file:{path}")


def test_codes_of_any_kind_are_carried_as_they_are(own):
    assert own.shape is None
    assert [code for code, _, _ in own.described_codes(["diagnosis"])] == [
        "1234-5",
        "99213",
        "H-1†",
        "no follow-up",
    ]
    assert own.title("H-1†", "diagnosis") == "Heart attack"
    assert own.terms("H-1†", "diagnosis") == ("MI", "coronary occlusion")
    assert own.chapter_of("H-1†", "diagnosis") == ("H", "Heart")
    assert own.description("H-1†", "diagnosis", {"H-1†": "Own"}) == "Own"
    assert own.description("unknown", "diagnosis") is None
    assert own.title("H", "procedure") is None


def test_a_corpus_keeps_editions_that_the_package_lacks(own, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "codes"))
    folder = tmp_path / "corpus"
    folder.mkdir()
    own.keep(folder)
    open_code_system("icd10").keep(folder)
    assert [path.name for path in folder.iterdir()] == ["edition-diagnosis.parquet"]
    again = stored_code_system(own.name, own.to_json(), folder)
    assert again.title("99213", "diagnosis") == "Office visit"
    changed = {"diagnosis": {**own.to_json()["diagnosis"], "sha256": "0"}}
    with pytest.raises(DataError, match="another one than when the data were prepared"):
        stored_code_system(own.name, changed, folder)


def test_an_imported_edition_is_a_system(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    store_edition(Edition.of(About("kcd-9", "KCD"), [Entry("A00", "콜레라")]))
    system = open_code_system("kcd")
    assert (system.name, system.shape, system.title("A00", "diagnosis")) == (
        "kcd-9",
        None,
        "콜레라",
    )


def test_what_is_not_at_hand_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no edition 'icd10cm-2023'"):
        open_code_system("icd10cm-2023")
    with pytest.raises(ConfigError, match=r"file:.*/gone\.csv: no such file\."):
        open_code_system(f"file:{tmp_path}/gone.csv")
    with pytest.raises(ConfigError, match=r"file:gone\.csv: no such file in /"):
        open_code_system("file:gone.csv")
    assert shape_of("kcd-9") is None
