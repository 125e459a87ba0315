"""The summary of texts: comparable numbers, and nothing that identifies a patient."""

import json
import random

import pytest

from icdcli.evaluation.reference import texts as module
from icdcli.evaluation.reference.texts import TEXT_MEASURES, TextReference, summarize_texts

WORDS = [f"word{letter}{other}" for letter in "abcdefgh" for other in "abcdefgh"]


def made_up(count=100, seed=0):
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=40)) + f" Name{'x' * n}" for n in range(count)]


def test_measures_against_a_count_by_hand():
    found = summarize_texts(made_up(), 100)
    words, unknown, capitals, accents = found.measure("Wordaa wordab ÄRGER 12")
    assert (words, capitals, accents) == (3, round(6 / 17, 4), round(1 / 17, 4))
    assert unknown == round(1 / 3, 4)
    assert found.measure("12 +") is None and found.measure("") is None


def test_case_is_no_matter_of_words_but_accents_are():
    known = summarize_texts(["señor mayor"] * 8, 8)
    assert known.measure("SEÑOR Mayor")[1] == 0
    assert known.measure("senor mayor")[1] == 0.5


def test_a_document_is_measured_with_the_words_of_others():
    """A name in a single document is unknown there, as it will be in incoming notes."""
    found = summarize_texts(made_up(), 100)
    assert len(found.measures["words"]) == 50
    assert set(found.measures) == {*TEXT_MEASURES}
    assert min(found.measures["unknown_words"]) == round(1 / 41, 4)
    incoming = [found.measure(text) for text in made_up(seed=1)]
    assert sorted(values[1] for values in incoming)[50] == found.measures["unknown_words"][25]


def test_a_word_must_be_in_three_documents():
    two = summarize_texts([*["rare common"] * 2, "common", "x"] * 1 + ["common", "y"] * 3, 10)
    assert two.measure("rare")[1] == 1
    assert two.measure("common")[1] == 0


def test_the_words_of_one_patient_are_unknown():
    """A name is in each of a patient's documents, however many there are."""
    texts = ["Anderssen pneumonia"] * 12 + ["pneumonia"] * 12
    patients = ["p1"] * 12 + [f"q{number}" for number in range(12)]
    found = summarize_texts(texts, 24, patients)
    assert found.measure("Anderssen")[1] == 1
    assert found.measure("pneumonia")[1] == 0
    assert summarize_texts(texts, 24, [None] * 24).measure("Anderssen")[1] == 0


def test_the_file_has_no_word_and_is_small(tmp_path):
    texts = ["Pamela Anderssen has pneumonia"] * 2_000
    found = summarize_texts(texts, 2_000)
    content = json.dumps(found.to_json())
    assert "pneumonia" not in content.lower() and "pamela" not in content.lower()
    assert len(content) < 60_000
    again = TextReference.from_json(json.loads(content))
    assert again.measure("pneumonia sepsis") == found.measure("pneumonia sepsis")
    assert again.measures == {name: [*values] for name, values in found.measures.items()}


def test_many_documents_are_sampled_evenly(monkeypatch):
    monkeypatch.setattr(module, "MOST", 10)
    found = summarize_texts((" ".join(["a"] * (n + 1)) for n in range(95)), 95)
    assert found.measures["words"] == [11, 31, 51, 71, 91]


@pytest.mark.parametrize("texts", [[], ["12", "34"], ["one document"]])
def test_no_words_no_summary(texts):
    assert summarize_texts(texts, len(texts)) is None
