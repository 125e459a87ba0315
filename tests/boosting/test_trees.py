"""Boosted trees as arrays do what scikit-learn's do."""

import json

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from icdcli.boosting.fitting import TreeOptions, fit_trees
from icdcli.boosting.trees import Trees

DRAW = np.random.default_rng(0)


@pytest.fixture(scope="module")
def features():
    return DRAW.normal(size=(600, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def gold(features):
    return features[:, 0] * features[:, 1] > 0.3


@pytest.fixture(scope="module")
def trees(features, gold):
    return fit_trees(features, gold, TreeOptions(20, 0.06))


def test_trees_are_those_of_scikit_learn(features, gold, trees, monkeypatch):
    fitted = []
    fit = HistGradientBoostingClassifier.fit
    monkeypatch.setattr(
        HistGradientBoostingClassifier,
        "fit",
        lambda self, *given: fitted.append(self) or fit(self, *given),
    )
    again = fit_trees(features, gold, TreeOptions(20, 0.06))
    new = DRAW.normal(size=(300, 6)).astype(np.float32)
    assert trees.sums(new) == pytest.approx(fitted[0].decision_function(new))
    assert np.array_equal(again.sums(new), trees.sums(new))
    assert np.mean((trees.sums(new) > 0) == (new[:, 0] * new[:, 1] > 0.3)) > 0.8


def test_trees_are_stored_exactly(features, trees):
    for again in (
        Trees.from_json(json.loads(json.dumps(trees.to_json()))),
        Trees.from_arrays(trees.arrays()),
    ):
        assert np.array_equal(again.sums(features), trees.sums(features))


def test_trees_that_do_not_belong_together_are_refused(trees):
    stored = trees.to_json()
    with pytest.raises(ValueError, match="don't belong together"):
        Trees.from_json(stored | {"value_D": stored["value_D"][:-1]})
    with pytest.raises(ValueError, match="don't belong together"):
        Trees.from_json(stored | {"left_D": [len(stored["left_D"]), *stored["left_D"][1:]]})
