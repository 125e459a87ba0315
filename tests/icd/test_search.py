"""Search of codes: by words, beginnings, typos, synonyms and abbreviations."""

import pytest

from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.edition import About, Edition, Entry
from icdcli.icd.search import CodeSearch, search_terms


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    edition = find_edition("icd10cm-2026-04")
    return CodeSearch(edition, search_terms(edition, "en"), tmp_path_factory.mktemp("index"))


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("sugar disease", "E11.9"),
        ("high blood pressure", "I10"),
        ("HTN", "I10"),
        ("heart attack", "I21"),
        ("kidney stone", "N20.0"),
        ("community acquired pnuemonia", "J18.9"),  # letters exchanged
        ("hypertenion", "I10"),  # a letter missing
        ("hypertenssion", "I10"),  # a letter too many
        ("hypertansion", "I10"),  # another letter
        ("chest pain unspec", "R07.9"),
        ("Ménière", "H81.0"),
        ("meniere", "H81.0"),
        ("i10", "I10"),
        ("E119", "E11.9"),
        ("e11.9", "E11.9"),
    ],
)
def test_the_code_is_among_the_first(search, query, code):
    hits = search.find(query, 5)
    assert any(hit.code.startswith(code) for hit in hits), [hit[:3] for hit in hits]


def test_a_hit_has_the_term_that_matched(search):
    (hit,) = (one for one in search.find("kidney stone", 3) if one.code == "N20.0")
    assert (hit.title, hit.term, hit.assignable) == ("Calculus of kidney", "kidney stone", True)
    assert search.find("I10")[0].term == ""


def test_the_beginning_of_a_code_lists_what_is_below_it(search):
    assert [hit.code for hit in search.find("G35", 5)] == [
        *("G35", "G35.A", "G35.B", "G35.B0", "G35.B1"),
    ]


@pytest.mark.parametrize("query", ["", "   ", '"', "*", "zzzzzzz", "%", "٣", "\0"])
def test_what_has_no_word_finds_nothing(search, query):
    assert search.find(query) == []


@pytest.mark.parametrize("query", ["gout AND", "gout'", 'gout"', "text: gout", "NOT gout"])
def test_signs_of_the_index_language_are_no_commands(search, query):
    assert any("gout" in hit.title.lower() for hit in search.find(query, 3))


def test_an_index_is_kept_and_belongs_to_its_edition_and_terms(tmp_path):
    def made(title, synonyms):
        edition = Edition.of(About("kcd-9", "KCD"), [Entry("A1", title)])
        return CodeSearch(edition, synonyms, tmp_path).find("alpha")

    assert [hit.code for hit in made("alpha", {})] == ["A1"]
    assert made("beta", {}) == []
    assert [hit.term for hit in made("beta", {"A1": ("alpha",)})] == ["alpha"]
    assert len(list(tmp_path.glob("kcd-9-*.sqlite"))) == 3
    made("alpha", {})
    assert len(list(tmp_path.iterdir())) == 3


def test_without_a_place_for_files_the_index_is_in_memory(tmp_path):
    (tmp_path / "file").write_text("")
    edition = Edition.of(About("kcd-9", "KCD"), [Entry("A1", "당뇨병")])
    search = CodeSearch(edition, {}, tmp_path / "file" / "folder")
    assert [hit.code for hit in search.find("당뇨병")] == ["A1"]
