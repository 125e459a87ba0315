"""`icdcode evaluate`: the acceptance table of a run, and what it leads to."""

import json

import pandas as pd
import pytest


@pytest.mark.slow
@pytest.mark.usefixtures("pictures")
def test_an_evaluation_writes_the_curve_and_gives_old_checkpoints_a_table(
    icdcode, run_copy, tmp_path
):
    manifest = run_copy / "weights" / "metric" / "manifest.json"
    content = json.loads(manifest.read_text())
    at_training = content.pop("acceptance")
    manifest.write_text(json.dumps(content))
    answer = icdcode("evaluate", run_copy, "--split", "validation", "--json")
    assert answer.code == 0, answer
    found = answer.json["acceptance"]
    assert found["rows"] == at_training["rows"]  # the same documents, the same folds
    assert found["fitted_on"] == "validation"
    folder = run_copy / "evaluation" / "validation"
    assert json.loads((folder / "metrics.json").read_text())["acceptance"] == found
    curve = pd.read_csv(folder / "risk_coverage.csv")
    assert curve.codes.is_monotonic_increasing and curve.codes.iloc[-1] == 1
    assert (folder / "risk_coverage.png").stat().st_size > 10_000
    assert "codes to accept without review" in answer.err
    tested = icdcode("evaluate", run_copy, "--split", "test", "--json").json["acceptance"]
    assert tested["fitted_on"] == "validation"
    for row, chosen in zip(tested["rows"], found["rows"], strict=True):
        assert row["score"] is None or abs(row["score"] - chosen["score"]) < 0.2
