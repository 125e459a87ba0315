import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icdcli.lexical import phrases as module
from icdcli.lexical.phrases import Phrases

UNLIKE = ["fiebre", "tos", "dolor", "vomito", "masa", "quiste", "hongo"]


def made(*phrases, power=1.0, weights=None):
    found = Phrases([phrase.split() for phrase in phrases])
    found.weigh(np.array([(weights or {}).get(word, 1.0) for word in found.vocabulary]), power)
    return found


def covered(phrases, text, window=8):
    return phrases.coverage(text.split(), window).tolist()


def test_a_phrase_is_found_by_the_share_of_its_words():
    assert covered(
        made("renal failure", "renal cyst", "burn"), "acute renal failure"
    ) == pytest.approx([1, 0.5, 0])


def test_weights_are_the_shares_of_words_in_a_phrase():
    assert covered(made("renal failure", weights={"renal": 3.0}), "renal stone") == pytest.approx(
        [0.75]
    )


def test_a_power_below_one_lets_a_longer_phrase_count_more():
    assert covered(made("a b", "a", power=0.5), "a b") == pytest.approx([2**0.5, 1])


@pytest.mark.parametrize(
    "text",
    ["hepatic abscesses", "abscess hepatic", "abscess of the hepatic lobe", "hepatics absces"],
)
def test_inflection_order_gaps_and_misspellings_do_not_matter(text):
    assert covered(made("hepatic abscess"), text)[0] > 0.85


def test_cognates_in_another_language_count():
    assert covered(made("stenosis with pyelonephritis"), "estenosis y pielonefritis")[0] > 0.6


def test_another_script_finds_nothing():
    assert covered(made("acute pyelonephritis"), "острый пиелонефрит 急性腎盂腎炎") == [0]


def test_dissimilar_words_do_not_count():
    assert covered(made("fever"), "cough") == [0]


def test_words_further_apart_than_a_window_do_not_add_up():
    phrases = made("masa quiste")
    text = "masa tos tos tos quiste"
    assert [covered(phrases, text, window)[0] for window in (4, 5)] == pytest.approx([0.5, 1])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(UNLIKE), min_size=1, max_size=4), min_size=1, max_size=5),
    st.lists(st.sampled_from([*UNLIKE, "xyzzy"]), max_size=25),
    st.integers(1, 30),
)
def test_coverage_is_that_of_the_best_window(phrases, text, window):
    found = Phrases(phrases)
    found.weigh(np.ones(len(found.vocabulary)), 1)
    starts = range(max(len(text) - window + 1, 1))
    expected = [
        max(len(set(phrase) & set(text[at : at + window])) / len(set(phrase)) for at in starts)
        for phrase in phrases
    ]
    np.testing.assert_allclose(found.coverage(text, window), expected, atol=1e-6)


def test_working_in_parts_changes_nothing(monkeypatch):
    phrases = made(*(f"{first} {second}" for first in UNLIKE for second in UNLIKE))
    whole = covered(phrases, "fiebre y tos con dolor")
    monkeypatch.setattr(module, "_TOGETHER", 5)
    monkeypatch.setattr(module, "_NEW_WORDS", 2)
    monkeypatch.setattr(module, "_KNOWN_WORDS", 3)
    assert [covered(phrases, "fiebre y tos con dolor") for _ in range(3)] == [whole] * 3


def test_a_long_text_has_fewer_windows(monkeypatch):
    monkeypatch.setattr(module, "_WINDOWS", 10)
    assert covered(
        made("masa quiste"), "tos " * 50 + "masa quiste " + "tos " * 50, 10
    ) == pytest.approx([1])


def test_phrases_below_the_least_coverage_get_zero():
    phrases = made("masa quiste hongo", "masa")
    assert phrases.coverage(["masa"], 5, least=0.5) == pytest.approx([0, 1])


def test_a_document_counts_once_for_a_word_and_similar_words():
    phrases = made("abscess fever")
    counted = phrases.document_frequencies([["abscess", "abscesses"], ["abscesses"], ["cough"]])
    assert dict(zip(phrases.vocabulary, counted, strict=True)) == {"abscess": 2, "fever": 0}


@pytest.mark.parametrize("phrases", [[], [[]], [[], ["fever"]]])
def test_empty_phrases_and_texts_are_accepted(phrases):
    found = Phrases(phrases)
    found.weigh(np.ones(len(found.vocabulary)), 1)
    assert found.coverage([], 5).tolist() == [0] * len(phrases)
    assert found.coverage(["fever"], 5) == pytest.approx(
        [float(bool(phrase)) for phrase in phrases]
    )


def test_a_phrase_is_found_at_the_most_similar_words():
    phrases = made("renal failure", "hepatic abscess", "burn", weights={"renal": 3.0})
    found = phrases.found("a renal cyst and later acute renal failures".split(), [0, 2], window=4)
    assert found.shape == (2, 8)
    assert not found[1].any()
    assert found[0, 6] == pytest.approx(0.75)
    assert 0.1 < found[0, 7] < 0.25
    assert not found[0, :6].any()
    assert phrases.found([], [0, 1], 4).shape == (2, 0)
    assert phrases.found(["renal"], [], 4).shape == (0, 1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([*UNLIKE, "y"]), max_size=12), st.integers(1, 6), st.integers(2, 5))
def test_contributions_of_words_sum_to_the_coverage(text, window, most):
    phrases = made("fiebre tos", "dolor", "vomito masa quiste")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_WINDOWS", most)
        found, covered = phrases.found(text, range(3), window), phrases.coverage(text, window)
    np.testing.assert_allclose(found.sum(axis=1), covered, atol=1e-6)
