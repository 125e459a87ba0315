"""Parts for another label space: kept labels keep their scores, others follow their source."""

import numpy as np
import pytest

from icdcli.data.relabeling import Relabeling
from icdcli.lexical.lexical_model import LexicalModel
from icdcli.lexical.names import part_names
from icdcli.lexical.tfidf import Tfidf

LABELS, RETIRED, DIVIDED = 8, 1, 3
KEPT = [0, 2, 4, 5, 6, 7]
# The children of DIVIDED are the first two labels, the new code is the last one.
SOURCES = [DIVIDED, DIVIDED, *KEPT, -1]
FIRST_CHILD, SECOND_CHILD, NEW = 0, 1, 8
PARTS = tuple(name for name in part_names() if name != "translations")  # English needs none


@pytest.fixture(scope="module")
def notes(synthetic_notes):
    return synthetic_notes(40, LABELS)


@pytest.fixture(scope="module")
def fitted(notes):
    descriptions = [(name, "something else") for name in notes.names]
    return LexicalModel.fit(notes.texts, notes.targets, descriptions, notes.annotations)


@pytest.fixture(scope="module")
def relabeling(notes):
    name = notes.names[DIVIDED]
    own = {FIRST_CHILD: f"{name} frontal", SECOND_CHILD: f"{name} lateral", NEW: "zebra stripes"}
    return Relabeling(
        LABELS,
        np.array(SOURCES),
        np.array([2, 2, *(1 for _ in KEPT), 1]),
        np.array([False, False, *(True for _ in KEPT), False]),
        [(own[label],) if label in own else ("never read",) for label in range(len(SOURCES))],
    )


@pytest.fixture(scope="module")
def relabeled(fitted, relabeling):
    return fitted.relabeled(relabeling)


@pytest.mark.parametrize("part", PARTS)
def test_kept_labels_keep_their_scores_bit_for_bit(fitted, relabeled, notes, part):
    before, after = fitted.scores(notes.texts)[part], relabeled.scores(notes.texts)[part]
    assert after.shape == (40, len(SOURCES))
    assert np.array_equal(after[:, 2:NEW], before[:, KEPT])


@pytest.mark.parametrize("part", PARTS)
def test_children_follow_their_source(fitted, relabeled, notes, part):
    has = np.array([DIVIDED in labels for labels in notes.targets])
    scores_NL = relabeled.scores(notes.texts)[part]
    for child in (FIRST_CHILD, SECOND_CHILD):
        assert scores_NL[has, child].min() > scores_NL[~has, child].max()
    before = fitted.scores(notes.texts)[part][has, DIVIDED]
    assert (scores_NL[has, FIRST_CHILD] <= before + 1e-6).all()


@pytest.mark.parametrize("part", ["descriptions", "terms"])
def test_their_own_words_tell_children_apart(relabeled, notes, part):
    name = notes.names[DIVIDED]
    frontal, lateral = relabeled.scores([f"{name} frontal", f"{name} lateral"])[part]
    assert frontal[FIRST_CHILD] > frontal[SECOND_CHILD]
    assert lateral[SECOND_CHILD] > lateral[FIRST_CHILD]


@pytest.mark.parametrize("part", ["descriptions", "terms"])
def test_a_new_code_is_found_by_its_description(relabeled, notes, part):
    scores_NL = relabeled.scores(["the zebra stripes", *notes.texts])[part]
    assert scores_NL[0].argmax() == NEW
    assert scores_NL[0, NEW] > scores_NL[1:, NEW].max()


def test_a_new_code_has_no_training_documents(relabeled, notes):
    scores = relabeled.scores(notes.texts)
    assert not scores["ngrams"][:, NEW].any()
    assert not scores["evidence"][:, NEW].any()


def test_what_was_relabeled_is_saved_and_explained(relabeled, notes, tmp_path):
    relabeled.save(tmp_path / "lexical")
    loaded = LexicalModel.load(tmp_path / "lexical", len(SOURCES))
    text = notes.texts[0]
    again = loaded.scores(notes.texts)
    for part, scores_NL in relabeled.scores(notes.texts).items():
        assert np.array_equal(again[part], scores_NL)
    words = relabeled.by_word(text, [FIRST_CHILD, NEW])["ngrams"].weights_KW
    expected = relabeled.scores([text])["ngrams"][0, [FIRST_CHILD, NEW]]
    np.testing.assert_allclose(words.sum(axis=1), expected, atol=1e-5)


def test_relabeling_again_keeps_what_was_kept(fitted, relabeled, notes):
    labels = len(SOURCES)
    kept = np.arange(labels)
    ones, yes = np.ones(labels, np.int64), np.ones(labels, bool)
    again = relabeled.relabeled(Relabeling(labels, kept, ones, yes, [()] * labels))
    once, twice = relabeled.scores(notes.texts), again.scores(notes.texts)
    assert all(np.array_equal(once[part], twice[part]) for part in PARTS)


def test_tfidf_keeps_labels_and_divides_the_odds_of_their_source(notes, relabeling, tmp_path):
    words = Tfidf.fit(notes.texts, notes.targets, LABELS)
    after = words.relabeled(relabeling)
    before_NL, after_NL = words.logits(notes.texts), after.logits(notes.texts)
    assert np.array_equal(after_NL[:, 2:NEW], before_NL[:, KEPT])
    np.testing.assert_allclose(
        after_NL[:, FIRST_CHILD], before_NL[:, DIVIDED] - np.log(2), atol=1e-5
    )
    assert len(set(after_NL[:, NEW].tolist())) == 1
    assert after_NL[0, NEW] <= words.offsets_L.min()
    after.save(tmp_path)
    assert np.array_equal(Tfidf.load(tmp_path, len(SOURCES)).logits(notes.texts), after_NL)
