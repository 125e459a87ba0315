"""What records say about editions, and how two records differ."""

from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.records import edition_id, edition_ids, of_kinds, other_editions

OLD = {"name": "icd10cm-2024", "sha256": "1" * 64}
NEW = {"name": "icd10cm-2026-04", "sha256": "2" * 64}
OWN = {"name": "icd10cm-2026-04", "sha256": "3" * 64}
PCS = {"name": "icd10pcs-2024", "sha256": "4" * 64}


def test_an_edition_is_named_with_the_beginning_of_its_hash():
    assert edition_id(NEW) == "icd10cm-2026-04@222222222222"
    both = {"diagnosis": NEW, "procedure": NEW}
    assert edition_ids(both) == [edition_id(NEW)]
    assert edition_ids(both | {"procedure": PCS}) == [edition_id(NEW), edition_id(PCS)]
    assert edition_ids(None) == []


def test_records_differ_in_the_kinds_that_both_have():
    assert other_editions({"diagnosis": OLD}, {"diagnosis": NEW}) == (OLD["name"], NEW["name"])
    assert other_editions({"diagnosis": OLD, "procedure": PCS}, {"diagnosis": OLD}) is None
    assert other_editions({"diagnosis": OLD}, {"procedure": PCS}) is None
    assert other_editions(None, {"diagnosis": NEW}) is None
    assert other_editions({"diagnosis": NEW}, None) is None


def test_editions_of_one_name_are_told_apart_by_their_hash():
    found = other_editions({"diagnosis": NEW, "procedure": PCS}, {"diagnosis": OWN})
    assert found == ("icd10cm-2026-04@222222222222", "icd10cm-2026-04@333333333333")


def test_only_some_kinds_are_kept():
    both = {"diagnosis": NEW, "procedure": PCS}
    assert of_kinds(both, ["procedure", "procedure"]) == {"procedure": PCS}


def test_the_hash_is_the_edition_s():
    edition = find_edition("icd9cm-32")
    record = {"name": edition.about.name, "sha256": edition.sha256}
    assert edition_id(record).startswith("icd9cm-32@") and len(edition.sha256) == 64
