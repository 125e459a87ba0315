"""Abbreviations are expanded by their context, and the words keep their places."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icdcli.lexical.lexical_model import LexicalModel
from icdcli.lexical.normalization.expansion import NO_EXPANSION, Expansion
from icdcli.lexical.reading import UNCHANGED, NoteReading
from icdcli.lexical.words import folded, placed_words, words

ENGLISH = Expansion.of("en")
READING = NoteReading(expansion=ENGLISH, network_expands=True)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("HTN and DM2.", "htn hypertension and dm2 type 2 diabetes mellitus"),
        ("h/o CHF", "h o history of chf congestive heart failure"),
        ("copd", "copd chronic obstructive pulmonary disease"),
        ("HTN/COPD", "htn hypertension copd chronic obstructive pulmonary disease"),
        ("MS, on interferon", "ms multiple sclerosis on interferon"),
        ("MS with a murmur over the valve", "ms mitral stenosis with a murmur over the valve"),
        ("MS intact", "ms mental status intact"),
        ("a map of it", "a map of it"),
        ("SEEN IN THE OR AS USUAL", "seen in the or as usual"),
        ("chfx", "chfx"),
        ("A fib, C. diff", "a fib atrial fibrillation c diff clostridioides difficile"),
        ("A fibroma", "a fibroma"),
    ],
)
def test_an_abbreviation_gets_its_words(text: str, expanded: str) -> None:
    assert " ".join(words(READING.read(text).text)) == expanded


def test_contexts_are_folded_like_the_words_of_notes() -> None:
    contexts = {
        word
        for language in ("es", "ko")
        for senses in Expansion.of(language).senses.values()
        for sense in senses
        for word in sense.context
    }
    assert {word for word in contexts if folded(word) != word} == set()


def test_words_of_an_expansion_have_the_place_of_the_abbreviation() -> None:
    text = "old HTN now"
    read = READING.read(text)
    document, places_W2 = placed_words(read.text)
    assert document == ["old", "htn", "hypertension", "now"]
    original_W2 = read.original(places_W2)
    assert [text[begin:end] for begin, end in original_W2] == ["old", "HTN", "HTN", "now"]


_PIECES = st.sampled_from(
    ["HTN", "h/o", "MS", "C. diff", " ", ".", "\n", "é", "e\u0301", "and", "/", "OR", "™", "漢"]
)


@given(st.one_of(st.text(), st.lists(_PIECES).map("".join)))
def test_the_words_of_a_text_stay_and_keep_their_places(text: str) -> None:
    read = READING.read(text)
    document, places_W2 = placed_words(read.text)
    original_W2 = read.original(places_W2)
    assert ((original_W2[:, 0] < original_W2[:, 1]) & (original_W2[:, 1] <= len(text))).all()
    before, before_W2 = placed_words(text)
    # Expansions only add words: each word of the text is still there, in order.
    rest = iter(zip(document, original_W2.tolist(), strict=True))
    for word, (begin, end) in zip(before, before_W2.tolist(), strict=True):
        assert any(
            word == read_word and place[0] <= begin < end <= place[1] for read_word, place in rest
        )


def test_a_language_without_a_table_expands_nothing() -> None:
    assert list(Expansion.of("fi").edits("HTN")) == []
    assert list(NO_EXPANSION.edits("HTN")) == []
    assert UNCHANGED.read("HTN").text == "HTN"


def test_a_checkpoint_keeps_the_abbreviations() -> None:
    assert Expansion.from_json(ENGLISH.to_json()).senses == ENGLISH.senses


def test_a_model_finds_an_abbreviated_description_and_marks_the_abbreviation(
    synthetic_notes, tmp_path
) -> None:
    notes = synthetic_notes(30, 8)
    texts = [f"{text} hypertension" if 0 in labels else text
             for text, labels in zip(notes.texts, notes.targets, strict=True)]  # fmt: skip
    descriptions = [("hypertension",), *((name,) for name in notes.names[1:])]
    fitted = LexicalModel.fit(
        texts, notes.targets, descriptions, parts=["descriptions"], reading=READING
    )
    fitted.save(tmp_path)
    for model in (fitted, LexicalModel.load(tmp_path, 8)):
        scores_L = model.scores(["old HTN now"])["descriptions"][0]
        assert scores_L.argmax() == 0
        places_W2, weights_KW = model.by_word("old HTN now", [0])["descriptions"]
        assert places_W2[weights_KW[0].argmax()].tolist() == [4, 7]
    plain = LexicalModel.fit(texts, notes.targets, descriptions, parts=["descriptions"])
    assert plain.scores(["old HTN now"])["descriptions"][0, 0] < scores_L[0]
