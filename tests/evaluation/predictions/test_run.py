"""Scored predictions against the metrics of arrays, and what is said of incomplete ones."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from icdcli.errors import ConfigError, DataError
from icdcli.evaluation.compare import compare_models
from icdcli.evaluation.predictions.contenders import on_all_codes, scored_contender
from icdcli.evaluation.predictions.run import ScoreOptions, score_predictions
from icdcli.evaluation.predictions.scored import ScoredPredictions, write_scored
from icdcli.evaluation.predictions.scoring import AREAS, DECISIONS
from icdcli.evaluation.predictions.tables import ColumnNames
from icdcli.icd.code_system import open_code_system
from icdcli.metrics.metrics import evaluate

CODES = ("E11.65", "E11.9", "I10", "I50.9", "J18.9", "N17.9", "R52", "Z95.1")
GOLD = "id,codes\na,I10;E11.9\nb,J18.9\nc,I10;N17.9;R52\nd,Z95.1\n"


def written(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def scored(tmp_path: Path, predictions: str, name: str = "p.csv", **options) -> ScoredPredictions:
    gold = written(tmp_path / "gold.csv", GOLD)
    path = written(tmp_path / name, predictions)
    return score_predictions(path, gold, ScoreOptions(**options))


@pytest.fixture(scope="module")
def matrices() -> tuple[np.ndarray, np.ndarray, list[str]]:
    draw = np.random.default_rng(0)
    gold_NL = draw.random((40, len(CODES))) < np.linspace(0.1, 0.5, len(CODES))
    gold_NL[5] = False
    scores_NL = (0.5 * gold_NL + 0.5 * draw.random(gold_NL.shape)).astype(np.float32)
    return gold_NL, scores_NL, [f"d{number:02}" for number in range(40)]


@pytest.fixture
def gold_file(matrices, tmp_path: Path) -> Path:
    gold_NL, _, ids = matrices
    rows = [
        json.dumps({"id": name, "codes": [CODES[label] for label in np.flatnonzero(row)]})
        for name, row in zip(ids, gold_NL, strict=True)
    ]
    return written(tmp_path / "gold.jsonl", "\n".join(rows))


def listing(ids: list[str], scores_NL: np.ndarray, listed_NL: np.ndarray) -> str:
    return "\n".join(
        json.dumps(
            {
                "id": name,
                "codes": {CODES[label]: float(row[label]) for label in np.flatnonzero(listed)},
            }
        )
        for name, row, listed in zip(ids, scores_NL, listed_NL, strict=True)
    )


def test_complete_scores_have_all_metrics_of_the_arrays(matrices, gold_file, tmp_path) -> None:
    gold_NL, scores_NL, ids = matrices
    everything = np.ones_like(gold_NL)
    path = written(tmp_path / "p.jsonl", listing(ids, scores_NL, everything))
    found = score_predictions(path, gold_file, ScoreOptions(threshold=0.6))
    assert found.predicted.codes == CODES
    expected = evaluate(scores_NL, gold_NL, 0.6)
    assert dict(found.statistics.metrics) == pytest.approx(expected, nan_ok=True)
    assert found.unavailable == {}
    assert found.intervals["f1_micro"].low < expected["f1_micro"] < found.intervals["f1_micro"].high
    assert found.about["threshold"] == "0.6"


def test_partial_scores_have_no_areas_and_unlisted_codes_are_never_found(
    matrices, gold_file, tmp_path
) -> None:
    gold_NL, scores_NL, ids = matrices
    listed_NL = np.argsort(np.argsort(-scores_NL, axis=1), axis=1) < 3
    path = written(tmp_path / "p.jsonl", listing(ids, scores_NL, listed_NL))
    found = score_predictions(path, gold_file, ScoreOptions(threshold=0.6))
    metrics = found.statistics.metrics
    assert set(AREAS) == set(found.unavailable)
    assert not set(AREAS) & set(metrics)
    shown_NL = np.where(listed_NL, scores_NL, 0)
    decided = evaluate((shown_NL >= 0.6).astype(float), gold_NL, 0.5, names=DECISIONS)
    assert {name: metrics[name] for name in DECISIONS} == pytest.approx(decided)

    def precision(row: int) -> float:
        ranked = np.argsort(-scores_NL[row])[:3]
        hits = np.cumsum(gold_NL[row, ranked])
        right = [hits[rank] / (rank + 1) for rank in range(3) if gold_NL[row, ranked[rank]]]
        return sum(right) / gold_NL[row].sum()

    rows = [row for row in range(40) if gold_NL[row].any()]
    assert metrics["map"] == pytest.approx(np.mean([precision(row) for row in rows]))
    hits = (gold_NL & listed_NL).sum(axis=1)
    assert metrics["precision_at_8"] == pytest.approx(np.mean(hits / 8))
    assert metrics["recall_at_5"] == pytest.approx(np.mean(hits[rows] / gold_NL[rows].sum(axis=1)))


def test_sets_have_decisions_only(tmp_path: Path) -> None:
    found = scored(tmp_path, "id,codes\na,I10\nb,J18.9\nc,I10;N17.9\nd,R52\n")
    assert set(found.statistics.metrics) == set(DECISIONS)
    assert found.unavailable["map"] == "needs ranked or scored codes, and the file has sets"
    assert found.statistics.metrics["precision_micro"] == 4 / 5
    assert found.statistics.metrics["recall_micro"] == 4 / 7
    assert found.statistics.metrics["exact_match"] == 1 / 4
    assert any("read as icd10" in note for note in found.notes)
    # I10 for I10, J18.9; R52 for Z95.1 has nothing in common.
    assert found.hierarchical["cophe_precision: category"] == 4 / 5


def test_gold_codes_that_the_system_does_not_know_are_missed(tmp_path: Path) -> None:
    found = scored(tmp_path, "id,codes\na,I10\nb,\nc,I10\nd,\n")
    assert found.counts == {"documents": 4, "labels": 6, "gold": 7, "predicted": 2, "right": 2}
    assert found.statistics.metrics["recall_micro"] == 2 / 7


def test_documents_of_one_side_only(tmp_path: Path) -> None:
    found = scored(tmp_path, "id,codes\na,I10\nb,J18.9\nx,R52\n")
    assert [note for note in found.notes if "document" in note] == [
        "1 document of the predictions without gold codes (x): left out.",
        "2 documents with gold codes but without predictions (c, d): all their codes count as "
        "missed.",
    ]
    assert found.statistics.metrics["precision_micro"] == 1
    assert found.statistics.metrics["recall_micro"] == 2 / 7


def test_no_document_in_common(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of its 2 documents is in .*Its ids are x, y, the"):
        scored(tmp_path, "id,codes\nx,I10\ny,J18.9\n")


def test_codes_with_and_without_dots(tmp_path: Path) -> None:
    found = scored(tmp_path, "id,codes\na,i10;E119\nb,J189\nc,N179;E11.9;E119\nd,z951\n")
    assert found.statistics.metrics["precision_micro"] == 5 / 6
    assert any("4 of 6 distinct codes are written without their dot" in n for n in found.notes)
    assert any("1 code left out, which the document already has" in note for note in found.notes)


def test_a_threshold_needs_scores(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--threshold: .* has no scores"):
        scored(tmp_path, "id,codes\na,I10\n", threshold=0.5)
    found = scored(tmp_path, "id,code,score\na,I10,0.4\nb,J18.9,0.6\n")
    assert found.counts["predicted"] == 1
    assert any("a score of at least 0.5" in note for note in found.notes)
    zero = scored(tmp_path, "id,code,score\na,I10,0\nb,J18.9,0.6\n", threshold=0.0)
    assert zero.counts["predicted"] == 2  # what isn't listed is never predicted


def test_what_the_file_says_is_predicted(tmp_path: Path) -> None:
    table = "id,code,score,predicted\na,I10,0.9,False\nb,J18.9,0.1,True\n"
    found = scored(tmp_path, table)
    assert found.counts["right"] == found.counts["predicted"] == 1
    assert found.about["threshold"] == "as the predictions say"
    assert scored(tmp_path, table, threshold=0.5).predicted.predicted_NL[0].any()


def test_a_threshold_brings_back_no_code_that_a_rule_dropped(tmp_path: Path) -> None:
    table = (
        "id,code,score,predicted,dropped\na,I10,0.9,False,Excludes1\na,E11.9,0.6,False,\n"
        "b,J18.9,0.7,True,\n"
    )
    found = scored(tmp_path, table, threshold=0.5).predicted
    predicted = dict(zip(found.codes, found.predicted_NL[0].tolist(), strict=True))
    assert not predicted["I10"]
    assert predicted["E11.9"]


def test_gold_codes_with_scores_are_refused(tmp_path: Path) -> None:
    gold = written(tmp_path / "gold.csv", "id,code,score\na,I10,0.4\n")
    path = written(tmp_path / "p.csv", "id,code\na,I10\n")
    with pytest.raises(DataError, match="has scores, so it has predictions rather than gold"):
        score_predictions(path, gold)
    plain = written(tmp_path / "plain.csv", GOLD)
    with pytest.raises(ConfigError, match=r"--split: .* is a table of gold codes"):
        score_predictions(path, plain, ScoreOptions(split="test"))
    with pytest.raises(DataError, match="no such file"):
        score_predictions(path, tmp_path / "none", ScoreOptions(split="test"))


def test_codiesp_prints_what_the_script_prints(tmp_path: Path) -> None:
    """Compare with recorded outputs; see tests/metrics/test_codiesp_script.py."""
    gold = "a i10,a e11.9,a n17.9,a i10,b j18.9,c n39.0,c z87.440,c q64.4,d k02.9,f m89.9,f r52"
    ranked = (
        "a I10,a CODE6,a e11.9,a I10,a n17.9,a j18.9,b r52,b j18.9,c n39.0,c a53.9,c z87.440,"
        "e i10,e j18.9,f code7,f m89.9"
    )
    paths = [
        written(tmp_path / name, "\n".join(rows.replace(" ", "\t").split(",")) + "\n")
        for name, rows in (("gold.tsv", gold), ("p.tsv", ranked))
    ]
    found = score_predictions(paths[1], paths[0])
    assert {name: round(value, 9) for name, value in found.codiesp.items()} == {
        "map": 0.422222222,
        "map_at_30": 0.422222222,
        "precision": 0.5,
        "recall": 0.7,
        "f1": 0.583333333,
    }
    # Both are means of five documents: the script's of those with predictions (e, not d), `map` of
    # those with gold codes (d, not e).
    assert found.statistics.metrics["map"] == pytest.approx(0.422222222)
    valid = written(
        tmp_path / "valid.tsv",
        "\n".join(
            f"{code}\tTitle" for code in "I10 e11.9 n17.9 j18.9 r52 n39.0 z87.440 m89.9".split()
        ),
    )
    found = score_predictions(paths[1], paths[0], ScoreOptions(valid_codes=valid))
    assert found.codiesp["map"] == pytest.approx(0.5333333333)
    assert any("3 predictions of codes that valid.tsv lacks" in note for note in found.notes)


def test_evidence_and_cost(tmp_path: Path) -> None:
    gold = written(
        tmp_path / "gold.jsonl",
        json.dumps(
            {
                "id": "a",
                "text": "High blood pressure and diabetes.",
                "codes": ["I10", "E11.9"],
                "evidence": [
                    {"code": "I10", "begin": 0, "end": 19},
                    {"code": "E11.9", "begin": 24, "end": 32},
                ],
            }
        ),
    )
    codes = [
        {"code": "I10", "evidence": [{"begin": 0, "end": 19}]},
        {"code": "E11.9", "evidence": [{"begin": 20, "end": 32}]},
        {"code": "R52", "evidence": [{"begin": 0, "end": 4}]},
    ]
    path = written(tmp_path / "p.jsonl", json.dumps({"id": "a", "codes": codes, "cost": 0.06}))
    found = score_predictions(path, gold)
    assert found.evidence["span_precision"] == 1 / 3
    assert found.evidence["character_recall"] == 1
    assert found.evidence["codiesp_x_precision"] == 2 / 3
    assert (found.matches["exact"], found.matches["proximate"]) == (1, 1)
    assert found.cost["per_right_code"] == 0.03
    without = written(tmp_path / "plain.csv", "id,codes\na,I10;E11.9\n")
    found = score_predictions(path, without)
    assert found.unavailable["evidence"] == "the gold codes have no annotated evidence"


def test_other_columns_of_both_files(tmp_path: Path) -> None:
    gold = written(tmp_path / "gold.csv", "nr,truth\n1,I10\n2,J18.9\n")
    path = written(tmp_path / "p.csv", "key,answer\n1,I10\n2,R52\n")
    options = ScoreOptions(
        columns=ColumnNames(id="key", codes="answer"),
        gold_columns=ColumnNames(id="nr", codes="truth"),
    )
    assert score_predictions(path, gold, options).statistics.metrics["f1_micro"] == 1 / 2


def test_written_files_and_a_comparison(matrices, gold_file, tmp_path: Path) -> None:
    gold_NL, scores_NL, ids = matrices
    agent = [
        json.dumps({"id": n, "codes": [CODES[i] for i in np.flatnonzero(row)] + ["B20"]})
        for n, row in zip(ids, scores_NL > 0.6, strict=True)
    ]
    everything = np.ones_like(gold_NL)
    files = {
        "agent": "\n".join(agent),
        "model": listing(ids, scores_NL, everything),
    }
    for name, content in files.items():
        path = written(tmp_path / f"{name}.jsonl", content)
        options = ScoreOptions(threshold=0.6 if name == "model" else None)
        write_scored(tmp_path / name, score_predictions(path, gold_file, options))
    written_json = json.loads((tmp_path / "agent" / "metrics.json").read_text(encoding="utf-8"))
    assert written_json["unavailable"]["map"].endswith("the file has sets")
    assert written_json["hierarchical"]["cophe_f1"] > written_json["metrics"]["f1_micro"] - 0.1
    with (tmp_path / "agent" / "per_code.csv").open(encoding="utf-8") as file:
        rows = {row["code"]: row for row in csv.DictReader(file)}
    assert (rows["B20"]["gold"], rows["B20"]["predicted"]) == ("0", "40")
    contenders = on_all_codes(
        scored_contender(tmp_path / name, "test") for name in ("agent", "model")
    )
    comparison = compare_models(contenders)
    assert len(comparison.contenders[0].codes) == len(CODES) + 1
    (differences,) = comparison.differences
    expected = evaluate(scores_NL, gold_NL, 0.6)["precision_micro"]
    predicted = int((scores_NL >= 0.6).sum())
    assert differences["precision_micro"].value == pytest.approx(
        expected - expected * predicted / (predicted + 40)
    )
    assert differences["precision_micro"].sure
    assert "f1_macro_all" not in differences  # depends on the label space
    assert "map" not in differences  # sets have none


def test_a_corpus_gives_groups_evidence_and_its_split(prepared_codiesp) -> None:
    folder, path = prepared_codiesp
    found = score_predictions(path, folder, ScoreOptions(split="validation"))
    assert found.about["split"] == "validation"
    assert found.about["dataset"] == "codiesp"
    assert set(found.groups["by_training_frequency"]) <= {"never", "1-10", "11-50"}
    assert found.evidence["span_f1"] == 1
    assert found.matches["exact"] == sum(found.matches.values()) == 2
    assert open_code_system("icd10").to_json() == found.about["editions"]


def test_codes_marked_as_not_predicted_do_not_count_for_the_script(
    prepared_codiesp, tmp_path: Path
) -> None:
    folder, _ = prepared_codiesp
    table = "id,code,predicted,gold\nv1,I10,True,True\nv1,E11.9,False,True\nv2,I10,True,True\n"
    path = written(tmp_path / "p.csv", table)
    found = score_predictions(path, folder, ScoreOptions(split="validation"))
    assert found.codiesp["recall"] == found.statistics.metrics["recall_micro"] == 2 / 3


def test_predictions_of_another_system_than_the_gold_codes(tmp_path: Path) -> None:
    found = scored(tmp_path, "id,codes\na,401.9\nb,486\nc,R52\n")
    assert any("p.csv are of icd9, but the gold codes are of icd10" in n for n in found.notes)
    found = scored(tmp_path, "id,codes\na,I10\nb,486\nc,R52\n")
    assert not any("the gold codes are of icd10" in n for n in found.notes)


def test_the_folder_and_its_prepared_corpus_give_the_same(prepared_codiesp) -> None:
    folder, path = prepared_codiesp
    of_corpus = score_predictions(path, folder, ScoreOptions(split="validation")).to_json()
    raw = folder.parent.parent
    of_folder = score_predictions(path, raw, ScoreOptions(split="validation")).to_json()
    for name in ("metrics", "intervals", "hierarchical", "evidence", "by_training_frequency"):
        assert of_folder[name] == of_corpus[name]


@pytest.fixture(scope="module")
def prepared_codiesp(tmp_path_factory) -> tuple[Path, Path]:
    """Return a prepared corpus of a made-up CodiEsp, and predictions of its dev split."""
    from icdcli.data.corpus.prepare import prepare
    from icdcli.data.section import DataConfig

    root = tmp_path_factory.mktemp("codiesp")
    text = "Paciente con hipertensión y diabetes."
    for split, cases in (("train", ("t1", "t2")), ("dev", ("v1", "v2"))):
        (root / split / "text_files").mkdir(parents=True)
        rows, evidence = [], []
        for case in cases:
            written(root / split / "text_files" / f"{case}.txt", text)
            rows += [f"{case}\ti10"] + ([f"{case}\te11.9"] if case == "v1" else [])
            evidence.append(f"{case}\tDIAGNOSTICO\ti10\thipertensión\t13 25")
        written(root / split / f"{split}D.tsv", "\n".join(rows) + "\n")
        written(root / split / f"{split}P.tsv", "t1\t0bj0\n" if split == "train" else "v1\t0bj0\n")
        written(root / split / f"{split}X.tsv", "\n".join(evidence) + "\n")
    data = DataConfig(data_path=root, dataset="codiesp", language="es", codes="diagnoses")
    folder = prepare(data).folder
    lines = [
        json.dumps({"id": case, "codes": [{"code": "I10", "evidence": [{"begin": 13, "end": 25}]}]})
        for case in ("v1", "v2")
    ]
    return folder, written(root / "predicted.jsonl", "\n".join(lines))


def test_documents_named_by_their_files(tmp_path: Path) -> None:
    found = scored(tmp_path, "id,codes\na.txt,I10\nb.txt,J18.9\nc,I10\nd,Z95.1\n")
    assert found.counts["right"] == 4
    assert "2 documents named by a file: the ending .txt is left out." in found.notes


def test_gold_documents_without_any_code(tmp_path: Path) -> None:
    gold = written(tmp_path / "gold.csv", "id,codes\na,\nb,\n")
    path = written(tmp_path / "p.csv", "id,codes\na,I10\n")
    with pytest.raises(DataError, match="no document has a code"):
        score_predictions(path, gold)


def test_nothing_predicted_and_one_document(tmp_path: Path) -> None:
    found = scored(tmp_path, "id,codes\na,\nb,\nc,\nd,\n")
    assert found.statistics.metrics["f1_micro"] == found.hierarchical["cophe_f1"] == 0
    gold = written(tmp_path / "one.csv", "id,codes\na,I10\n")
    path = written(tmp_path / "one.jsonl", '{"id": "a", "codes": {"I10": 1}}')
    found = score_predictions(path, gold)
    assert found.statistics.metrics["f1_micro"] == 1
    write_scored(tmp_path / "out", found)


def test_codes_of_icd9_without_dots(tmp_path: Path) -> None:
    gold = written(tmp_path / "gold.csv", "id,codes\na,428.0;03.31\nb,401.9\n")
    path = written(tmp_path / "p.csv", "id,codes\na,4280;0331\nb,4019\n")
    found = score_predictions(path, gold)
    assert found.statistics.metrics["f1_micro"] == 1
    assert set(found.groups["by_kind"]) == {"diagnosis", "procedure"}
    both = written(tmp_path / "both.csv", "id,codes\na,428.0;03.31\nb,033.1\n")
    with pytest.raises(DataError, match=r"'0331' has no dot and may be 03.31 or 033.1"):
        score_predictions(path, both)
