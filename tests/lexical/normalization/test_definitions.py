"""Notes that define an abbreviation teach it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icdcli.lexical.normalization.definitions import definitions, learn_definitions
from icdcli.lexical.normalization.expansion import NO_EXPANSION, Expansion
from icdcli.lexical.reading import NoteReading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He has congestive heart failure (CHF).", [("CHF", "congestive heart failure")]),
        ("CHF (congestive heart failure) is known", [("CHF", "congestive heart failure")]),
        ("insuficiencia renal crónica (IRC)", [("IRC", "insuficiencia renal crónica")]),
        ("lactate dehydrogenase (LDH) 300", [("LDH", "lactate dehydrogenase")]),
        ("with hemoglobin (Hb) of 9", [("Hb", "hemoglobin")]),
        ("a bone mineral density scan\n(BMD)", []),
        ("bone mineral\ndensity (BMD)", [("BMD", "bone mineral density")]),
        ("C-reactive protein (CRP; normal)", [("CRP", "C-reactive protein")]),
        ("transurethral resection of the prostate (TUR-P)",
         [("TUR-P", "transurethral resection of the prostate")]),
        ("two (MRI, CT) of magnetic resonance imaging", []),
    ],
)  # fmt: skip
def test_definitions_are_found(text: str, expected: list[tuple[str, str]]) -> None:
    assert list(definitions(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "the left lung (left) was clear",
        "blood pressure (BP 120/80)",
        "seen by Dr. Smith (Miller)",
        "three days (3)",
        "acute chest pain (II)",
        "pneumonia (see CT) of the chest",
        "chest tube. Removed (CT)",  # not over the end of a sentence
        "a receiver of aldosterone (ARA)",
        "MS ()",
        "pain (",
        "the CHF of congestive heart (CHF)",
    ],
)
def test_what_only_looks_like_a_definition_is_none(text: str) -> None:
    assert list(definitions(text)) == []


@given(st.text(alphabet="abcdABCD ().-/\n1éÉ漢", max_size=60))
def test_a_long_form_has_the_letters_of_the_short_one(text: str) -> None:
    for short, long in definitions(text):
        rest = iter(long.lower())
        assert all(letter in rest for letter in short.lower() if letter.isalnum())
        assert long[0].lower() == short[0].lower()
        assert long.split() == [word for word in long.split() if word in text]


def test_a_sense_of_one_note_counts_only_with_all_initials() -> None:
    text = "Chronic renal failure (CRF) and ebstein-barr virus disease (EVD), lactate (LA)."
    assert learn_definitions([text]) == {"CRF": {"chronic renal failure": 1}}
    both = learn_definitions([text, text])
    assert both["EVD"] == {"ebstein-barr virus disease": 2}


def test_abbreviations_that_are_words_are_not_learned() -> None:
    text = "computed axial tomography (CAT), seen"
    assert "CAT" in learn_definitions([text])
    assert learn_definitions([text, "a cat", "her cat"]) == {}


def test_a_sense_that_two_notes_define_is_the_usual_one() -> None:
    english = Expansion.of("en")
    assert english.senses["LE"][0].expansion != "left eye"
    once, twice = (
        NoteReading(expansion=english.with_learned(learn_definitions(["left eye (LE)"] * times)))
        for times in (1, 2)
    )
    assert "left eye" not in once.read("LE red", "all").text
    assert "left eye" in twice.read("LE red", "all").text


def test_a_known_sense_keeps_its_code_and_context() -> None:
    english = Expansion.of("en")
    before = {sense.expansion: sense for sense in english.senses["RA"]}
    after = english.with_learned(learn_definitions(["rheumatoid arthritis (RA)"] * 2)).senses["RA"]
    assert after[0] == before["rheumatoid arthritis"]
    assert set(after) == set(english.senses["RA"])


def test_a_learned_abbreviation_matches_as_it_is_written() -> None:
    learned = NO_EXPANSION.with_learned(learn_definitions(["bone metabolic unit (BMU)"]))
    reading = NoteReading(expansion=learned)
    assert reading.read("BMU, bmu", "all").text.split() == "BMU bone metabolic unit , bmu".split()
    again = NoteReading.from_json(reading.to_json())
    assert again.expansion == learned
    assert again.read("BMU, bmu", "all").text == reading.read("BMU, bmu", "all").text


def test_abbreviations_are_learned_in_the_order_of_the_notes() -> None:
    """In another order, a checkpoint would differ from process to process."""
    longs = ["renal failure", "heart attack", "iron deficiency", "liver cirrhosis", "knee pain"]
    shorts = ["RF", "HA", "ID", "LC", "KP"]
    text = " ".join(f"He has {long} ({short})." for long, short in zip(longs, shorts, strict=True))
    assert list(learn_definitions([text, text])) == shorts
