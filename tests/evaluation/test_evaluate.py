import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from icdcli.config.metric_names import METRICS
from icdcli.errors import DataError
from icdcli.evaluation.evaluate import Evaluation, evaluate_split
from icdcli.evaluation.files import STATISTICS, read_statistics, write_evaluation
from icdcli.evaluation.groups import by_chapter, by_kind, by_training_frequency
from icdcli.evaluation.score_split import non_finite_documents
from icdcli.icd.code_system import open_code_system
from icdcli.metrics.metrics import evaluate
from icdcli.model.threshold import Threshold

Make = Callable[..., Evaluation]
PER_CODE = Threshold(
    0.4, "auto_per_code", "validation", tuple(np.linspace(0.2, 0.8, 12).astype(np.float32).tolist())
)


def test_labels_are_grouped(made_up_evaluation: Make) -> None:
    labels = made_up_evaluation().labels
    kinds = by_kind(labels)
    assert {name: int(chosen.sum()) for name, chosen in kinds.items()} == {
        "diagnosis": 11,
        "procedure": 1,
    }
    frequencies = {
        name: [labels.train_counts[i] for i in np.flatnonzero(c)]
        for name, c in by_training_frequency(labels).items()
    }
    assert frequencies == {
        "never": [0],
        "1-10": [3, 7, 5, 1],
        "11-50": [45, 12],
        "51-500": [300, 60, 200],
        ">500": [900, 600],
    }
    chapters = by_chapter(labels, open_code_system("icd9"))
    assert next(iter(chapters)) == "Diseases of the circulatory system (390-459)"
    assert list(chapters)[-1] != "in no chapter"
    assert [labels.codes[i] for i in np.flatnonzero(next(iter(chapters.values())))] == [
        "401.9",
        "410.71",
        "427.31",
        "428.0",
    ]
    assert np.stack(list(chapters.values())).sum(axis=0).tolist() == [1] * 12
    assert by_chapter(labels, None) == {}


def test_codes_outside_every_chapter_are_a_group_of_their_own(made_up_evaluation: Make) -> None:
    labels = made_up_evaluation().labels
    odd = replace(labels, codes=("nonsense", *labels.codes[1:]))
    chapters = by_chapter(odd, open_code_system("icd9"))
    assert np.flatnonzero(chapters["in no chapter"]).tolist() == [0]
    assert list(chapters)[-1] == "in no chapter"


def test_a_group_is_evaluated_as_if_there_were_no_other_labels(made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation(threshold=PER_CODE)
    chosen = by_training_frequency(evaluation.labels)["1-10"]
    values = evaluation.by_training_frequency["1-10"]
    scores, targets = evaluation.scored.scores_NL[:, chosen], evaluation.targets_NL[:, chosen]
    alone = evaluate(scores, targets, np.array(PER_CODE.per_code)[chosen])
    assert {name: values[name] for name in METRICS} == pytest.approx(alone, nan_ok=True)
    assert (values["labels"], values["labels_without_positive"], values["gold"]) == (
        4,
        1,
        targets.sum(),
    )


def test_labels_without_a_positive_are_counted(made_up_evaluation: Make) -> None:
    counts = made_up_evaluation().counts
    assert (counts["documents"], counts["labels"]) == (40, 12)
    assert (counts["labels_without_positive"], counts["labels_without_negative"]) == (1, 0)


def test_the_metrics_are_those_of_the_arrays(made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation(threshold=PER_CODE)
    expected = evaluate(evaluation.scored.scores_NL, evaluation.targets_NL, PER_CODE.values_L(12))
    assert dict(evaluation.metrics) == {"loss": evaluation.scored.losses_N.mean(), **expected}


@pytest.mark.parametrize(
    ("threshold", "split", "note"),
    [
        (Threshold(0.5), "test", None),
        (Threshold(0.4, "auto", "validation"), "test", None),
        (
            Threshold(0.4, "auto", "validation"),
            "validation",
            "was tuned on this split (validation)",
        ),
        (Threshold(how="auto"), "test", "The threshold (auto) isn't tuned yet"),
        (Threshold(0.5), "train", "trained on these documents"),
    ],
)
def test_caveats_are_notes(
    made_up_evaluation: Make, threshold: Threshold, split: str, note: str | None
) -> None:
    notes = made_up_evaluation(threshold=threshold, split=split).notes
    assert len(notes) == (note is not None)
    assert all(note in found for found in notes if note)


def test_the_documents_of_nan_scores_are_named(made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation()
    scores = evaluation.scored.scores_NL.copy()
    scores[[3, 7], 2] = np.nan, np.inf
    with pytest.raises(
        DataError, match="test split: the scores of document document 3, document 7 are not finite"
    ):
        evaluate_split(
            "test", replace(evaluation.scored, scores_NL=scores), evaluation.labels, Threshold()
        )
    assert (
        non_finite_documents(np.full((9, 2), np.nan, np.float32), list("abcdefghi"))
        == "a, b, c, d, e and 4 more"
    )
    assert non_finite_documents(np.zeros((2, 2), np.float32), ["a", "b"]) == ""


def test_the_files_agree_with_one_another(made_up_evaluation: Make, tmp_path: Path) -> None:
    evaluation = made_up_evaluation(threshold=PER_CODE)
    write_evaluation(tmp_path / "test", evaluation)
    written = json.loads((tmp_path / "test" / "metrics.json").read_text())
    assert written["metrics"] == pytest.approx(dict(evaluation.metrics))
    assert (written["threshold"], written["threshold_how"], written["threshold_tuned_on"]) == (
        0.4,
        "auto_per_code",
        "validation",
    )
    assert written["by_training_frequency"]["never"]["labels"] == 1
    assert "Diseases of the circulatory" in str(written["by_chapter"])
    with (tmp_path / "test" / "per_code.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["threshold"]) for row in rows] == pytest.approx(
        list(PER_CODE.per_code or ()), abs=1e-5
    )
    gold, predicted, right = (
        sum(int(row[name]) for row in rows) for name in ("gold", "predicted", "right")
    )
    assert 2 * right / (gold + predicted) == pytest.approx(written["metrics"]["f1_micro"])
    assert [row["recall"] for row in rows if row["gold"] == "0"] == [""]
    table = pq.read_table(tmp_path / "test" / "predictions.parquet")
    assert sum(table["predicted"].to_pylist()) == predicted
    assert table.num_rows == 40 * 12
    assert (tmp_path / "test" / "predictions.parquet").stat().st_mode & 0o777 == 0o600


def test_files_that_are_replaced_have_no_metrics_until_all_are_written(
    made_up_evaluation: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    write_evaluation(tmp_path, made_up_evaluation())
    monkeypatch.setattr("icdcli.evaluation.files.write_statistics", full_disk)
    with pytest.raises(DataError, match="can't be written"):
        write_evaluation(tmp_path, made_up_evaluation(seed=1))
    assert not (tmp_path / "metrics.json").exists()


def test_an_undefined_metric_is_null(made_up_evaluation: Make) -> None:
    written = made_up_evaluation(documents=1).to_json()
    assert written["metrics"]["aucroc_macro"] is None
    assert written["metrics"]["f1_micro"] is not None
    json.dumps(written, allow_nan=False)


def test_statistics_are_read_back(made_up_evaluation: Make, tmp_path: Path) -> None:
    evaluation = made_up_evaluation()
    write_evaluation(tmp_path, evaluation)
    stored = read_statistics(tmp_path / STATISTICS)
    assert stored.ids == tuple(evaluation.scored.documents.ids)
    assert stored.codes == evaluation.labels.codes
    assert (stored.about["run"], stored.about["threshold"]) == ("outputs/run", "0.5")
    drawn = np.random.default_rng(0).integers(0, 3, (4, 40))
    before, after = evaluation.statistics.resampled(drawn), stored.statistics.resampled(drawn)
    assert before.keys() == after.keys()
    assert all((before[name] == after[name]).all() for name in before)
    assert (tmp_path / STATISTICS).stat().st_mode & 0o777 == 0o600


def a_bit_changed(data: bytes) -> bytes:
    place = data.index(b"ids.npy") + 30  # within compressed data, where zlib notices it
    return data[:place] + bytes([data[place] ^ 8]) + data[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"x" * 100, a_bit_changed],
)
def test_damaged_statistics_are_refused(
    made_up_evaluation: Make, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    write_evaluation(tmp_path, made_up_evaluation())
    path = tmp_path / STATISTICS
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        DataError, match=r"can't be read .* Delete it; `icdcode evaluate` writes it again"
    ):
        read_statistics(path)


def with_outside(evaluation: Evaluation, space: str) -> Evaluation:
    """Evaluate the same scores without the last two codes in the label space."""
    documents, labels = evaluation.scored.documents, evaluation.labels
    kept = {
        name: getattr(labels, name)[:-2]
        for name in ("codes", "kinds", "titles", "counts", "train_counts")
    }
    outside = [
        tuple(labels.codes[label] for label in own if label >= 10) for own in documents.targets
    ]
    inside = [own[own < 10] for own in documents.targets]
    scored = replace(
        evaluation.scored,
        scores_NL=evaluation.scored.scores_NL[:, :-2],
        documents=replace(documents, targets=inside, outside=outside),
    )
    threshold = replace(PER_CODE, per_code=PER_CODE.per_code[:-2] if PER_CODE.per_code else None)
    about = {"label_space": space}
    return evaluate_split(
        *("test", scored, replace(labels, **kept), threshold, open_code_system("icd9"), about)
    )


def test_gold_codes_outside_of_the_label_space_are_misses(
    made_up_evaluation: Make, tmp_path: Path
) -> None:
    whole = made_up_evaluation(threshold=PER_CODE)
    evaluation = with_outside(whole, "train")
    # 999.99 is never gold.
    assert evaluation.labels.codes == (*whole.labels.codes[:10], "V15.82")
    assert (evaluation.labels.kinds[-1], evaluation.labels.train_counts[-1]) == ("diagnosis", 0)
    assert evaluation.targets_NL.sum() == whole.targets_NL.sum()
    missed = int(whole.targets_NL[:, 11].sum())
    assert missed > 10
    right = (whole.statistics.predicted_NL & whole.targets_NL)[:, :10].sum()
    assert evaluation.metrics["recall_micro"] == right / whole.targets_NL.sum()
    assert evaluation.metrics["map"] < whole.metrics["map"]
    assert evaluation.by_training_frequency["never"]["gold"] >= missed
    gold = whole.targets_NL.sum()
    assert [note for note in evaluation.notes if "label space" in note] == [
        f"Gold codes outside the label space (train): {missed:,} of {gold:,} "
        f"({missed / gold:.1%}). They count as missed in every metric."
    ]
    found = evaluation.to_json()
    assert (found["label_space"], found["gold_outside"], found["labels_outside"]) == (
        *("train", missed, 1),
    )

    write_evaluation(tmp_path, evaluation)
    rows = list(csv.DictReader((tmp_path / "per_code.csv").read_text().splitlines()))
    assert (rows[-1]["code"], rows[-1]["gold"], rows[-1]["predicted"]) == (
        *("V15.82", str(missed), "0"),
    )
    predictions = pq.read_table(tmp_path / "predictions.parquet")
    assert predictions.filter(predictions["gold"]).num_rows == gold
    assert read_statistics(tmp_path / STATISTICS).codes == evaluation.labels.codes


def test_codes_that_are_candidates_because_the_split_is_there_are_named(
    made_up_evaluation: Make,
) -> None:
    evaluation = replace(made_up_evaluation(), about={"label_space": "seen"})
    unseen = int(evaluation.targets_NL[:, 0].sum())
    assert evaluation.gold_unseen == unseen > 0
    (note,) = [note for note in evaluation.notes if "label_space" in note]
    assert f": {unseen} of " in note and "documents of the test split have them" in note
    for about, split in (({"label_space": "train"}, "test"), ({"label_space": "seen"}, "train")):
        other = replace(evaluation, about=about, split=split)
        assert not [note for note in other.notes if "candidates" in note]


def test_near_misses_are_hierarchical_measures(made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation()
    # Several codes have a chapter in common, so that some wrong ones are partly right.
    assert evaluation.hierarchical["hierarchical_f1"] > evaluation.metrics["f1_micro"]
    assert evaluation.to_json()["hierarchical"] == evaluation.hierarchical
    unknown = evaluate_split("test", evaluation.scored, evaluation.labels, evaluation.threshold)
    assert "hierarchical" not in unknown.to_json()
