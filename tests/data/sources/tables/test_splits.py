"""Which columns a table has, and splits that would spoil the scores."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icdcli.config.loading import load_config
from icdcli.data.corpus.prepare import PreparedCorpus, prepare
from icdcli.data.section import DataConfig
from icdcli.errors import ConfigError, DataError
from icdcli.evaluation.run import evaluate_run
from icdcli.training.run import run_training

Rows = list[dict[str, Any]]
OWN = ("train", "train", "train", "validation", "test")
KEYS = ("id", "subject_id", "split", "text", "codes")


def rows(number: int = 60) -> Rows:
    """Return notes of patients with six each, in splits by patient."""
    return [
        {
            "id": f"D{n}",
            "subject_id": f"P{n // 6}",
            "split": OWN[n // 6 % 5],
            "text": f"Note {n}.",
            "codes": "I10" if n % 2 else "E11.9",
        }
        for n in range(number)
    ]


def write(path: Path, content: Rows) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, KEYS, restval="")
            table.writeheader()
            table.writerows(content)
    elif path.suffix == ".parquet":
        pq.write_table(
            pa.Table.from_pylist([{key: row.get(key) for key in KEYS} for row in content]), path
        )
    elif path.suffix == ".json":
        path.write_text(json.dumps(content))
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in content).encode()))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
    return path


def prepared(path: Path, **options: Any) -> PreparedCorpus:
    return prepare(DataConfig(data_path=path, code_system="icd10", **options))


def documents(corpus: PreparedCorpus) -> Rows:
    found: Rows = pq.read_table(corpus.folder / "documents.parquet").to_pylist()
    return found


@pytest.mark.parametrize("missing", KEYS)
@pytest.mark.parametrize("row", [0, 1, 59])
def test_a_key_that_an_object_omits_is_an_empty_cell(
    tmp_path: Path, missing: str, row: int
) -> None:
    content = rows()
    del content[row][missing]
    results = []
    for name in ("t.csv", "t.jsonl", "t.jsonl.gz", "t.json", "t.parquet"):
        path = write(tmp_path / name, content)
        try:
            results.append((documents(prepared(path)), prepared(path).warnings))
        except DataError as error:
            results.append(str(error).replace(str(path), "FILE"))
    assert all(result == results[0] for result in results)
    expected = {"id": "Every document needs", "split": "Every row needs train, validation or test"}
    if missing in expected:
        assert f"FILE, row {row + 1}, column '{missing}': is empty. {expected[missing]}" in str(
            results[0]
        )
    elif missing == "subject_id":
        found, warnings = results[0]
        assert [r["split"] for r in found] == [r["split"] for r in content]
        assert "1 of 60 documents have no patient id" in " ".join(warnings)
    else:
        assert len(results[0][0]) == 59


def test_the_first_row_without_a_patient_leaves_the_others_in_one_split(tmp_path: Path) -> None:
    content = [{key: row[key] for key in ("text", "codes", "subject_id")} for row in rows(300)]
    del content[0]["subject_id"]
    splits: dict[str, set[str]] = {}
    for row in documents(prepared(write(tmp_path / "t.jsonl", content))):
        splits.setdefault(str(row["subject_id"]), set()).add(row["split"])
    assert len(splits) == 51 and all(len(found) == 1 for found in splits.values())


def test_a_key_in_two_spellings_is_an_error(tmp_path: Path) -> None:
    content = rows()
    content[7]["Subject_ID"] = content[7].pop("subject_id")
    with pytest.raises(DataError, match=r"row 8: has 'Subject_ID', other rows have 'subject_id'"):
        prepared(write(tmp_path / "t.jsonl", content))


def test_a_bad_line_before_the_last_key_can_be_skipped(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", rows())
    path.write_text('{"text": "x", "codes": "I10"\n' + path.read_text())
    with pytest.raises(DataError, match=r"line 1: not JSON.*--skip-bad-rows"):
        prepared(path)
    corpus = prepared(path, skip_bad_rows=True)
    assert corpus.card["protocol"] == "split-column"
    assert corpus.card["dropped"] == {"rows of t.jsonl that are no valid CSV": 1}


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_splits_that_share_patients_are_an_error_unless_accepted(tmp_path: Path, name: str) -> None:
    content = rows()
    for number in (0, 1, 6):  # two notes of P0 and one of P1
        content[number]["split"] = "test"
    path = write(tmp_path / name, content)
    for _ in range(2):
        with pytest.raises(
            DataError, match=r"its splits share patients \(2 in train and test\).*--accept-leaks"
        ):
            prepared(path)
        assert not list(tmp_path.glob(".icdcode/table-*"))
    accepted = prepared(path, accept_leaks=True)
    assert "leakage, in both train and test: 2 subjects" in accepted.warnings
    with pytest.raises(DataError, match="share patients"):
        prepared(path)  # the corpus exists, but it isn't accepted
    again = prepared(path, accept_leaks=True)
    assert (again.folder, again.created) == (accepted.folder, False)


def test_equal_texts_in_two_splits_stay_a_warning(tmp_path: Path) -> None:
    content = rows()
    content[-1]["text"] = content[0]["text"]
    corpus = prepared(write(tmp_path / "t.csv", content))
    assert ["identical text" in warning for warning in corpus.warnings] == [True]


def test_a_split_column_is_ignored_only_if_the_user_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [{**row, "split": "fold 3"} for row in rows(300)])
    with pytest.raises(ConfigError, match=r"protocol: patient makes new splits.*column 'split'"):
        prepared(path, protocol="patient")
    corpus = prepared(path, protocol="patient", ignore_split_column=True)
    assert corpus.card["protocol"] == "patient"
    assert corpus.warnings == ["column 'split' is ignored, since protocol is patient"]


def test_a_run_is_evaluated_with_the_splits_it_was_trained_on(tmp_path: Path) -> None:
    content = rows()
    content[0]["split"] = "test"
    path = write(tmp_path / "t.csv", content)
    options = [f"data_path={path}", "code_system=icd10", "model=tfidf", f"project={tmp_path}/runs"]
    with pytest.raises(DataError, match="share patients"):
        run_training(load_config(None, options))
    run = run_training(load_config(None, [*options, "accept_leaks=True"])).run.root
    args = run / "args.yaml"
    args.write_text(args.read_text().replace("accept_leaks: true", ""))  # as of version 0.1.0
    warnings: list[str] = []
    evaluate_run(run, "test", device="cpu", on_warning=warnings.append)
    assert "leakage, in both train and test: 1 subject" in warnings


@pytest.mark.parametrize("word", ["nan", "None", "NULL", "<NA>"])
def test_words_for_a_missing_patient_are_no_patient(tmp_path: Path, word: str) -> None:
    content = rows()
    for number in (3, 40):
        content[number]["subject_id"] = word
    with pytest.raises(DataError, match=r"row 4, column 'subject_id': is '.*'.*Leave the cell"):
        prepared(write(tmp_path / "t.csv", content))


def test_columns_that_seem_to_have_patients_or_splits_are_named(tmp_path: Path) -> None:
    renamed = {"subject_id": "Patient_ID", "split": "set"}
    content = [{renamed.get(key, key): row[key] for key in row} for row in rows(300)]
    path = write(tmp_path / "t.jsonl", content)
    first, second = prepared(path).warnings
    assert "column 'Patient_ID' isn't read. If it has patient ids, set subject_column=" in first
    assert "column 'set' isn't read. If it has the table's splits, set split_column=set" in second
    assert prepared(path, subject_column="patient_id", split_column="set").warnings == []


@pytest.mark.parametrize("unknown", ["0", "-1"])
def test_an_id_that_many_documents_have_is_shown(tmp_path: Path, unknown: str) -> None:
    lines = [
        {"text": f"Note {n}.", "codes": "I10", "subject_id": str(n) if n % 2 else unknown}
        for n in range(120)
    ]
    warnings = " ".join(prepared(write(tmp_path / "t.jsonl", lines)).warnings)
    assert "60 of 1" in warnings
    assert "documents have the same patient id. If it stands for unknown patients" in warnings
    lines = [line | {"subject_id": str(n // 10)} for n, line in enumerate(lines)]
    assert not prepared(write(tmp_path / "u.jsonl", lines)).warnings


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_rows_that_are_empty_as_a_whole_are_counted(tmp_path: Path, name: str) -> None:
    content: Rows = [*rows(), *({"text": ""} for _ in range(3))]
    corpus = prepared(write(tmp_path / name, content))
    assert corpus.card["dropped"] == {"rows without text": 3}
    assert len(documents(corpus)) == 60


def test_nan_in_json_is_a_missing_value(tmp_path: Path) -> None:
    content = rows()
    for name, value in (("nan", float("nan")), ("null", None)):
        for key, row in (("subject_id", 7), ("text", 8), ("codes", 9)):
            content[row][key] = value
        write(tmp_path / f"{name}.jsonl", content)
    assert "NaN" in (tmp_path / "nan.jsonl").read_text()
    one, other = (prepared(tmp_path / f"{name}.jsonl") for name in ("nan", "null"))
    assert documents(one) == documents(other)
    assert one.warnings == other.warnings
    assert len(documents(one)) == 58
