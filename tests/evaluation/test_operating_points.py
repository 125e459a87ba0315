from collections.abc import Callable

import pytest

from icdcli.evaluation.evaluate import Evaluation
from icdcli.evaluation.operating_points import operating_points
from icdcli.model.threshold import Threshold

Make = Callable[..., Evaluation]


@pytest.mark.parametrize("threshold", [0.05, 0.4, 0.62])
def test_a_point_is_what_the_threshold_gives(made_up_evaluation: Make, threshold: float) -> None:
    evaluation = made_up_evaluation(threshold=Threshold(threshold))
    point = next(one for one in operating_points(evaluation) if one.threshold == threshold)
    metrics = evaluation.metrics
    assert point.precision == pytest.approx(metrics["precision_micro"])
    assert point.recall == pytest.approx(metrics["recall_micro"])
    assert point.f1 == pytest.approx(metrics["f1_micro"])
    assert point.codes == pytest.approx(evaluation.statistics.predicted_NL.sum() / 40)


def test_what_is_undefined_is_none(made_up_evaluation: Make) -> None:
    points = operating_points(made_up_evaluation(skill=-9.0))
    assert len(points) == 99
    last = points[-1]
    assert (last.precision, last.recall, last.f1, last.codes) == (None, 0.0, 0.0, 0.0)
