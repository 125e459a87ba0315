"""What a validation says about its metrics."""

import math

import numpy as np
import pytest

from icdcli.evaluation.measure import FusedScores
from icdcli.model.threshold import Threshold
from icdcli.training.validation import configured_metrics

UNKNOWN = {"principal_accuracy": math.nan, "principal_mrr": math.nan}
FOLLOWS = ". The best checkpoint and patience follow f1_micro"


def note(principal, *metrics):
    """Return the note about metrics of documents that all have the same code."""
    scores_NL = np.array([[0.9, 0.1], [0.8, 0.3]], np.float32)
    fused = FusedScores(scores_NL, scores_NL > 0.5, None, Threshold(), principal=principal)
    return configured_metrics(fused, 0.5, None, metrics).note


@pytest.mark.parametrize(
    ("principal", "why"),
    [
        (UNKNOWN, "no document of the validation split has a principal diagnosis that is known"),
        ({}, "this model doesn't choose a principal diagnosis"),
    ],
)
def test_a_note_says_why_metrics_of_the_principal_diagnosis_are_left_out(principal, why):
    found = note(principal, "f1_micro", *UNKNOWN)
    assert found == f"principal_accuracy, principal_mrr: undefined, because {why}{FOLLOWS}"


def test_each_reason_is_said_once():
    found = note(UNKNOWN, "aucroc_macro", "principal_mrr", "f1_micro")
    assert found.startswith("aucroc_macro: undefined on the validation split, which has too few")
    assert "same codes in all of them; principal_mrr: undefined, because no document" in found
    assert found.endswith(FOLLOWS)
    assert note({"principal_mrr": 0.5}, "f1_micro", "principal_mrr") is None
