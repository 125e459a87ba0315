import re
from importlib.resources import files

import pytest

from icdcli.icd.codes import SYSTEMS
from icdcli.icd.history import history_of
from icdcli.icd.lexicon.history_terms import history_terms
from icdcli.icd.titles import is_known, titles


@pytest.mark.parametrize(
    ("code", "system", "language", "term"),
    [
        ("Z80.0", "icd10", "en", "esophageal cancer"),
        ("Z80.3", "icd10", "en", "breast cancer"),
        ("Z80.3", "icd10", "es", "cáncer de mama"),
        ("V10.3", "icd9", "en", "breast cancer"),
        ("Z85.038", "icd10", "en", "Malignant neoplasm of colon"),  # by the row of Z85.03
        ("Z87.440", "icd10", "en", "urinary tract infection"),
        ("Z83.3", "icd10", "en", "diabetes"),
        ("V18.0", "icd9", "en", "diabetes"),
    ],
)
def test_a_history_has_the_terms_for_its_diseases(code, system, language, term):
    assert term.lower() in map(str.lower, history_terms(code, system, language))


def test_other_codes_and_diseases_have_none():
    assert history_terms("C50.9", "icd10", "en") == ()
    assert history_terms("Z92.3", "icd10", "en") == ()
    assert not {"gastric cancer", "breast cancer"} & {*history_terms("Z80.1", "icd10", "en")}
    assert "diabetes" not in history_terms("Z86.39", "icd10", "en")  # it lasts


def test_a_language_without_synonyms_has_titles():
    assert "Malignant neoplasm of breast" in history_terms("Z80.3", "icd10", "fi")


def test_the_table_has_known_codes_only():
    text = files("icdcli.icd.lexicon").joinpath("histories.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    assert len({(system, code) for system, code, _ in rows}) == len(rows)
    below = {system: list(titles(system, "diagnosis")) for system in SYSTEMS}
    for system, code, diseases in rows:
        mine = [one for one in below[system] if one.startswith(code)]
        assert mine, code
        assert all(history_of(one, "diagnosis", system) for one in mine), code
        for part in diseases.split(" "):
            assert re.fullmatch(r"[A-Z]\d[\dA-Z](-[A-Z]\d\d|\.\d+)?", part), part
            begin, _, end = part.partition("-")
            assert begin < (end or "a"), part
            assert is_known(begin, "diagnosis", "icd10") or end, part
