import json
from typing import Any

import numpy as np
import pytest

from icdcli.model.threshold import Threshold

TUNED = Threshold(0.25, "auto_per_code", "validation", (0.125, 0.5, 0.25))


@pytest.mark.parametrize(
    "threshold",
    [Threshold(0.7), Threshold(0.3, "auto", "validation"), Threshold(how="auto"), TUNED],
)
def test_what_is_written_is_read_back(threshold: Threshold) -> None:
    assert Threshold.from_json(json.loads(json.dumps(threshold.to_json()))) == threshold


def test_a_bare_number_of_an_older_checkpoint_was_fixed() -> None:
    assert Threshold.from_json(0.4) == Threshold(0.4, "fixed")
    assert Threshold.from_json(1) == Threshold(1.0)


@pytest.mark.parametrize(
    ("configured", "threshold"),
    [
        (0.7, Threshold(0.7)),
        (1, Threshold(1.0)),
        ("auto", Threshold(0.5, "auto")),
        ("auto_per_code", Threshold(how="auto_per_code")),
    ],
)
def test_what_the_configuration_means(configured: Any, threshold: Threshold) -> None:
    assert Threshold.configured(configured) == threshold


def test_each_label_has_its_threshold_as_float32() -> None:
    values = Threshold(0.7).values_L(2)
    assert values.dtype == np.float32
    assert (np.float32(0.7) >= values).all()
    assert TUNED.values_L(3).tolist() == [0.125, 0.5, 0.25]
    with pytest.raises(ValueError, match="tuned for 3 labels, not 2"):
        TUNED.values_L(2)


def test_it_shows_its_origin() -> None:
    assert str(Threshold(0.5)) == "0.5"
    assert str(Threshold(how="auto")) == "0.5 (auto, not tuned yet)"
    assert (
        str(Threshold(0.34567, "auto", "validation"))
        == "0.3457 (auto, tuned on the validation split)"
    )
    assert str(TUNED) == "0.125 to 0.5, one per code (auto_per_code, tuned on the validation split)"
