import json

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from icdcli.cross_fitting import second_stage_fitting
from icdcli.model.fusion import NETWORK, Fusion, fused_logits
from icdcli.model.second_stage.candidates import Groups, LabelFacts, candidates, features_of
from icdcli.model.second_stage.reordering import SecondStage
from icdcli.model.second_stage.trees import Trees

CODES = tuple(
    f"{letter}{block:02d}.{end}" for letter in "AB" for block in range(7) for end in "0129"
)
DRAW = np.random.default_rng(0)


def parts_of(documents):
    names = (NETWORK, "evidence", "ngrams")
    return {name: DRAW.normal(size=(documents, len(CODES))).astype(np.float32) for name in names}


@pytest.fixture(scope="module")
def stage():
    parts, facts = parts_of(40), LabelFacts(CODES, DRAW.integers(0, 9, len(CODES)))
    fused_NL = parts["evidence"] + parts["ngrams"]
    rows = [{name: part[row] for name, part in parts.items()} for row in range(40)]
    labels = [candidates(row, fused) for row, fused in zip(rows, fused_NL, strict=True)]
    features = np.concatenate(
        [
            features_of(row, fused, own, facts)
            for row, fused, own in zip(rows, fused_NL, labels, strict=True)
        ]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(second_stage_fitting._OPTIONS, "max_iter", 20)
        trees = second_stage_fitting.fit_trees(features, features[:, 2] > 0.5)
    return SecondStage(tuple(parts), facts, trees)


def test_trees_are_those_of_scikit_learn(monkeypatch):
    monkeypatch.setitem(second_stage_fitting._OPTIONS, "max_iter", 20)
    features = DRAW.normal(size=(600, 6)).astype(np.float32)
    gold = features[:, 0] * features[:, 1] > 0.3
    trees = second_stage_fitting.fit_trees(features, gold)
    fitted = HistGradientBoostingClassifier(**second_stage_fitting._OPTIONS).fit(features, gold)
    new = DRAW.normal(size=(300, 6)).astype(np.float32)
    assert trees.sums(new) == pytest.approx(fitted.decision_function(new))
    assert np.mean((trees.sums(new) > 0) == (new[:, 0] * new[:, 1] > 0.3)) > 0.8
    again = Trees.from_json(json.loads(json.dumps(trees.to_json())))
    assert np.array_equal(again.sums(new), trees.sums(new))


def test_trees_that_do_not_belong_together_are_refused(stage):
    stored = stage.trees.to_json()
    with pytest.raises(ValueError, match="don't belong together"):
        Trees.from_json(stored | {"value_D": stored["value_D"][:-1]})
    with pytest.raises(ValueError, match="don't belong together"):
        Trees.from_json(stored | {"left_D": [len(stored["left_D"]), *stored["left_D"][1:]]})


def test_best_of_the_other_codes_of_a_group():
    names = [*DRAW.choice(list("abcde"), 60).tolist(), "alone"]
    groups = Groups.of(names)
    scores_L = DRAW.integers(0, 5, 61).astype(np.float32)  # many ties
    labels_C = np.arange(61)
    found_C = groups.best_others(scores_L, labels_C)
    for label in labels_C[:-1].tolist():
        others = [
            scores_L[other]
            for other in range(61)
            if other != label and names[other] == names[label]
        ]
        assert found_C[label] == max(others)
    assert found_C[-1] == -50


def test_a_document_has_the_same_scores_in_any_batch(stage):
    parts = parts_of(6)
    fused_BL = parts["evidence"] + parts["ngrams"]
    together = stage.again(parts, fused_BL)
    for row in range(6):
        alone = stage.again(
            {name: part[row : row + 1] for name, part in parts.items()}, fused_BL[[row]]
        )
        assert alone.tobytes() == together[[row]].tobytes()


def test_codes_that_are_no_candidates_stay_behind(stage, monkeypatch):
    monkeypatch.setattr("icdcli.model.second_stage.candidates._BEST", 5)
    monkeypatch.setattr("icdcli.model.second_stage.candidates._BEST_OF_PART", 2)
    parts = parts_of(1)
    row = {name: part[0] for name, part in parts.items()}
    fused_L = parts["evidence"][0]
    chosen = candidates(row, fused_L)
    assert 5 <= len(chosen) <= 5 + 3 * 2
    assert set(np.argsort(-fused_L)[:5]) <= set(chosen.tolist())
    logits_L = stage.of_document(row, fused_L)
    others = np.setdiff1d(np.arange(len(CODES)), chosen)
    assert logits_L[others].max() <= logits_L[chosen].min()
    assert (logits_L[others] <= fused_L[others]).all()


def test_a_fusion_keeps_its_second_stage(stage):
    fusion = Fusion({NETWORK: 0.0, "evidence": 1.0, "ngrams": 1.0}, -0.5, "validation")
    both = Fusion(fusion.weights, fusion.bias, fusion.tuned_on, second_stage=stage)
    stored = Fusion.from_json(json.loads(json.dumps(both.to_json())))
    parts = parts_of(3)

    def logits(own):
        return fused_logits({name: part.copy() for name, part in parts.items()}, own)

    assert np.array_equal(logits(stored), logits(both))
    assert not np.array_equal(logits(both), logits(fusion))
    assert np.array_equal(both.added("ngrams", parts), fusion.added("ngrams", parts))
    assert "second_stage" not in fusion.to_json()
