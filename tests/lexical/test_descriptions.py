from icdcli.data.corpus.reader import Labels
from icdcli.icd.code_system import open_code_system
from icdcli.icd.terms import inclusion_terms
from icdcli.icd.titles import title_of
from icdcli.lexical.descriptions import descriptions_of

ICD10 = open_code_system("icd10")


def labels(*codes, kinds=None, titles=None):
    zeros = (0,) * len(codes)
    return Labels(
        codes, kinds or ("diagnosis",) * len(codes), titles or (None,) * len(codes), zeros, zeros
    )


def test_the_title_of_the_data_set_comes_first():
    assert descriptions_of(labels("I10", titles=("Pressure",)), ICD10)[0][0] == "Pressure"


def test_a_code_without_title_has_the_official_one_and_its_inclusion_terms():
    [found] = descriptions_of(labels("A02.0"), ICD10)
    assert found == (title_of("A02.0", "diagnosis", "icd10"), *inclusion_terms("A02.0"))
    assert len(found) > 1


def test_without_a_coding_system_a_code_has_only_its_title():
    assert descriptions_of(labels("x", "A02.0", titles=("An x", None)), None) == [("An x",), ()]


def test_an_unknown_code_has_no_description():
    assert descriptions_of(labels("nonsense!"), ICD10) == [()]


def test_synonyms_follow_the_official_terms():
    official = descriptions_of(labels("I21.9"), ICD10)[0]
    with_synonyms = descriptions_of(labels("I21.9"), ICD10, "en")[0]
    assert with_synonyms[: len(official)] == official
    assert "heart attack" in with_synonyms[len(official) :]
    assert descriptions_of(labels("I21.9"), ICD10, "fi")[0] == official


def test_what_an_abbreviation_of_the_code_stands_for_is_a_description():
    [found] = descriptions_of(labels("B00.9"), ICD10, "en")
    assert "herpes simplex virus" in found
    assert "herpes simplex virus" not in descriptions_of(labels("B00.9"), ICD10)[0]
    assert len(set(found)) == len(found)


def test_the_table_of_a_system_has_the_descriptions_of_its_codes(tmp_path):
    """These are what the prior, the overlap and the initialization of labels read."""
    path = tmp_path / "kcd.csv"
    path.write_text(
        "code,title,terms,parent\n"
        "H,Heart,,\nH-1†,,,H\nH-2,Heart attack,MI|coronary occlusion,H\n00100,Anesthesia,,\n"
    )
    system = open_code_system(f"file:{path}")
    found = descriptions_of(labels("H-1†", "H-2", "00100", "gone"), system, "en")
    assert found == [
        ("Heart",),  # of the code above it
        ("Heart attack", "MI", "coronary occlusion"),
        ("Anesthesia",),
        (),
    ]
