"""The choice of the principal diagnosis."""

from dataclasses import replace

import numpy as np
import pytest

from icdcli.data.corpus.reader import Documents, Labels
from icdcli.model.principal.choice import (
    OUTSIDE,
    UNKNOWN_PRINCIPAL,
    PrincipalChoice,
    principal_labels,
)

LABELS = Labels(
    ("A", "B", "C", "P"),
    ("diagnosis", "diagnosis", "diagnosis", "procedure"),
    (None,) * 4,
    (4,) * 4,
    (4,) * 4,
)
TARGETS = [np.array(own, np.int32) for own in ([0, 1, 3], [0, 1], [0, 2], [1, 2])]
GOLD = np.array([0, 0, 0, UNKNOWN_PRINCIPAL])


def choice(learned=False):
    return PrincipalChoice.of(LABELS, TARGETS, GOLD, learned)


def test_labels_of_principal_diagnoses():
    documents = Documents(
        ["1", "2", "3"], [None] * 3, np.arange(3), TARGETS[:3], principals=["B", None, "Z"]
    )
    assert principal_labels(documents, LABELS.index).tolist() == [1, UNKNOWN_PRINCIPAL, OUTSIDE]
    assert principal_labels(documents.take([2]), LABELS.index).tolist() == [OUTSIDE]
    plain = Documents(["1"], [None], np.arange(1), TARGETS[:1])
    assert principal_labels(plain, LABELS.index).tolist() == [UNKNOWN_PRINCIPAL]


def test_rates_are_those_of_documents_with_the_code_drawn_to_the_mean():
    # Three documents count, with 3, 2, 1 times A, B, C; the mean rate of a diagnosis is 3 / 6.
    assert choice().rates_L == pytest.approx([4 / 5, 1 / 4, 1 / 3, 1 / 3])


def test_score_and_rate_decide_together():
    own_NL = np.zeros((2, 4), np.float32)
    scores_NL = np.array([[0.5, 0.9, 0.1, 0.99], [0.05, 0.9, 0.1, 0.99]], np.float32)
    logits_NL = choice().logits(scores_NL, own_NL)
    # A is the principal diagnosis of most documents with it, unless it is hardly present.
    assert logits_NL.argmax(axis=1).tolist() == [0, 1]
    probabilities_NL = choice().probabilities(scores_NL, own_NL)
    assert probabilities_NL.sum(axis=1) == pytest.approx(1)
    assert probabilities_NL[:, 3].tolist() == [0, 0]  # a procedure is none
    expected = np.array([0.5 * 4 / 5, 0.9 / 4, 0.1 / 3])
    assert probabilities_NL[0, :3] == pytest.approx(expected / expected.sum(), rel=1e-4)


def test_a_network_starts_with_its_own_logits():
    own_NL = np.array([[0, 3, 1, 9]], np.float32)
    logits_NL = choice(learned=True).logits(np.full((1, 4), 0.5, np.float32), own_NL)
    assert logits_NL[0, :3].tolist() == [0, 3, 1]


def test_a_checkpoint_has_it_exactly():
    one = replace(choice(), weights={"score": 2.0, "rate": 0.5, "own": 0.0})
    again = PrincipalChoice.from_json(one.to_json())
    assert np.array_equal(again.rates_L, one.rates_L)
    assert again.possible_L.tolist() == one.possible_L.tolist()
    assert (again.start, again.weights) == (one.start, one.weights) == (choice().start, one.weights)
    assert again.tuned_on is None
    assert PrincipalChoice.from_json(None) is None
    earlier = {key: value for key, value in one.to_json().items() if key != "start"}
    assert PrincipalChoice.from_json(earlier).weights == one.weights
