import json
import math

from icdcli.model.threshold import Threshold
from icdcli.training.setting_up.final_fit import FINAL_FIT, FinalFit

NAN = math.nan


def test_undefined_numbers_are_null_in_the_file_and_nan_again_when_read(tmp_path):
    fit = FinalFit(
        source="2-fold cross-fitting on train+validation",
        run=str(tmp_path / "run"),
        documents={"train": 3, "validation": 1},
        fusion=None,
        threshold=Threshold(),
        confidence=None,
        acceptance=None,
        scores=None,
        metrics={"map": 0.5, "principal_mrr": NAN},
        monitored=NAN,
        monitored_by=("principal_mrr",),
        validation_loss=NAN,
        at_threshold={"precision": NAN, "recall": 0.0},
        more={"gain": {"metrics": {"map": {"expected_of_refit": NAN}}}},
    )
    folder = tmp_path / "run-refit"
    folder.mkdir()
    fit.write(folder)

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    text = (folder / FINAL_FIT).read_text(encoding="utf-8")
    stored = json.loads(text, parse_constant=refuse)
    assert stored["monitored"] is stored["validation_loss"] is None
    assert stored["more"]["gain"]["metrics"]["map"] == {"expected_of_refit": None}

    read = FinalFit.read(folder)
    assert math.isnan(read.monitored) and math.isnan(read.validation_loss)
    assert {name for name, value in read.metrics.items() if math.isnan(value)} == {"principal_mrr"}
    assert math.isnan(read.at_threshold["precision"]) and read.at_threshold["recall"] == 0
    assert (read.run, read.metrics["map"], read.threshold) == (fit.run, 0.5, fit.threshold)
