"""`icdcode codes`: every command, its JSON, and what it refuses."""

import pytest

from icdcli.icd.editions.catalog import VARIABLE


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "codes"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_list_shows_the_editions_at_hand(icdcode):
    answer = icdcode("codes", "list")
    assert answer.code == 0, answer.err
    assert "icd10cm-2026-04" in answer.out
    assert "74,719" in answer.out
    found = icdcode("codes", "list", "--json").json["editions"]
    assert [one["codes"] for one in found] == [74_044, 74_719, 78_603, 18_449]
    assert all(len(one["sha256"]) == 64 for one in found)


def test_show_prints_notes_and_what_became_of_a_code(icdcode):
    answer = icdcode("codes", "show", "E11.9")
    assert "Type 2 diabetes mellitus without complications" in answer.out
    assert "can be assigned" in answer.out
    assert "Excludes1 (not coded here), of E11" in answer.out
    divided = icdcode("codes", "show", "G35")
    assert "can't be assigned" in divided.out
    assert "G35.A" in divided.out


def test_search_finds_codes_and_says_if_there_is_none(icdcode):
    answer = icdcode("codes", "search", "sugar", "disease", "-n", 3, "--json")
    assert answer.json["codes"][0]["code"] == "E11.9"
    assert "No code" in icdcode("codes", "search", "zzzzzzz").out


@pytest.mark.slow
def test_diff_counts_and_lists_what_changed(icdcode):
    answer = icdcode("codes", "diff", "icd10cm-2024", "icd10cm-2026")
    assert "739 new, 64 retired" in answer.out
    assert (
        len(icdcode("codes", "diff", "icd10cm-2024", "icd10cm-2026", "--json").json["added"]) == 739
    )


def test_map_gives_equivalents_alone_or_together(icdcode):
    assert "250.00 (approximately)" in icdcode("codes", "map", "E11.9", "--to", "icd9cm").out
    together = icdcode("codes", "map", "E11.341", "--to", "icd9cm")
    assert "together" in together.out
    assert "362.07" in together.out
    assert icdcode("codes", "map", "4280", "--to", "icd10cm", "--json").json["code"] == "428.0"


def test_notes_that_checks_dont_understand_are_listed(icdcode):
    answer = icdcode("codes", "notes")
    assert "all notes of 2,571 (97%) name codes" in " ".join(answer.out.split())
    found = icdcode("codes", "notes", "--json").json
    assert found["places"] - found["understood"] == len({one["code"] for one in found["in_words"]})
    assert {"code": "J98.11", "note": "newborn atelectasis"} in found["in_words"]
    assert icdcode("codes", "notes", "--kind", "exclude1").code == 2


def test_an_imported_table_is_listed_searched_and_shown(icdcode, tmp_path):
    (tmp_path / "kcd.csv").write_text("code,title\nE11,당뇨병\nE11.9,합병증이 없는 당뇨병\n")
    options = ("--name", "kcd-9", "--title", "KCD 9", "--valid-from", "2026-01-01")
    answer = icdcode("codes", "import", tmp_path / "kcd.csv", *options)
    assert answer.code == 0, answer.err
    assert "Added kcd-9: 1 codes" in answer.out
    assert "2026-01-01" in icdcode("codes", "list").out
    assert icdcode("codes", "search", "당뇨병", "--edition", "kcd", "--json").json["codes"]
    assert "합병증이 없는 당뇨병" in icdcode("codes", "show", "e119", "--edition", "kcd").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "E11.9", "--edition", "icd10cm-2023"), "did you mean 'icd10cm-2024'?"),
        (("show", "ZZZ"), "isn't in ICD-10-CM"),
        (("diff", "icd9cm", "icd10cm"), "are of different coding systems"),
        (("diff", "icd10cm", "icd11"), "no edition 'icd11'"),
        (("map", "E11.9", "--to", "icd10"), "expected icd9cm or icd10cm"),
        (("map", "E11.99999", "--to", "icd9cm"), "CMS's mapping to icd9cm doesn't have it"),
        (("import", "gone.csv", "--name", "kcd-9"), "gone.csv: no such file"),
        (("import", "gone.csv", "--name", "KCD 9"), "can't be the name of an edition"),
        (("fetch", "kcd-9"), "icd10cm-YEAR"),
    ],
)
def test_wrong_arguments_get_one_message(icdcode, arguments, message):
    answer = icdcode("codes", *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert answer.err.count("error:") == 1


def test_fetch_without_a_network_says_what_to_do(icdcode):
    answer = icdcode("codes", "fetch", "icd10cm-2027", "--address", "http://127.0.0.1:9")
    assert answer.code == 3
    assert "icdcode codes import FILE --name icd10cm-2027" in answer.err
