"""A second stage of out-of-fold scores."""

from dataclasses import replace

import numpy as np
import pytest

from icdcli.boosting.fitting import TreeOptions
from icdcli.cross_fitting import second_stage_fitting
from icdcli.cross_fitting.out_of_fold import OutOfFold
from icdcli.data.corpus.reader import Documents, Labels
from icdcli.metrics import evaluate
from icdcli.model.fusion import NETWORK
from icdcli.model.threshold import Threshold

DOCUMENTS, BLOCKS = 120, 8


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(second_stage_fitting, "_OPTIONS", TreeOptions(30, 0.2))


@pytest.fixture(scope="module")
def found():
    """Return scores of which a code of two in a category is right, unless the other's is higher."""
    draw = np.random.default_rng(1)
    codes = tuple(f"A{block:02d}.{end}" for block in range(BLOCKS) for end in "01")
    evidence_NL = draw.uniform(size=(DOCUMENTS, len(codes))).astype(np.float32)
    pairs = evidence_NL.reshape(DOCUMENTS, BLOCKS, 2)
    gold = (pairs > pairs[:, :, ::-1]) & (pairs > 0.4)
    targets_NL = gold.reshape(DOCUMENTS, -1)
    labels = Labels(
        codes,
        ("diagnosis",) * len(codes),
        (None,) * len(codes),
        *(tuple(targets_NL.sum(axis=0).tolist()),) * 2,
    )
    documents = Documents(
        ids=[f"d{row}" for row in range(DOCUMENTS)],
        subject_ids=[None] * DOCUMENTS,
        rows=np.arange(DOCUMENTS),
        targets=[np.flatnonzero(row).astype(np.int32) for row in targets_NL],
    )
    parts = {NETWORK: np.zeros_like(evidence_NL), "evidence": evidence_NL}
    return OutOfFold(
        source="5-fold cross-fitting",
        documents=documents,
        folds_N=np.arange(DOCUMENTS) % 5,
        labels=labels,
        parts=parts,
        candidates_NL=np.ones(targets_NL.shape, bool),
        how=Threshold.configured("auto"),
        by_evidence=False,
        fold_runs=(),
        epochs=1,
    )


def metrics(found):
    threshold_L = found.final[1].values_L(len(found.labels))
    return evaluate(found.fused_NL, found.targets_NL, threshold_L, names=["map", "f1_micro"])


def test_it_learns_that_siblings_compete(found):
    before, after = metrics(found), metrics(replace(found, with_second_stage=True))
    assert after["map"] > before["map"] + 0.05
    assert after["f1_micro"] > before["f1_micro"] + 0.1


def test_no_document_is_scored_by_its_own_codes(found):
    both = replace(found, with_second_stage=True)
    own_N = found.folds_N == 2
    other = found.documents.targets.copy()
    for row in np.flatnonzero(own_N).tolist():
        other[row] = np.array([0, 1, 2], np.int32)
    changed = replace(both, documents=replace(found.documents, targets=other))
    fusion, threshold = both.chosen_by(~own_N)
    changed_fusion, changed_threshold = changed.chosen_by(~own_N)
    assert threshold.value == changed_threshold.value
    assert np.array_equal(both.fuse(fusion, own_N), changed.fuse(changed_fusion, own_N))


def test_codes_that_no_model_of_the_fold_had_are_no_candidates(found):
    lacking = found.candidates_NL.copy()
    lacking[found.folds_N == 1, :4] = False
    both = replace(found, candidates_NL=lacking, with_second_stage=True)
    assert not both.fused_NL[found.folds_N == 1, :4].any()
    assert not both.predicted_NL[found.folds_N == 1, :4].any()
    assert both.fused_NL[found.folds_N == 0, :4].any()
