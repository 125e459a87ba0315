"""A table's codes through `prepare`: decisions, refusals, and the hashes of earlier corpora."""

import json
from pathlib import Path

import pytest

from icdcli.config.loading import load_config
from icdcli.data.corpus.notices import corpus_warnings
from icdcli.data.corpus.prepare import PreparedCorpus, prepare
from icdcli.data.corpus.reader import open_corpus
from icdcli.data.section import DataConfig
from icdcli.data.sources.tables import codes as table_codes
from icdcli.errors import ConfigError, DataError
from icdcli.evaluation.run import compare_runs, evaluate_run
from icdcli.icd.code_system import open_code_system
from icdcli.training.run import run_training

CODES = ["I10", "E11.9", "J18.9", "I48.91", "N39.0", "K21.9", "F32.9", "M54.5"]


def table(path: Path, *cells: str) -> Path:
    rows = [
        {"text": f"Note {n} of {cell[:3]}.", "codes": cell, "split": split}
        for n, cell in enumerate(cells)
        for split in ("train", "validation", "test")
    ]
    for number, row in enumerate(rows):
        row["text"] += f" Row {number}."
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def prepared(path: Path, **options: object) -> PreparedCorpus:
    return prepare(DataConfig(data_path=path, code_system="icd10", **options))  # type: ignore[arg-type]


def test_the_decision_is_in_the_card(tmp_path: Path) -> None:
    card = prepared(table(tmp_path / "t.jsonl", *CODES, "M545", "I10X")).card
    entry = card["codes_column"]
    assert (entry["kind"], entry["codes"], entry["undotted"]) == ("diagnosis", 10, 1)
    assert "of 10 distinct codes, 10 exist as diagnoses" in entry["decision"]
    assert card["labels"]["count"] == len(CODES)


def test_a_corpus_keeps_its_name_unless_version_0_1_0_read_other_codes(tmp_path: Path) -> None:
    same = prepared(table(tmp_path / "a.jsonl", *CODES, "E119", "0BJ08ZZ")).card
    other = prepared(table(tmp_path / "b.jsonl", *CODES, "M545")).card
    assert same["options"] == {
        "text_column": "text",
        "codes_column": "codes",
        "id_column": None,
        "subject_column": None,
        "split_column": None,
        "code_system": "icd10cm-2026-04",
        "editions": open_code_system("icd10").to_json(),
        "text_cleaning": "none",
        "skip_bad_rows": False,
    }
    assert other["options"] == same["options"] | {"codes_read": "as a column"}


def test_an_earlier_corpus_is_used_if_its_codes_are_right_and_not_otherwise(tmp_path: Path) -> None:
    for name, codes, stays in (("a", CODES, True), ("b", [*CODES, "M545"], False)):
        path = table(tmp_path / f"{name}.jsonl", *codes)
        first = prepared(path)
        card = json.loads((first.folder / "card.json").read_text())
        del card["codes_column"]  # as version 0.1.0 wrote it
        (first.folder / "card.json").write_text(json.dumps(card))
        again = prepared(path)
        assert again.folder == first.folder
        assert (again.created, again.card["codes_column"]["codes"]) == (False, len(codes))
        assert ("codes_read" in card["options"]) is not stays


def test_a_second_call_does_not_read_the_codes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table(tmp_path / "t.jsonl", *CODES, "M545")
    first = prepared(path)
    monkeypatch.setattr(table_codes, "cell_codes", None)
    assert not prepared(path).created
    assert prepared(path).folder == first.folder


def test_unknown_codes_are_an_error_unless_they_are_accepted(tmp_path: Path) -> None:
    path = table(tmp_path / "t.jsonl", *CODES, "E14.9")
    for _ in range(2):
        with pytest.raises(DataError, match=r"column 'codes': has 1 of 9 codes \(11 %\).*E14\.9"):
            prepared(path)
        assert not list(tmp_path.glob(".icdcode/table-*"))
    accepted = prepared(path, accept_unknown_codes=True)
    assert "E14.9" in open_corpus(accepted.folder).labels.codes
    with pytest.raises(DataError, match="--accept-unknown-codes"):
        prepared(path)  # the corpus exists, but it isn't accepted
    assert ["It is used, since you accept it" in text for text in accepted.warnings] == [True]


def test_impossible_codes_are_labels_only_if_they_are_accepted(tmp_path: Path) -> None:
    path = table(tmp_path / "t.jsonl", *CODES, "250.00")
    with pytest.raises(DataError, match=r"has codes of ICD-9-CM: 1 of 9 \(250\.00\)"):
        prepared(path)
    labels = open_corpus(prepared(path, accept_unknown_codes=True).folder).labels
    assert "250.00" in labels.codes


def test_missing_values_leave_no_label(tmp_path: Path) -> None:
    words = ["nan", "None", "NULL", "unknown", "0", "INVL", "N/A", "-"]
    corpus = prepared(table(tmp_path / "t.jsonl", *CODES, *words))
    assert set(open_corpus(corpus.folder).labels.codes) == set(CODES)
    assert corpus.card["dropped"] == {"rows without codes": 3 * len(words)}


def test_a_cell_that_is_not_clear_is_named_by_its_row(tmp_path: Path) -> None:
    path = table(tmp_path / "t.jsonl", "I10", "E11.9 V")
    with pytest.raises(DataError, match=r"t\.jsonl, row 4, column 'codes': has the certainty V"):
        prepared(path)
    path = table(tmp_path / "n.jsonl", "Jane Patientname came on 3 May")
    with pytest.raises(DataError, match="row 1, column 'codes'") as caught:
        prepared(path)
    assert "Patientname" not in str(caught.value)


def test_code_kind_belongs_to_tables(tmp_path: Path, data: Path) -> None:
    path = table(tmp_path / "t.jsonl", "285", "585")
    config = DataConfig(data_path=path, code_system="icd9")
    with pytest.raises(DataError, match="Set code_kind: diagnosis or procedure"):
        prepare(config)
    kinds = [
        open_corpus(prepare(config.model_copy(update={"code_kind": kind})).folder).labels.codes
        for kind in ("diagnosis", "procedure")
    ]
    assert kinds == [("285", "585"), ("28.5", "58.5")]
    with pytest.raises(ConfigError, match="code_kind: is for dataset: table"):
        prepare(DataConfig(data_path=data, code_kind="diagnosis"))


def test_train_evaluate_and_compare_show_the_warnings_of_prepare_data(tmp_path: Path) -> None:
    path = table(tmp_path / "t.jsonl", *CODES * 2, "E14.9")
    options = [f"data_path={path}", "code_system=icd10", "accept_unknown_codes=True"]
    options += ["model=tfidf", f"project={tmp_path / 'runs'}"]
    expected = prepare(load_config(None, options).data).warnings
    assert len(expected) == 1
    runs = []
    for name in ("a", "b"):
        trained: list[str] = []
        config = load_config(None, [*options, f"name={name}"])
        runs.append(run_training(config, on_warning=trained.append).run)
        assert expected[0] in trained
    evaluated: list[str] = []
    evaluate_run(runs[0], "test", on_warning=evaluated.append)
    assert expected[0] in evaluated
    compared: list[str] = []
    compare_runs(runs, "validation", on_warning=compared.append)
    assert compared == expected


def test_each_problem_of_a_card_is_a_warning() -> None:
    column = {"name": "icd", "problem": None, "unknown": 2, "labels": 90}
    card = {
        "dataset": "table",
        "first_bad_row": {"t.csv": "line 3: 4 columns"},
        "codes_column": column | {"first_unknown": ["E14.9", "X1"]},
        "labels": {"count": 3, "without_title": 3},
        "description": {
            "leakage": {"train & test": {"subjects": 1, "texts": 2, "documents": 4}},
        },
    }
    assert list(corpus_warnings(card)) == [
        "t.csv: invalid rows were skipped. The first: line 3: 4 columns",
        "column 'icd': 2 of 90 codes aren't in the official tables (E14.9, X1)",
        "no label has a title: set code_system (icd9, icd10), or check that it is right",
        "leakage, in both train and test: 1 subject and 2 identical texts (4 documents)",
    ]
    assert list(corpus_warnings({})) == []
