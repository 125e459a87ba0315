import pytest

from icdcli.icd.history import history_of
from icdcli.icd.titles import titles


@pytest.mark.parametrize(
    ("code", "system", "history"),
    [
        ("Z80.0", "icd10", "family"),
        ("Z82.49", "icd10", "family"),
        ("Z84.89", "icd10", "family"),
        ("Z85.3", "icd10", "personal"),
        ("Z87.891", "icd10", "personal"),
        ("Z91.51", "icd10", "personal"),  # of suicidal behavior, by its title
        ("Z88.0", "icd10", None),  # an allergy
        ("Z90.10", "icd10", None),  # an absent breast
        ("C50.9", "icd10", None),
        ("V10.3", "icd9", "personal"),
        ("V16.0", "icd9", "family"),
        ("V17.3", "icd9", "family"),
        ("V87.41", "icd9", "personal"),  # of chemotherapy, by its title
        ("V14.0", "icd9", None),  # an allergy to penicillin
        ("V15.01", "icd9", None),  # an allergy to peanuts
        ("V15.82", "icd9", "personal"),
        ("V45.81", "icd9", None),
        ("V43.6", "icd10", None),  # a van occupant
        ("Z99.9", "icd10", None),
    ],
)
def test_codes_of_a_history_are_known_by_category_or_title(code, system, history):
    assert history_of(code, "diagnosis", system) == history


def test_procedures_mean_no_history():
    assert history_of("Z80.0", "procedure", "icd10") is None
    with pytest.raises(ValueError, match="no codes of kind"):
        history_of("Z80.0", "diagnosis", "icd11")


def test_official_titles_agree():
    for code, title in titles("icd10", "diagnosis").items():
        history = history_of(code, "diagnosis", "icd10")
        if title.startswith(("Family history of", "Personal history of")):
            assert history == title.split()[0].lower(), code
        elif history is not None:
            assert "history of" in title, code
