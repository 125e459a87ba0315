"""The summary of scores is that of the same codes as predictions have them."""

import json

import numpy as np

from icdcli.data.corpus.reader import Labels
from icdcli.evaluation.reference.scores import (
    HIGHEST,
    ScoreReference,
    code_group,
    measure_codes,
    summarize_scores,
)

CODES = ("A00.0", "A01", "B00.1", "C00", "0BJ08ZZ", "I10", "I11.9")
KINDS = ("diagnosis",) * 4 + ("procedure",) + ("diagnosis",) * 2


def test_scores_are_measured_as_predictions_are():
    draw = np.random.default_rng(0)
    scores_NL = draw.random((30, 7)).astype(np.float32)
    threshold_L = np.linspace(0.3, 0.9, 7, dtype=np.float32)
    labels = Labels(CODES, KINDS, (None,) * 7, (1,) * 7, (1,) * 7)
    found = summarize_scores(scores_NL, threshold_L, labels, "validation")
    rows, groups = [], {}
    for scores_L in scores_NL:
        predicted = scores_L >= threshold_L
        highest = sorted(scores_L.tolist(), reverse=True)[:HIGHEST]
        rows.append(measure_codes(highest, int(predicted.sum())))
        for group in {code_group(CODES[k], KINDS[k]) for k in np.flatnonzero(predicted)}:
            groups[group] = groups.get(group, 0) + 1
    assert found.groups == groups and "procedure 0" in groups
    for place, values in enumerate(found.measures.values()):
        assert np.allclose(values, sorted(row[place] for row in rows), atol=1e-4)
    assert ScoreReference.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_model_of_few_codes():
    labels = Labels(CODES[:2], KINDS[:2], (None,) * 2, (1,) * 2, (1,) * 2)
    scores_NL = np.array([[0.2, 0.6]], np.float32)
    found = summarize_scores(scores_NL, np.full(2, 0.5, np.float32), labels, "validation")
    assert [values[0] for values in found.measures.values()] == [0.6, 0.4, 1]
