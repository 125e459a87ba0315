"""The benchmark of what scores decide chooses on one half and counts on the other."""

from types import SimpleNamespace

import numpy as np
import pytest

from icdcli.data.corpus.reader import Documents
from icdcli.model.threshold import Threshold


@pytest.fixture
def documents(script):
    """Return documents whose codes are gold as often as their score says."""
    draw = np.random.default_rng(0)
    made = []
    for _ in range(200):
        scores = draw.random(8).round(4)
        gold = (draw.random(8) < scores).tolist()
        codes = [f"{letter}0{draw.integers(9)}" for letter in "ABCDEFGH"]
        predicted = (scores >= 0.5).tolist()
        made.append(script("decisions").Scored(codes, scores.tolist(), predicted, gold))
    return made


def test_accepted_codes_are_counted_on_other_documents(script, documents):
    found = script("decisions").accepted_on_other_halves(documents, 20)[0.9]
    assert found["rounds with a score"] == 20
    assert found["precision"] == pytest.approx(0.9, abs=0.03)
    assert 0.1 < found["codes"] < 0.6
    wrong = [one._replace(gold=[False] * 8) for one in documents]
    none = script("decisions").accepted_on_other_halves(wrong, 2)[0.9]
    assert none == {"rounds with a score": 0, "precision": None, "codes": None}


def test_random_documents_give_no_alarm_and_a_department_does(script, documents):
    words = ["fever", "pain", "cough", "asthma", "gout", "stroke"]
    draw = np.random.default_rng(1)
    texts = [" ".join(draw.choice(words, draw.integers(20, 60))) for _ in documents]
    labels = {code: "diagnosis" for one in documents for code in one.codes}
    split = Documents.unlabeled(len(documents))
    corpus = SimpleNamespace(
        texts=lambda split: iter(texts),
        documents=lambda _: split,
        labels=SimpleNamespace(codes=tuple(labels), kinds=tuple(labels.values())),
    )
    for one in documents[:30]:  # a department: two gold codes that begin with Z
        labels["Z00"] = labels["Z01"] = "diagnosis"
        one.codes[:2], one.gold[:2], one.predicted[:2] = ["Z00", "Z01"], [True] * 2, [True] * 2
    corpus.labels = SimpleNamespace(codes=tuple(labels), kinds=tuple(labels.values()))
    found = script("decisions").drift_alarms(corpus, documents, 10)
    assert found["50 random documents"] <= 0.3
    assert found["30 documents with codes Z…"] == 1


def test_scores_are_chosen_without_the_fold_that_they_are_measured_on(script):
    """In one fold nothing is gold, which only a choice on that fold would know."""
    draw = np.random.default_rng(0)
    scores_NL = draw.uniform(0.5, 1, (300, 8)).astype(np.float32)
    targets_NL = draw.random(scores_NL.shape) < scores_NL
    found = SimpleNamespace(
        final=(None, Threshold(0.5)),
        labels=range(8),
        folds_N=np.arange(300) % 3,
        fused_NL=scores_NL,
        targets_NL=targets_NL,
        source="made up",
    )
    measure = script("decisions").accepted_on_held_out_folds
    row = measure(found)[0.9]
    assert row["rounds with a score"] == 3
    assert row["precision"] == pytest.approx(0.9, abs=0.03)
    targets_NL[::3] = False
    assert measure(found)[0.9]["precision"] < 0.5
