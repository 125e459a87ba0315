import json
from dataclasses import replace

import numpy as np
import pytest

from icdcli.boosting.fitting import TreeOptions, fit_trees
from icdcli.model.fusion import NETWORK, Fusion, fused_logits
from icdcli.model.second_stage.candidates import (
    CandidateNumbers,
    Groups,
    LabelFacts,
    candidates,
    features_of,
)
from icdcli.model.second_stage.reordering import SecondStage

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
    trees = fit_trees(features, features[:, 2] > 0.5, TreeOptions(20, 0.06))
    return SecondStage(tuple(parts), facts, trees)


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


@pytest.mark.parametrize("values", [2, 5, 1000])
def test_candidates_and_ranks_are_those_of_complete_rankings(values):
    """With few values, there are many ties: the first label of equals is a candidate."""
    fused_L, part_L = DRAW.integers(0, values, (2, len(CODES))).astype(np.float32)
    for numbers in (CandidateNumbers(5, 3), CandidateNumbers(1, 1), CandidateNumbers(99, 99)):
        labels_C = candidates({"ngrams": part_L}, fused_L, numbers)
        best = np.lexsort((np.arange(len(CODES)), -fused_L))[: numbers.fused]
        of_part = np.lexsort((np.arange(len(CODES)), -part_L))[: numbers.of_part]
        assert labels_C.tolist() == sorted({*best.tolist(), *of_part.tolist()})
        facts = LabelFacts(CODES, np.ones(len(CODES), np.int64))
        features_CX = features_of({"ngrams": part_L}, fused_L, labels_C, facts)
        higher_C = [int((part_L > part_L[label]).sum()) for label in labels_C]
        np.testing.assert_array_equal(features_CX[:, 1], np.log1p(higher_C).astype(np.float32))


def test_a_document_has_the_same_scores_in_any_batch(stage):
    parts = parts_of(6)
    fused_BL = parts["evidence"] + parts["ngrams"]
    together = stage.again(parts, fused_BL)
    for row in range(6):
        alone = stage.again(
            {name: part[row : row + 1] for name, part in parts.items()}, fused_BL[[row]]
        )
        assert alone.tobytes() == together[[row]].tobytes()


def test_codes_that_are_no_candidates_stay_behind(stage):
    numbers = CandidateNumbers(5, 2)
    parts = parts_of(1)
    row = {name: part[0] for name, part in parts.items()}
    fused_L = parts["evidence"][0]
    chosen = candidates(row, fused_L, numbers)
    assert 5 <= len(chosen) <= 5 + 3 * 2
    assert set(np.argsort(-fused_L)[:5]) <= set(chosen.tolist())
    logits_L = replace(stage, numbers=numbers).of_document(row, fused_L)
    others = np.setdiff1d(np.arange(len(CODES)), chosen)
    assert logits_L[others].max() <= logits_L[chosen].min()
    assert (logits_L[others] <= fused_L[others]).all()


def test_a_checkpoint_of_before_has_as_many_candidates_as_its_trees_were_fitted_to(stage):
    stored = json.loads(json.dumps(replace(stage, numbers=CandidateNumbers(7, 3)).to_json()))
    assert SecondStage.from_json(stored).numbers == (7, 3)
    del stored["candidates"]
    assert SecondStage.from_json(stored).numbers == (60, 15)


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
