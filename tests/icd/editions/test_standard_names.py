import pytest

from icdcli.icd.editions.catalog import editions
from icdcli.icd.editions.standard_names import edition_version, standard_names


def test_every_edition_of_the_package_has_names_in_standards():
    for found in editions():
        if found.bundled:
            names = standard_names(found.about.name)
            assert names.uri.startswith("http://") and names.hl7 != "L" and names.omop


@pytest.mark.parametrize("edition", ["icd10cm-2026-04", "icd10cm-2026-04@6f1c0a9d2b7e"])
def test_an_edition_is_known_with_and_without_its_hash(edition):
    assert standard_names(edition).uri == "http://hl7.org/fhir/sid/icd-10-cm"
    assert edition_version(edition) == "2026-04"


@pytest.mark.parametrize("edition", [None, "own-1", "kcd-9"])
def test_other_systems_are_local(edition):
    assert standard_names(edition) == (None, "L", None)


def test_versions_of_editions_without_one():
    assert edition_version(None) is None and edition_version("codes") is None
