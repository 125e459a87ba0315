"""Importing what publishers and hospitals write: CMS's files, ClaML, tables, archives."""

import zipfile
from datetime import date

import pytest

from icdcli.errors import ConfigError, DataError
from icdcli.icd.editions.edition import About, Edition
from icdcli.icd.editions.importing import about_import, add_index, import_edition, is_index

ORDER = """\
00001 A00     0 Cholera                                                      Cholera
00002 A000    1 Cholera due to Vibrio cholerae 01, biovar cholerae           Cholera due to Vibrio cholerae 01, biovar cholerae
00003 A009    1 Cholera, unspecified                                         Cholera, unspecified
"""  # noqa: E501  (columns of fixed width)
CODES = "A000    Cholera due to Vibrio cholerae 01, biovar cholerae\nA009    Cholera, unspecified\n"
CLAML = """<?xml version="1.0"?><ClaML version="2.0.0">
<Modifier code="M1"/>
<ModifierClass code=".0" modifier="M1"><SuperClass code="M1"/>
 <Rubric kind="preferred"><Label>with coma</Label></Rubric></ModifierClass>
<ModifierClass code=".9" modifier="M1"><SuperClass code="M1"/>
 <Rubric kind="preferred"><Label>without complications</Label></Rubric></ModifierClass>
<Class code="IV" kind="chapter"><SubClass code="E10-E14"/>
 <Rubric kind="preferred"><Label>Endocrine diseases</Label></Rubric></Class>
<Class code="E10-E14" kind="block"><SuperClass code="IV"/><SubClass code="E10"/>
 <SubClass code="E12"/>
 <ModifiedBy code="M1"/><Rubric kind="preferred"><Label>Diabetes</Label></Rubric></Class>
<Class code="E10" kind="category"><SuperClass code="E10-E14"/>
 <Rubric kind="preferred"><Label>Type 1 diabetes</Label></Rubric>
 <Rubric kind="inclusion"><Label>juvenile diabetes</Label></Rubric>
 <Rubric kind="exclusion"><Label>gestational (O24)</Label></Rubric></Class>
<Class code="E12" kind="category"><SuperClass code="E10-E14"/><ExcludeModifier code="M1"/>
 <Rubric kind="preferred"><Label>Other</Label></Rubric></Class>
</ClaML>"""
INDEX = """<?xml version="1.0"?><ICD10CM.index><letter><mainTerm><title>Injury</title>
<term level="1"><title>brain <nemod>(traumatic)</nemod></title><code>S06.0</code>
<term level="2"><title>fatal</title><code>S06.307</code></term></term>
<term level="1"><title>elbow</title><see>Contusion</see></term></mainTerm></letter>
</ICD10CM.index>"""


def imported(path, name="icd10cm-test"):
    return import_edition(path, about_import(path, name))


def written(path, content):
    path.write_text(content, encoding="utf-8")
    return path


def codes(edition):
    return [code for code, _ in edition.assignable()]


@pytest.mark.parametrize("content", [ORDER, CODES])
def test_cms_lists_have_codes_titles_and_chapters(tmp_path, content):
    found = imported(written(tmp_path / "list.txt", content))
    assert codes(found) == ["A00.0", "A00.9"]
    assert found.title("A00.0") == "Cholera due to Vibrio cholerae 01, biovar cholerae"
    assert [found.codes[row] for row in found.above(found.row("A00.0"))] == [
        "A00",
        "A00-A09",
        "Chapter A00-B99",
    ]


def test_an_order_file_has_the_titles_of_categories(tmp_path):
    assert imported(written(tmp_path / "order.txt", ORDER)).title("A00") == "Cholera"


def test_a_list_of_another_system_says_how_to_import_it(tmp_path):
    with pytest.raises(ConfigError, match="a table with the columns code, title and parent"):
        imported(written(tmp_path / "list.txt", CODES), "kcd-9")


def test_claml_has_classes_rubrics_and_modifiers(tmp_path):
    found = imported(written(tmp_path / "who.xml", CLAML), "icd10who-2019")
    assert codes(found) == ["E10.0", "E10.9", "E12"]
    assert found.title("E10.0") == "Type 1 diabetes: with coma"
    row = found.row("E10")
    assert found.notes(row, "terms") == ("juvenile diabetes",)
    assert found.notes(row, "excludes1") == ("gestational (O24)",)
    assert [found.codes[one] for one in found.above(row)] == ["E10-E14", "IV"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-30], "the XML is damaged or cut short"),
        (
            lambda text: text.replace('<SubClass code="E12"/>', '<SubClass code="E99"/>'),
            "E99 is named",
        ),
        (lambda text: text.replace('modifier="M1"', 'modifier="M2"'), "modifier M1 is named"),
    ],
)
def test_claml_that_is_incomplete_is_refused(tmp_path, damage, message):
    with pytest.raises(DataError, match=message):
        imported(written(tmp_path / "who.xml", damage(CLAML)), "icd10who-2019")


def test_a_tabular_list_is_found_in_an_archive(tmp_path, tabular, edition):
    with zipfile.ZipFile(tmp_path / "cms.zip", "w") as archive:
        archive.writestr("Tables/icd10cm_index_2026.xml", INDEX)
        archive.writestr("Tables/icd10cm_tabular_addenda_2026.xml", "<other/>")
        archive.writestr("Tables/icd10cm_tabular_2026.xml", tabular)
    assert codes(imported(tmp_path / "cms.zip")) == codes(edition)


def test_archives_without_codes_or_cut_short_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "cms.zip", "w") as archive:
        archive.writestr("a.pdf", "x")
    with pytest.raises(DataError, match=r"no member with codes; it has a\.pdf"):
        imported(tmp_path / "cms.zip")
    content = (tmp_path / "cms.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises((DataError, ConfigError)):
        imported(tmp_path / "cut.zip")


def test_the_index_adds_its_terms(tmp_path, edition):
    path = written(tmp_path / "index.xml", INDEX)
    assert is_index(path)
    found = add_index(edition, path)
    assert found.notes(found.row("S06.0"), "terms") == (
        "Commotio cerebri",
        "Injury, brain (traumatic)",
    )
    assert found.notes(found.row("S06.307"), "terms") == ("Injury, brain (traumatic), fatal",)
    with pytest.raises(DataError, match="none of its codes is in other"):
        add_index(Edition.of(About("other", "other"), []), path)
    with pytest.raises(ConfigError, match="Import the tabular list first"):
        imported(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("kcd.csv", "code,title,terms,parent\nE11,Diabetes,DM|sugar,\nE11.9,Without,,E11\n"),
        ("kcd.tsv", "Kode\tBezeichnung\nE11\tDiabetes\nE11.9\tWithout\n"),
        (
            "kcd.jsonl",
            '{"code": "E11", "title": "Diabetes"}\n{"code": "E11.9", "title": "Without"}\n',
        ),
    ],
)
def test_tables_of_codes_and_titles(tmp_path, name, content):
    found = imported(written(tmp_path / name, content), "kcd-9")
    assert codes(found) == ["E11.9"]
    assert found.codes[found.parents_R[found.row("E11.9")]] == "E11"
    if name == "kcd.csv":
        assert found.notes(found.row("E11"), "terms") == ("DM", "sugar")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("code,title\nA,one\nA,two\n", "row 2: A has two titles, 'one' and 'two'"),
        ("code,title\n,one\n", "row 1: no code"),
        ("code,title,parent\nA,one,B\n", "A is below B, which isn't in the table"),
        ("code,title,parent\nA,one,B\nB,two,A\n", "the parents of . are in a circle"),
        ("kode2,title\nA,one\n", "no column named code; its columns are kode2, title"),
        ("code,title\n", "has a header but no rows"),
    ],
)
def test_tables_with_mistakes_are_refused(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        imported(written(tmp_path / "kcd.csv", content), "kcd-9")


def test_codes_as_numbers_are_refused(tmp_path):
    with pytest.raises(DataError, match="number"):
        imported(written(tmp_path / "kcd.jsonl", '{"code": 250.0, "title": "x"}\n'), "kcd-9")


def test_what_is_no_list_of_codes_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no known list of codes"):
        imported(written(tmp_path / "letter.txt", "Dear colleague,\nthank you\n"))
    with pytest.raises(ConfigError, match="no such file"):
        imported(tmp_path / "gone.txt")


def test_official_names_explain_themselves(tmp_path):
    about = about_import(tmp_path / "x", "icd10cm-2027")
    assert (about.valid_from, about.valid_to) == (date(2026, 10, 1), date(2027, 9, 30))
    assert about.title == "ICD-10-CM, fiscal year 2027"
    own = about_import(tmp_path / "x.csv", "kcd-9", "KCD 9", date(2026, 1, 1), "own")
    assert (own.title, own.valid_from, own.license) == ("KCD 9", date(2026, 1, 1), "own")
