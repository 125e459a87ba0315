"""Misspelt words become the words of the labels; words that are only rare stay."""

import json
import random
from functools import cache
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icdcli.data.corpus.reader import Labels
from icdcli.icd.code_system import open_code_system
from icdcli.lexical.lexical_model import LexicalModel
from icdcli.lexical.normalization import spelling as spelling_module
from icdcli.lexical.normalization.spelling import NO_SPELLING, Spelling
from icdcli.lexical.reading import NoteReading
from icdcli.lexical.views import Views
from icdcli.lexical.words import folded, placed_words

CODES = ("J18.9", "I10", "G43.909", "R51.9", "D32.9", "N18.9", "K35.80", "J40", "E11.9", "R42")
TEXTS = [
    "The patient was seen in clinic with neuropathic pain; Fischer signed. Dr Parkinson agreed.",
    "Neuropathic pain again. Nothing else was found on examination of the abdomen.",
]


@cache
def reading_in(language: str) -> NoteReading:
    labels = Labels(CODES, ("diagnosis",) * 10, (None,) * 10, (1,) * 10, (1,) * 10)
    return NoteReading.fit(
        Views(language=language), TEXTS, labels, open_code_system("icd10"), ["neurotic"]
    )


def corrected(text: str, language: str = "en") -> str:
    return reading_in(language).corrected(text)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("pnuemonia", "pneumonia"),  # exchanged
        ("hypertention", "hypertension"),  # another letter
        ("hypertesnion", "hypertension"),
        ("headche", "headache"),  # missing
        ("menigioma", "meningioma"),
        ("pneumoniaa", "pneumonia"),  # too many
        ("hyypertension", "hypertension"),
        ("yhpertension", "hypertension"),  # exchanged at the beginning
        ("Pnuemonia", "Pneumonia"),
        ("PNUEMONIA", "PNEUMONIA"),
        ("hypertenzion", "hypertension"),
        ("haedache", "headache"),
        ("diabettes", "diabetes"),
        ("appendisitis", "appendicitis"),
        ("bronchitus", "bronchitis"),
    ],
)
def test_a_misspelt_word_of_the_labels_is_corrected(wrong: str, right: str) -> None:
    assert corrected(f"{wrong}, improving") == f"{right}, improving"


@pytest.mark.parametrize(
    "text",
    [
        "hypertension and pneumonia",
        "neuropathic pain",  # known to the notes
        "hypertensive, diabetic, hypertensions",  # inflections
        "afebrile, atypical",
        "headach3, 2pnuemonia, pnuemonia_x",  # not words
        "0\u0300pnuemonia, pnuemonia\u0301, pnuemonia™",
        "seen by Dr Hypertentson",  # a name inside a sentence
        "pneumo, migra, head",
        "neurotik",  # sounds like a known word
        "neuroptic, drooling, migrans",  # rare, but words
        "고혈압이 있음, 肺炎肺炎肺炎肺炎",
        "",
    ],
)
def test_other_words_stay(text: str) -> None:
    assert corrected(text) == text


def test_a_word_of_a_name_is_corrected_where_a_sentence_begins() -> None:
    assert corrected("Found: Pnuemonia. Pnuemonia") == "Found: Pneumonia. Pneumonia"
    assert corrected("with Pnuemonia") == "with Pnuemonia"


def test_british_spellings_become_those_of_the_descriptions() -> None:
    spelling = Spelling.fit([], ["hemorrhage", "esophageal", "leukemia"])
    reading = NoteReading(spelling=spelling)
    assert reading.corrected("haemorrhage leukaemia") == "hemorrhage leukemia"
    known = Spelling.fit(["haemorrhage"] * 2, ["hemorrhage"])
    assert known.correct("haemorrhage") is None


def test_accents_are_no_mistakes_and_come_with_the_correction() -> None:
    assert corrected("neumonia, migrana", "es") == "neumonia, migrana"
    assert corrected("nuemonia bilateral", "es") == "neumonía bilateral"
    assert corrected("hipertenison arterial", "es") == "hipertensión arterial"
    assert corrected("nuemoni\u0301a", "es") == "nuemoni\u0301a"


def test_english_terms_of_korean_notes_are_corrected() -> None:
    assert corrected("pnuemonia 의심, 고혈압이 있음", "ko") == "pneumonia 의심, 고혈압이 있음"


def test_words_of_another_language_that_sound_alike_stay() -> None:
    spelling = Spelling.fit([], ["disfagia"], known=["dysphasia"])
    assert spelling.correct("disfasia") is None
    assert Spelling.fit([], ["disfagia"]).correct("disfaxia") == "disfagia"


def test_the_far_more_frequent_of_several_words_counts() -> None:
    needed = ["xabcdefgh", "xabcdifgh"]
    assert Spelling.fit([], needed).correct("xabcdqfgh") is None
    texts = ["xabcdifgh here"] * 20
    assert Spelling.fit(texts, needed).correct("xabcdqfgh") == "xabcdifgh"
    assert Spelling.fit([*texts, *["xabcdefgh"] * 3], needed).correct("xabcdqfgh") is None


def test_frequent_words_of_the_notes_are_corrected_to() -> None:
    texts = ["took metoprolol daily"] * 5
    assert Spelling.fit(texts, []).correct("metorpolol") == "metoprolol"
    assert Spelling.fit(texts[:4], []).correct("metorpolol") is None


def test_a_word_of_two_notes_is_known_and_that_of_one_is_not() -> None:
    assert Spelling.fit(["pnuemonia"], ["pneumonia"]).correct("pnuemonia") == "pneumonia"
    assert Spelling.fit(["pnuemonia", "Pnuemonia"], ["pneumonia"]).correct("pnuemonia") is None


def test_nothing_is_corrected_without_words() -> None:
    assert list(NO_SPELLING.edits("pnuemonia")) == []
    assert NoteReading(views=Views(language="fi")).read("pnuemonia").text == "pnuemonia"


def test_a_checkpoint_keeps_the_words() -> None:
    english = reading_in("en")
    stored = json.loads(json.dumps(english.to_json()))
    again = NoteReading.from_json(stored)
    assert again.spelling == english.spelling
    assert again.expansion == english.expansion
    assert again.key == english.key
    fewer = NoteReading(spelling=Spelling.fit([], ["pneumonia"]))
    assert len({fewer.key, english.key, reading_in("es").key, ""}) == 4


_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def one_letter_wrong(word: str, rng: random.Random) -> str:
    place = rng.randrange(1, len(word) - 1)
    return rng.choice(
        [
            word[:place] + word[place + 1 :],
            word[:place] + rng.choice(_ALPHABET) + word[place:],
            word[:place] + rng.choice(_ALPHABET) + word[place + 1 :],
            word[:place] + word[place + 1] + word[place] + word[place + 2 :],
        ]
    )


@pytest.mark.parametrize(("language", "share"), [("en", 0.85), ("es", 0.82)])
def test_most_words_with_one_wrong_letter_are_corrected(language: str, share: float) -> None:
    rng, reading = random.Random(0), reading_in(language)
    needed = sorted(word for word, found in reading.spelling.words.items() if found.needed)
    right = wrong = tried = 0
    for word in rng.choices(needed, k=1000):
        misspelt = one_letter_wrong(word, rng)
        if misspelt in reading.spelling.known:
            continue
        tried += 1
        instead = reading.spelling.correct(misspelt)
        right += instead == reading.spelling.words[word].written
        wrong += instead is not None and instead != reading.spelling.words[word].written
    assert right / tried >= share
    assert wrong / tried <= 0.01


_PIECES = st.sampled_from(
    ["pnuemonia", "Headche", "HTN", "é", "e\u0301", " ", ". ", "\n", "\x00", "漢", "™", "-", "No "]
)


@settings(deadline=None)  # the first example may fit the reading
@given(st.one_of(st.text(), st.lists(_PIECES).map("".join)))
def test_words_that_stay_keep_their_places(text: str) -> None:
    english = reading_in("en").spelling
    read = NoteReading(spelling=english).read(text)
    document, places_W2 = placed_words(read.text)
    original_W2 = read.original(places_W2)
    assert ((original_W2[:, 0] < original_W2[:, 1]) & (original_W2[:, 1] <= len(text))).all()
    after = set(zip(document, map(tuple, original_W2.tolist()), strict=True))
    before = set(zip(*_listed(text), strict=True))
    changed = {word for word, _ in before - after}
    instead = {folded(english.correct(word) or "") for word in changed}
    assert "" not in instead
    assert {word for word, _ in after - before} <= instead


@settings(deadline=None)  # the first example may fit the reading
@given(st.lists(_PIECES | st.sampled_from([*"_1a", "hypertention"])).map("".join))
def test_a_word_is_corrected_whatever_else_a_text_has(text: str) -> None:
    english = reading_in("en").spelling
    edits = list(english.edits(text))
    assert edits == list(english.edits(f"{text} é"))
    with patch.object(spelling_module, "_FEW", 0):
        assert edits == list(english.edits(text))


def _listed(text: str) -> tuple[list[str], list[tuple[int, ...]]]:
    document, places_W2 = placed_words(text)
    return document, list(map(tuple, places_W2.tolist()))


def test_a_long_text_costs_one_look_up_per_distinct_word() -> None:
    words = [one_letter_wrong("hypertension", random.Random(seed)) for seed in range(50)]
    text = " ".join(words * 400)
    spelling = Spelling.fit(TEXTS, ["hypertension"])
    with patch.object(Spelling, "_nearest", autospec=True, side_effect=Spelling._nearest) as found:
        edits = list(spelling.edits(text))
    assert len(edits) > 10_000
    assert found.call_count <= len(set(words))


def test_a_text_without_blanks_is_not_looked_up() -> None:
    text = "hypertention" * 100_000
    spelling = Spelling.fit(TEXTS, ["hypertension"])
    with patch.object(Spelling, "_correct", autospec=True) as look_up:
        assert list(spelling.edits(text + "1" * 100_000)) == []
    look_up.assert_not_called()


def test_a_model_finds_a_misspelt_description_and_marks_it(synthetic_notes, tmp_path) -> None:
    notes = synthetic_notes(30, 8)
    texts = [f"{text} hypertension" if 0 in labels else text
             for text, labels in zip(notes.texts, notes.targets, strict=True)]  # fmt: skip
    descriptions = [("hypertension",), *((name,) for name in notes.names[1:])]
    reading = NoteReading(spelling=Spelling.fit(texts, ["hypertension"]))
    fitted = LexicalModel.fit(
        texts, notes.targets, descriptions, parts=["descriptions"], reading=reading
    )
    fitted.save(tmp_path)
    text = "old hypertesnion now"
    for model in (fitted, LexicalModel.load(tmp_path, 8)):
        scores_L = model.scores([text])["descriptions"][0]
        assert scores_L.argmax() == 0
        places_W2, weights_KW = model.by_word(text, [0])["descriptions"]
        begin, end = places_W2[weights_KW[0].argmax()].tolist()
        assert text[begin:end] == "hypertesnion"
    assert (tmp_path / "lexical.json").stat().st_mode & 0o077 == 0


def test_annotated_words_are_corrected_like_the_notes(synthetic_notes) -> None:
    notes = synthetic_notes(30, 8)
    texts = [f"{text} hypertesnion" if row == 0 else text for row, text in enumerate(notes.texts)]
    annotations = [[(0, "hypertesnion")] if row == 0 else [] for row in range(30)]
    reading = NoteReading(spelling=Spelling.fit(texts, ["hypertension"]))
    targets = [np.union1d(notes.targets[0], [0]).astype(np.int32), *notes.targets[1:]]
    model = LexicalModel.fit(
        texts, targets, [()] * 8, annotations, parts=["evidence"], reading=reading
    )
    assert model.scores(["hypertension"])["evidence"][0].argmax() == 0
    assert model.scores(["hypertension"])["evidence"][0, 0] > 0
