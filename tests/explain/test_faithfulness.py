import numpy as np
import pytest

from icdcli.explain.faithfulness import faithfulness, without

TEXT = "Fever, cough and 😷 chest pain."
WORDS = [(0, 5), (7, 12), (13, 16), (19, 24), (25, 29)]


def score(texts):
    """Score code 0 by fever and cough, half each, code 1 by pain, and code 2 always."""
    return np.array(
        [[("Fever" in text) / 2 + ("cough" in text) / 2, "pain" in text, 0.25] for text in texts],
        np.float32,
    )


def test_the_words_without_which_a_score_falls_are_needed_and_those_that_keep_it_are_enough():
    weights_KW = np.array([[3, 2, 0, 0, 1], [0, 0, 0, 1, 0], [0, 1, 2, 3, 4]])
    found = faithfulness(score, TEXT, WORDS, weights_KW, [0, 1, 2], share=0.2)
    np.testing.assert_allclose(found.comprehensiveness_K, [0.5, 0, 0])
    np.testing.assert_allclose(found.sufficiency_K, [0.5, 1, 0])
    found = faithfulness(score, TEXT, WORDS, weights_KW[:1], [0], share=0.4)
    assert found.comprehensiveness_K[0] == 1
    assert found.sufficiency_K[0] == 0


def test_the_note_is_scored_with_without_and_with_only_the_words():
    seen = []
    faithfulness(
        lambda texts: seen.append(texts) or score(texts),
        TEXT,
        WORDS,
        np.array([[0, 1, 0, 0, 2]]),
        [0],
        share=0.4,
    )
    assert seen == [[TEXT, "Fever,  and 😷 chest .", "cough pain"]]


def test_at_least_one_word_is_taken():
    found = faithfulness(score, TEXT, WORDS, np.array([[0, 0, 0, 0, 1]]), [1], share=0.01)
    assert found.comprehensiveness_K[0] == 1


@pytest.mark.parametrize(
    ("words", "left"), [([], "a b c"), ([(0, 1), (4, 5)], " b "), ([(0, 5)], "")]
)
def test_texts_without_words(words, left):
    assert without("a b c", words) == left
