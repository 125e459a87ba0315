import random

import numpy as np
import pytest

from icdcli.data.sources.admission import AnnotatedSpan
from icdcli.data.sources.translations.alignment import TextWords, WordAlignment
from icdcli.data.sources.translations.carried_evidence import carry_over

WORDS = ["fiebre", "tos", "dolor", "riñón", "brazo", "piel", "sangre", "hueso", "ojo", "mano"]
MEANINGS = ["heat", "cough", "ache", "kidney", "arm", "skin", "blood", "bone", "eye", "hand"]


def texts(number, seed=0, words=40):
    """Return texts of random words and their translations, neighbors exchanged here and there."""
    draw = random.Random(seed)
    for _ in range(number):
        text = [draw.randrange(len(WORDS)) for _ in range(words)]
        behind = list(range(words))
        for place in range(0, words - 1, 2):
            if draw.random() < 0.5:
                behind[place : place + 2] = behind[place + 1], behind[place]
        yield [WORDS[at] for at in text], [MEANINGS[text[at]] for at in behind], behind


@pytest.fixture(scope="module")
def alignment():
    return WordAlignment.fit([(text, translation) for text, translation, _ in texts(60)])


def test_words_that_mean_each_other_are_found(alignment):
    right = total = 0
    for text, translation, behind in texts(5, seed=1):
        sources_C, targets_C, shares_C = alignment.sources_behind(text, translation)
        assert np.bincount(targets_C, shares_C) == pytest.approx(np.ones(len(translation)))
        for target, source in enumerate(behind):
            own = targets_C == target
            right += text[sources_C[own][shares_C[own].argmax()]] == text[source]
            total += 1
    assert right == total


def test_a_word_that_moved_far_with_its_sentence_is_found(alignment):
    filler = [WORDS[at % 5] for at in range(60)]
    meanings = [MEANINGS[at % 5] for at in range(60)]
    text = [*filler[:30], "ojo", *filler[30:]]
    translation = [*meanings[:15], *meanings[25:30], "eye", *meanings[30:]]  # ten words are lost
    sources_C, targets_C, shares_C = alignment.sources_behind(text, translation)
    own = targets_C == translation.index("eye")
    assert sources_C[own][shares_C[own].argmax()] == 30


def test_a_term_that_no_text_had_is_known_by_its_spelling(alignment):
    text = ["fiebre", "leptospirosis", "dolor"]
    translation = ["heat", "leptospirosis", "ache"]
    sources_C, targets_C, shares_C = alignment.sources_behind(text, translation)
    own = targets_C == 1
    assert sources_C[own][shares_C[own].argmax()] == 1


def test_texts_without_words():
    alignment = WordAlignment.fit([([], []), (["tos"], [])])
    for pair in ([], []), (["tos"], []), ([], ["cough"]):
        assert not len(alignment.sources_behind(*pair)[0])
    assert carry_over(alignment, "tos", "...", [AnnotatedSpan("R05", 0, 3, 0)]) == ()


def test_evidence_is_carried_over_in_fragments(alignment):
    text = "fiebre, tos y dolor de riñón; brazo, piel"
    translation = "heat, cough and kidney ache; arm, skin"
    spans = [
        AnnotatedSpan("R10.9", text.index("dolor"), text.index("dolor") + 5, 3),
        AnnotatedSpan("R10.9", text.index("riñón"), text.index("riñón") + 5, 3),
        AnnotatedSpan("R05", text.index("tos"), text.index("tos") + 3, 7),
        AnnotatedSpan("R21", text.index("fiebre"), text.index("fiebre") + 6, 8),
        AnnotatedSpan("R21", text.index("piel"), text.index("piel") + 4, 8),
    ]
    found = [
        (span.code, span.group, translation[span.begin : span.end])
        for span in carry_over(alignment, text, translation, spans)
    ]
    assert found == [
        ("R10.9", 3, "kidney ache"),
        ("R05", 7, "cough"),
        ("R21", 8, "heat"),
        ("R21", 8, "skin"),
    ]


def test_words_are_folded_with_their_places():
    assert TextWords.of("Dolor, TOS") == (["dolor", "tos"], [(0, 5), (7, 10)])
