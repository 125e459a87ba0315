"""The files of scored predictions: read again, and replaced."""

from pathlib import Path

import pytest

from icdcli.errors import DataError
from icdcli.evaluation.predictions.run import score_predictions
from icdcli.evaluation.predictions.scored import ScoredPredictions, write_scored


def scored(folder: Path, predictions: str) -> ScoredPredictions:
    (folder / "gold.csv").write_text("id,codes\na,I10;E11.9\nb,J18.9\nc,I10;N17.9;R52\nd,Z95.1\n")
    (folder / "p.csv").write_text(predictions)
    return score_predictions(folder / "p.csv", folder / "gold.csv")


@pytest.mark.parametrize(
    "rows", ["a,I10,0.9\nb,R52,0.7\nb,J18.9,0.2\n", "a,I10,\nb,J18.9,\nb,R52,\n"]
)
def test_the_predictions_that_it_writes_can_be_scored_again(tmp_path: Path, rows: str) -> None:
    first = scored(tmp_path, f"id,code,score\n{rows}")
    write_scored(tmp_path / "out", first)
    again = score_predictions(tmp_path / "out" / "predictions.parquet", tmp_path / "gold.csv")
    assert again.counts == first.counts
    assert again.shape == first.shape
    assert dict(again.statistics.metrics) == pytest.approx(
        dict(first.statistics.metrics), nan_ok=True
    )


def test_files_that_are_replaced_have_no_metrics_until_all_are_written(
    tmp_path: Path, monkeypatch
) -> None:
    found = scored(tmp_path, "id,codes\na,I10\n")
    write_scored(tmp_path / "out", found)
    monkeypatch.setattr("icdcli.evaluation.predictions.scored.write_statistics", full_disk)
    with pytest.raises(DataError, match="can't be written"):
        write_scored(tmp_path / "out", found)
    assert not (tmp_path / "out" / "metrics.json").exists()


def full_disk(*_) -> None:
    raise OSError(28, "No space left on device")
