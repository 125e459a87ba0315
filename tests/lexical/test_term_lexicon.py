import numpy as np
import pytest

from icdcli.lexical.term_lexicon import TermLexicon
from icdcli.lexical.words import words

DESCRIPTIONS = [
    ("Pneumonia, unspecified organism", "lung infection"),
    ("Unspecified kidney failure", "renal shutdown"),
    ("Localized swelling (lump)", "mass"),
    (),
]
PNEUMONIA, KIDNEY, MASS = range(3)
TEXTS = ["Pneumonia again.", "No pneumonias.", "A mass.", "The mass.", "Mass found.", "Nothing."]
TARGETS = [np.array(labels, np.int32) for labels in ([0], [0], [], [], [2], [])]


@pytest.fixture(scope="module")
def lexicon():
    return TermLexicon.fit(DESCRIPTIONS, TEXTS, TARGETS)


def test_a_term_is_found_in_any_number_and_case(lexicon):
    scores = lexicon.scores(["LUNG INFECTIONS", "an infection of the lung"])
    assert scores[0].argmax() == PNEUMONIA
    assert not scores[1].any()


@pytest.mark.parametrize(
    ("text", "label"),
    [("had pneumonia", PNEUMONIA), ("kidney failure", KIDNEY), ("localized swelling", MASS)],
)
def test_what_nobody_writes_in_a_title_is_not_needed(lexicon, text, label):
    assert lexicon.scores([text])[0].argmax() == label


def test_a_title_keeps_its_words_after_unspecified():
    titles = [("Neoplasm of unspecified site of breast",), ("Pain in unspecified joint",)]
    lexicon = TermLexicon.of(titles)
    assert ("neoplasm", "of", "breast") in lexicon.terms
    assert ("pain", "in", "joint") in lexicon.terms
    assert len(lexicon.terms) == 4


def test_a_term_counts_as_often_as_its_documents_had_the_code(lexicon):
    scores = lexicon.scores(["pneumonia, a mass, renal shutdown"])[0]
    assert scores[PNEUMONIA] > scores[KIDNEY] > scores[MASS] > 0
    # 3 of 5 matches in training have the code; 2 further documents have that share.
    share = (3 + 1) / (5 + 2)
    likely = (1 + 2 * share) / (3 + 2)
    expected = np.log(likely / (1 - likely)) - np.log(0.02 / 0.98)
    assert scores[MASS] == pytest.approx(expected, abs=1e-6)


def test_a_code_without_a_matching_term_has_zero(lexicon):
    assert not lexicon.scores(["", "nothing of note"]).any()
    assert not lexicon.scores(["pneumonia"])[0, 1:].any()


def test_a_document_out_of_fold_does_not_see_itself(lexicon):
    left_out = lexicon.out_of_fold(TEXTS, TARGETS)
    for row in range(len(TEXTS)):
        others = [place for place in range(len(TEXTS)) if place != row]
        without = TermLexicon.fit(
            DESCRIPTIONS, [TEXTS[place] for place in others], [TARGETS[place] for place in others]
        )
        assert np.array_equal(left_out[row], without.scores([TEXTS[row]])[0])


def test_the_words_of_the_likeliest_term_add_up_to_the_score_at_each_place(lexicon):
    text = "Lung infection; a lung infection or pneumonia."
    document = words(text)
    by_word = lexicon.by_word(document, [KIDNEY, PNEUMONIA])
    score = lexicon.scores([text])[0, PNEUMONIA]
    assert not by_word[0].any()
    assert by_word[1].tolist() == pytest.approx([0, 0, 0, 0, 0, 0, score])
    twice = lexicon.by_word(words("lung infection, lung infection"), [PNEUMONIA])[0]
    single = lexicon.scores(["lung infection"])[0, PNEUMONIA]
    assert twice.tolist() == pytest.approx([single / 2] * 4)


def test_without_documents_that_contain_a_term_each_is_as_likely_as_not():
    scores = TermLexicon.fit([("gout",)], ["well"], [np.zeros(0, np.int32)]).scores(["gout"])
    assert scores[0, 0] == pytest.approx(np.log(0.98 / 0.02))


def test_arrays_that_do_not_fit_the_terms_are_refused(lexicon):
    with pytest.raises(ValueError, match="don't fit"):
        TermLexicon.from_arrays(lexicon.arrays(), lexicon.terms[1:], 4)
    with pytest.raises(ValueError, match="out of range"):
        TermLexicon.from_arrays(lexicon.arrays(), lexicon.terms, 2)
