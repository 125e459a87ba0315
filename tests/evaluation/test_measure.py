import numpy as np

from icdcli.evaluation.measure import fuse, tune_scores
from icdcli.model.fusion import NETWORK
from icdcli.model.threshold import Threshold


def test_validation_counts_gold_codes_outside_of_the_label_space() -> None:
    draw = np.random.default_rng(0)
    targets = draw.random((100, 6)) < 0.3
    logits = draw.normal(3 * targets - 1.5, 1).astype(np.float32)
    missed = draw.random((100, 4)) < 0.1
    names = ["recall_micro", "map", "f1_micro"]

    def tuned(missed_NU: np.typing.NDArray[np.bool_] | None) -> dict[str, float]:
        parts = {NETWORK: logits.copy()}
        how = Threshold(how="auto_per_code")
        return tune_scores(
            parts, targets, how, "validation", with_fusion=False, missed_NU=missed_NU
        ).metrics(names)

    without, counted = tuned(None), tuned(missed)
    assert all(counted[name] < without[name] for name in names)
    assert tuned(np.zeros((100, 0), bool)) == without

    fixed = fuse({NETWORK: logits.copy()}, targets, None, Threshold(0.5), missed)
    right = ((logits >= 0) & targets).sum()
    assert fixed.metrics(["recall_micro"]) == {
        "recall_micro": right / (targets.sum() + missed.sum())
    }
