import numpy as np
import pytest

from icdcli.lexical.description_overlap import DescriptionOverlap
from icdcli.lexical.words import words

DESCRIPTIONS = [
    ("Acute kidney failure", "Renal shutdown"),
    ("Chronic kidney disease",),
    (),
    ("Burn of the left hand",),
]
SAMPLE = [
    "The patient has a chronic cough.",
    "Disease of the left hand, acute on chronic.",
    "Kidney stones, and the burn was acute.",
    "A failure to thrive.",
]


@pytest.fixture(scope="module")
def overlap():
    return DescriptionOverlap.fit(DESCRIPTIONS, SAMPLE)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("acute kidney failure", 0),
        ("Chronic diseases of the kidneys", 1),
        ("the left hand was burnt", 3),
    ],
)
def test_the_code_named_in_the_text_ranks_first(overlap, text, label):
    assert overlap.scores([f"Admitted yesterday: {text}, otherwise well."])[0].argmax() == label


def test_any_description_of_a_code_is_enough(overlap):
    assert overlap.scores(["in renal shutdown"])[0].argmax() == 0


def test_a_code_without_description_never_scores(overlap):
    assert not overlap.scores([*SAMPLE, "kidney"])[:, 2].any()


def test_words_of_every_document_do_not_count(overlap):
    assert overlap.scores(SAMPLE).mean(axis=0) == pytest.approx(0, abs=1e-6)


def test_a_word_of_fewer_codes_and_documents_counts_more(overlap):
    weights = dict(zip(overlap.phrases.vocabulary, overlap.weight_V, strict=True))
    assert weights["shutdown"] > weights["kidney"]
    assert weights["shutdown"] > weights["acute"]


def test_the_weight_of_a_word_follows_the_formula(overlap):
    weights = dict(zip(overlap.phrases.vocabulary, overlap.weight_V, strict=True))
    assert weights["kidney"] == pytest.approx(np.log(5 / 2) * np.log(5 / 3) ** 1.5)
    found = overlap.phrases.coverage(["kidney"], 10)[0]
    whole = weights["acute"] + weights["kidney"] + weights["failure"]
    assert found == pytest.approx(weights["kidney"] / whole**0.7)


def test_some_labels_keep_the_weights_of_words_but_not_the_mean(overlap):
    some = overlap.only([3, 0], ["", "burn"])
    texts = ["acute failure of the kidney", "a burnt hand", ""]
    alone_N2 = some.scores(texts) + some.mean_L
    together_N2 = (overlap.scores(texts) + overlap.mean_L)[:, [3, 0]]
    np.testing.assert_allclose(alone_N2, together_N2, atol=1e-6)
    assert some.mean_L[0] == pytest.approx(
        alone_N2[2:, 0] + some.phrases.coverage(["burn"], 10)[0] / 2
    )


def test_titles_in_another_script_score_nothing():
    overlap = DescriptionOverlap.fit(
        [("острая почечная недостаточность",), ("急性腎不全",)], SAMPLE
    )
    assert not overlap.scores([*SAMPLE, "acute kidney failure"]).any()


@pytest.mark.parametrize("descriptions", [[(), ()], [("…",), ("",)]])
def test_descriptions_without_a_word_score_nothing(descriptions):
    assert not DescriptionOverlap.fit(descriptions, SAMPLE).scores(SAMPLE).any()


def test_texts_without_words_and_no_texts(overlap):
    assert overlap.scores(["", "…"]) == pytest.approx(np.tile(-overlap.mean_L, (2, 1)))
    assert overlap.scores([]).shape == (0, 4)


def test_an_empty_sample_is_accepted():
    assert DescriptionOverlap.fit(DESCRIPTIONS, []).scores(["acute kidney failure"]).shape == (1, 4)


def test_a_saved_model_gives_the_same_scores(overlap):
    again = DescriptionOverlap.from_arrays(
        overlap.arrays(), [list(texts) for texts in DESCRIPTIONS], 4
    )
    assert np.array_equal(again.scores(SAMPLE), overlap.scores(SAMPLE))


@pytest.mark.parametrize("descriptions", [DESCRIPTIONS[:3], [*DESCRIPTIONS[:3], ("Another burn",)]])
def test_descriptions_that_were_not_saved_with_it_are_refused(overlap, descriptions):
    with pytest.raises(ValueError, match="for 4 labels"):
        DescriptionOverlap.from_arrays(overlap.arrays(), descriptions, 4)


def test_contributions_of_words_sum_to_the_score_plus_its_mean(overlap):
    text = "In renal shutdown, with a burn of the hand."
    document = words(text)
    found = overlap.by_word(document, [0, 2, 3])
    np.testing.assert_allclose(
        found.sum(axis=1), (overlap.scores([text])[0] + overlap.mean_L)[[0, 2, 3]], atol=1e-6
    )
    assert [document[place] for place in np.flatnonzero(found[0])] == ["renal", "shutdown"]
    assert not found[1].any()
    assert {document[place] for place in np.flatnonzero(found[2])} >= {
        "burn",
        "hand",
    }
