"""Checks of the gold and predicted codes of a split, and the metrics without removed codes."""

from datetime import date

import numpy as np
import pytest

from icdcli.data.corpus.reader import Labels
from icdcli.evaluation.code_checks import check_split
from icdcli.icd.code_system import open_code_system
from icdcli.metrics import evaluate

CODES = ("E10.9", "E11.9", "G35", "I10", "Z79.4")


def made(days=()):
    number = len(CODES)
    labels = Labels(CODES, ("diagnosis",) * number, (None,) * number, (1,) * number, (1,) * number)
    targets_NL = np.array([[0, 1, 0, 1, 1], [0, 0, 1, 1, 0], [0, 0, 0, 0, 0]], bool)
    predicted_NL = np.array([[1, 1, 1, 0, 1], [0, 0, 1, 1, 0], [0, 0, 0, 0, 0]], bool)
    scores_NL = np.array(
        [[0.6, 0.9, 0.8, 0.1, 0.7], [0.1, 0.1, 0.7, 0.9, 0.1], [0.1] * 5], np.float32
    )
    system = open_code_system("icd10cm-2026-04")
    return check_split(scores_NL, targets_NL, predicted_NL, labels, system, days), targets_NL


@pytest.fixture(scope="module")
def checks():
    return made()


def test_findings_of_gold_and_predicted_codes_are_counted(checks):
    found, _ = checks
    assert found.editions == ("icd10cm-2026-04",)
    assert found.gold == {("hard", "not assignable"): (1, 1)}
    assert found.predicted == {("hard", "not assignable"): (2, 2), ("soft", "excludes"): (1, 1)}
    assert {
        "finding": "not assignable",
        "severity": "hard",
        "findings": 2,
        "documents": 2,
        "per_100_documents": 66.67,
    } in found.to_json()["predicted"]


def test_each_document_is_checked_by_the_edition_of_its_day():
    """G35 could be assigned until 2025."""
    found, _ = made([date(2026, 5, 1), date(2024, 5, 1), None])
    assert set(found.editions) == {"icd10cm-2024", "icd10cm-2026-04"}
    assert found.gold == {}
    assert found.predicted[("hard", "not assignable")] == (1, 1)


def test_metrics_without_removed_codes_are_those_of_the_smaller_sets(checks):
    found, targets_NL = checks
    as_predicted, hard, excludes = found.resolutions
    assert (hard.removed, hard.right) == (2, 1)  # G35 twice, once gold
    assert (excludes.removed, excludes.right) == (3, 1)  # E10.9, too, whose score is lower
    smaller = (
        (as_predicted, [[1, 1, 1, 0, 1], [0, 0, 1, 1, 0], [0] * 5]),
        (hard, [[1, 1, 0, 0, 1], [0, 0, 0, 1, 0], [0] * 5]),
        (excludes, [[0, 1, 0, 0, 1], [0, 0, 0, 1, 0], [0] * 5]),
    )
    for one, left in smaller:
        wanted = evaluate(np.array(left, np.float32), targets_NL, names=list(one.metrics))
        assert one.metrics == pytest.approx(wanted)
