from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from icdcli.lexical import ngram_features
from icdcli.lexical.ngram_features import (
    FEATURES,
    NGRAM_BITS,
    NGRAM_FEATURES,
    counts,
    inverse_frequencies,
    weighted,
)
from icdcli.lexical.words import MARK

MASK = (1 << 64) - 1


def plain_hash(number, bits):
    number = (number ^ number >> 32) * 0xD6E8FEB86659FD93 & MASK
    return ((number ^ number >> 29) * 0xD6E8FEB86659FD93 & MASK) >> 64 - bits


def plain_ngrams(text):
    """Return the columns of the n-grams, computed with Python's integers."""
    found = Counter()
    for word in text.split():
        spaced = f" {word} "
        for length in (2, 3, 4, 5):
            for start in range(len(spaced) - length + 1):
                number = length
                for letter in spaced[start : start + length]:
                    number = (number * 0x9E3779B97F4A7C15 + ord(letter)) & MASK
                found[plain_hash(number, NGRAM_BITS)] += 1
    return found


def cosines(texts, share):
    counted = counts(texts)
    features = weighted(
        counted,
        inverse_frequencies(len(texts), np.bincount(counted.indices, minlength=FEATURES)),
        share,
    )
    return (features @ features.T).toarray()


def test_ngrams_are_those_of_each_word_between_blanks():
    counted = counts(["a fever, fever ñu"])
    of_ngrams = counted.indices < NGRAM_FEATURES
    assert dict(
        zip(counted.indices[of_ngrams], counted.data[of_ngrams], strict=True)
    ) == plain_ngrams("a fever fever nu")


@pytest.mark.parametrize("text", ["fever " * 5_000 + "cough", "fever " * 2_048, "fever " * 2_047])
def test_a_word_is_counted_however_often_it_comes(text):
    counted = counts([text])[:, :NGRAM_FEATURES]
    found = dict(zip(counted.indices, counted.data, strict=True))
    assert found == plain_ngrams(text)


def test_counts_are_the_same_after_words_are_forgotten(monkeypatch):
    texts = [f"fever cough {MARK}fever word{number}" for number in range(20)]
    together = counts(texts)
    monkeypatch.setattr(ngram_features, "_KNOWN", ngram_features._KnownWords())
    monkeypatch.setattr(ngram_features, "_MOST_BUCKETS", 50)
    alone = sparse.vstack([counts([text]) for text in texts])
    assert (alone != together).nnz == 0


def test_words_are_counted_as_a_unit():
    counted = counts(["fever and fever", "and"])
    words = counted[:, NGRAM_FEATURES:].toarray()
    assert sorted(words[0][words[0] > 0]) == [1, 2]
    assert words[0][words[1] > 0] == [1]


def test_words_of_the_same_letters_differ():
    counted = counts(["abc", "acb", "cba", "ab", "abcabc"])[:, NGRAM_FEATURES:]
    assert len(set(counted.indices)) == 5


@pytest.mark.parametrize(
    ("share", "vectorizer"),
    [
        (0.0, TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)),
        (1.0, TfidfVectorizer(sublinear_tf=True, min_df=2)),
    ],
)
def test_cosines_are_scikit_learns(synthetic_notes, share, vectorizer):
    texts = synthetic_notes().texts
    theirs = vectorizer.fit_transform(texts)
    # Apart from n-grams that share a bucket, about one in a hundred.
    np.testing.assert_allclose(cosines(texts, share), (theirs @ theirs.T).toarray(), atol=0.02)


def test_words_have_their_share_of_a_document():
    texts = ["fever and cough", "cough and fever", "nothing"]
    for share in (0.2, 0.7):
        assert cosines(texts, share).diagonal()[:2] == pytest.approx(1, abs=1e-6)
    counted = counts(texts)
    features = weighted(counted, np.ones(FEATURES, np.float32), 0.3)
    assert pytest.approx(0.3, abs=1e-6) == features[:, NGRAM_FEATURES:].power(2).sum(axis=1).A1


def test_features_of_a_single_document_are_left_out():
    counted = counts(["fever", "cough"])
    assert not weighted(
        counted,
        inverse_frequencies(2, np.bincount(counted.indices, minlength=FEATURES) * 0 + 1),
        0.5,
    ).nnz


def test_a_text_without_words_is_an_empty_row():
    counted = counts(["", " \n", "¿…?"])
    assert counted.shape == (3, FEATURES)
    assert counted.nnz == 0
    assert weighted(counted, np.ones(FEATURES, np.float32), 0.5).nnz == 0


def test_no_text_gives_no_row():
    assert counts([]).shape == (0, FEATURES)


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_any_text_can_be_counted(text):
    counted = counts([text, "fever " + text])
    assert counted.has_sorted_indices
    assert counted.indices.max(initial=0) < FEATURES
