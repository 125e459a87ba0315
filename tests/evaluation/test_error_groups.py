from collections.abc import Callable

import numpy as np
import pytest

from icdcli.data.corpus.reader import Documents, Labels
from icdcli.evaluation.error_groups import category_of, error_groups
from icdcli.evaluation.evaluate import Evaluation, evaluate_split
from icdcli.evaluation.score_split import SplitScores
from icdcli.model.threshold import Threshold

Make = Callable[..., Evaluation]
CODES = ("I10", "I50.1", "I50.9", "J18.9", "R05")


def evaluation(scores: list[list[float]], gold: list[list[int]]) -> Evaluation:
    counts = (100, 50, 50, 0, 5)
    labels = Labels(CODES, ("diagnosis",) * 5, (None,) * 5, counts, counts)
    targets = [np.array(row, np.int32) for row in gold]
    documents = Documents(
        [str(row) for row in range(len(gold))], [None] * len(gold), np.arange(len(gold)), targets
    )
    scored = SplitScores(documents, np.array(scores, np.float32), np.full(len(gold), 0.1))
    return evaluate_split("test", scored, labels, Threshold(0.5))


def test_each_error_is_in_the_first_group_that_fits() -> None:
    found = error_groups(
        evaluation(
            [
                [0.3, 0.1, 0.9, 0.4, 0.4],  # I50.9 instead of I50.1; J18.9, R05 missed
                [0.3, 0.1, 0.1, 0.1, 0.9],  # I10 close, I50.1 far off; R05 extra
            ],
            [[1, 3, 4], [0, 1]],
        )
    )
    assert found.missed == {"near": 1, "unseen": 1, "rare": 1, "close": 1, "other": 1}
    assert found.extra == {"near": 1, "other": 1}


def test_all_errors_are_counted(made_up_evaluation: Make) -> None:
    made_up = made_up_evaluation()
    gold_NL, predicted_NL = made_up.targets_NL, made_up.statistics.predicted_NL
    found = error_groups(made_up)
    assert sum(found.missed.values()) == (gold_NL & ~predicted_NL).sum() > 0
    assert sum(found.extra.values()) == (predicted_NL & ~gold_NL).sum() > 0


@pytest.mark.parametrize(
    ("code", "category"),
    [("E11.9", "E11"), ("I10", "I10"), ("E885.9", "E885"), ("36.15", "36"), ("0DB64Z3", "0DB")],
)
def test_categories(code: str, category: str) -> None:
    assert category_of(code) == category
