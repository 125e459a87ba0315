"""Notes are made for a label space: names, typos, sides, particles, and who can have what."""

from collections import Counter

import pytest

from icdcli.data.corpus.reader import Labels
from icdcli.evaluation.behavior.condition_names import is_usable, names_of
from icdcli.evaluation.behavior.conditions import NamedCondition, conditions_of
from icdcli.evaluation.behavior.particles import with_particle
from icdcli.evaluation.behavior.suite import NOTES, make_notes
from icdcli.evaluation.behavior.templates import (
    LANGUAGES,
    Capability,
    NoteTemplate,
    load_templates,
)
from icdcli.evaluation.behavior.typos import KINDS, with_typo
from icdcli.icd.lexicon.synonyms import synonyms


def labels_of(*codes: str, kind: str = "diagnosis") -> Labels:
    number = len(codes)
    counts = tuple(range(number, 0, -1))
    return Labels(codes, (kind,) * number, (None,) * number, counts, counts)


EVERYTHING = labels_of(
    *sorted(
        {code for language in LANGUAGES for code in synonyms(language)},
        # The same codes on every machine, of all chapters.
        key=lambda code: code[::-1],
    )
)


def groups(conditions: list[NamedCondition]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in conditions:
        for group in one.groups:
            found.setdefault(group, []).append(one.code)
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_large_label_space_gives_a_thousand_notes_of_every_capability(language: str) -> None:
    conditions = conditions_of(EVERYTHING, "icd10", language, 60)
    notes = [note for one in load_templates(language) for note in make_notes(conditions, one)]
    assert len(notes) >= 1000
    counts = Counter(note.capability for note in notes)
    assert set(counts) == {one.name for one in load_templates(language)}
    assert max(counts.values()) <= NOTES * 1.1
    assert not [note.text for note in notes if "{" in note.text + note.base]
    share = sum(note.held_out for note in notes) / len(notes)
    assert 0.4 < share < 0.7  # a third of the templates, and a third of the conditions
    assert len({note.condition.code for note in notes}) > 100
    again = [note for one in load_templates(language) for note in make_notes(conditions, one)]
    assert [note.text for note in again] == [note.text for note in notes]


def test_conditions_are_those_with_most_documents_one_per_category() -> None:
    labels = labels_of("I10", "Z99.9", "E11.9", "E11.65", "W19.XXXA", "J18.9", "R69")
    found = conditions_of(labels, "icd10", "en", 10)
    assert [one.code for one in found] == ["I10", "E11.9", "J18.9"]
    assert [one.code for one in conditions_of(labels, "icd10", "en", 2)][:2] == ["I10", "E11.9"]
    assert conditions_of(labels, None, "en", 10) == []
    procedures = labels_of("0DTJ4ZZ", kind="procedure")
    assert conditions_of(procedures, "icd10", "en", 10) == []


def test_conditions_need_training_documents() -> None:
    unseen = Labels(("I10",), ("diagnosis",), (None,), (3,), (0,))
    assert conditions_of(unseen, "icd10", "en", 10) == []


def test_sides_and_histories_are_labels_that_have_them() -> None:
    labels = labels_of("M25.561", "M25.562", "M25.511", "Z85.3", "Z80.3", "Z87.891")
    found = groups(conditions_of(labels, "icd10", "en", 10))
    assert found["sides"] == ["M25.561", "M25.562"]
    assert found["personal histories"] == ["Z85.3"]
    assert found["family histories"] == ["Z80.3"]
    named = {one.code: one.names for one in conditions_of(labels, "icd10", "es", 10)}
    assert named["M25.562"] == ("dolor en la rodilla izquierda",)
    assert named["Z80.3"] == ("cáncer de mama",)
    more = labels_of("M25.562", "M25.561", "M79.604", "C64.1", "C64.2", "M79.605")
    sides = [one.code for one in conditions_of(more, "icd10", "en", 8)]
    assert sides[-4:] == ["M25.561", "M25.562", "C64.1", "C64.2"]  # those with most documents
    nine = groups(conditions_of(labels_of("V10.3", "V16.3", "428.0"), "icd9", "en", 10))
    assert nine["personal histories"] == ["V10.3"]
    assert nine["family histories"] == ["V16.3"]
    assert "sides" not in nine


def test_icd9_has_abbreviations_too() -> None:
    (found,) = conditions_of(labels_of("401.9"), "icd9", "en", 10)
    assert "HTN" in found.abbreviations


@pytest.mark.parametrize(
    ("code", "usual"),
    [
        ("I10", ("essential hypertension", "hypertension")),
        ("I48.91", ("atrial fibrillation", "auricular fibrillation")),
        ("R51", ("headache", "headaches")),
        ("R60.9", ("edema",)),
        ("E11.9", ("type 2 diabetes mellitus", "type 2 diabetes")),
        ("A15.9", ("respiratory tuberculosis", "tuberculosis")),
    ],
)
def test_names_are_the_words_of_a_title_and_a_synonym(code: str, usual: tuple[str, ...]) -> None:
    assert names_of(code, "icd10", "en").usual == usual


def test_words_that_are_no_nouns_are_kept_apart() -> None:
    names = names_of("R50.9", "icd10", "en")
    assert "febrile" in names.wordings
    assert "febrile" not in names.usual + names.synonyms
    assert "obesa" in names_of("E66.9", "icd10", "es").wordings
    assert "hypotensive" in names_of("I95.9", "icd10", "en").wordings


@pytest.mark.parametrize(
    ("name", "language", "usable"),
    [
        ("no appetite", "en", False),
        ("former smoker", "en", False),
        ("history of stroke", "en", False),
        ("COPD", "en", False),
        ("infection", "en", False),
        ("notochord tumor", "en", True),
        ("antecedente de ictus", "es", False),
        ("sinusitis", "es", True),
        ("과거 흡연", "ko", False),
        ("폐렴", "ko", True),
    ],
)
def test_names_with_cues_are_left_out(name: str, language: str, usable: bool) -> None:
    assert is_usable(name, language) == usable


def test_other_conditions_share_no_word_with_the_condition() -> None:
    conditions = conditions_of(labels_of("R10.9", "R07.9", "I50.9", "I51.9"), "icd10", "en", 9)
    capability = Capability("x", "coded", (NoteTemplate("{name}; {other}"),))
    texts = {note.condition.code: note.text for note in make_notes(conditions, capability)}
    assert "chest pain" not in texts["R10.9"]  # abdominal pain
    assert texts["I50.9"].split("; ")[1] in ("abdominal pain", "chest pain")


def test_nobody_gets_a_condition_of_the_other_sex() -> None:
    conditions = conditions_of(labels_of("C61", "N80.9", "I10"), "icd10", "en", 9)
    templates = (NoteTemplate("Her mother had {name}."), NoteTemplate("His father had {name}."))
    notes = list(make_notes(conditions, Capability("family", "not coded", templates)))
    assert {(note.condition.code, note.text.split()[0]) for note in notes} == {
        ("C61", "His"),
        ("N80.9", "Her"),
        ("I10", "His"),
        ("I10", "Her"),
    }


def test_a_line_break_is_in_the_name_that_the_base_has() -> None:
    conditions = conditions_of(labels_of("R10.9", "R05"), "icd10", "en", 9)
    templates = (NoteTemplate("Has {broken}.", "Has {name}."),) * 2
    notes = list(make_notes(conditions, Capability("breaks", "unchanged", templates)))
    assert notes
    for note in notes:
        assert "\n" in note.text
        assert note.text.replace("\n", " ") == note.base


@pytest.mark.parametrize("kind", KINDS)
def test_a_typo_is_one_wrong_letter_of_a_long_word(kind: str) -> None:
    seen = set()
    for seed in range(40):
        wrong = with_typo("acute pneumonia", kind, str(seed))
        assert wrong is not None
        assert wrong.startswith("acute p")
        assert wrong != "acute pneumonia"
        change = {"deletion": -1, "insertion": 1}.get(kind, 0)
        assert len(wrong) == len("acute pneumonia") + change
        if kind == "exchange":
            assert sorted(wrong) == sorted("acute pneumonia")
        if kind == "substitution":
            differing = [
                pair for pair in zip(wrong, "acute pneumonia", strict=True) if len(set(pair)) > 1
            ]
            assert len(differing) == 1
        seen.add(wrong)
    assert len(seen) > 3
    assert with_typo("acute pneumonia", kind, "1") == with_typo("acute pneumonia", kind, "1")


@pytest.mark.parametrize("kind", KINDS)
def test_short_words_get_no_typo(kind: str) -> None:
    assert with_typo("gout and anemia", kind, "1") is None


@pytest.mark.parametrize(
    ("word", "particle", "expected"),
    [
        ("폐렴", "은", "폐렴은"),
        ("두통", "으로", "두통으로"),
        ("발열", "으로", "발열로"),
        ("부종", "이", "부종이"),
        ("쇼크", "이", "쇼크가"),
        ("골절", "을", "골절을"),
        ("고혈압", "과", "고혈압과"),
        ("HTN", "은", "HTN은"),
        ("COPD", "은", "COPD는"),
        ("C형 간염", "을", "C형 간염을"),
        ("DM2", "으로", "DM2로"),
        ("감기", "이나", "감기나"),
    ],
)
def test_particles_agree(word: str, particle: str, expected: str) -> None:
    assert with_particle(word, particle) == expected
