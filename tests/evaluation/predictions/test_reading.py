"""Every format of predictions gives the same codes; what is wrong is refused with its place."""

import gzip
import json
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icdcli.errors import DataError
from icdcli.evaluation.predictions.listed import CodeListing
from icdcli.evaluation.predictions.reading import read_listed
from icdcli.evaluation.predictions.tables import ColumnNames

SETS = {"a": ["I10", "E11.9"], "b": ["J18.9"], "c": []}
SCORES = {"a": {"I10": 0.9, "E11.9": 0.25}, "b": {"J18.9": 0.75}, "c": {}}


def written(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def codes_of(found: CodeListing) -> dict[str, list[str]]:
    return {name: [code.code for code in one.codes] for name, one in found.documents.items()}


def scores_of(found: CodeListing) -> dict[str, dict[str, float | None]]:
    return {
        name: {code.code: code.score for code in one.codes} for name, one in found.documents.items()
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.csv", "id,code\na,I10\na,E11.9\nb,J18.9\nc,\n"),
        ("p.csv", "id;codes\na;I10, E11.9\nb;J18.9\nc;\n"),
        ("p.tsv", "id\tcodes\na\tI10 E11.9\nb\tJ18.9\nc\t\n"),
        ("p.csv", "id,codes\na,\"['I10', 'E11.9']\"\nb,['J18.9']\nc,[]\n"),
        ("p.jsonl", "\n".join(json.dumps({"id": n, "codes": c}) for n, c in SETS.items())),
        ("p.json", json.dumps([{"id": n, "codes": c} for n, c in SETS.items()])),
        (
            "p.json",
            json.dumps({"data": [{"id": n, "codes": c} for n, c in SETS.items()]}, indent=1),
        ),
        ("p.json", json.dumps(SETS, indent=1)),
        ("p.json", json.dumps({"predictions": SETS})),
        (
            "aci.jsonl",  # ACI-BENCH with ICD-10 codes
            "\n".join(
                json.dumps(
                    {
                        "encounter_id": n,
                        "note": "A made-up note.",
                        "icd10_codes": [{"code": code, "description": "x y"} for code in c],
                    }
                )
                for n, c in SETS.items()
            ),
        ),
    ],
)
def test_sets(tmp_path: Path, name: str, content: str) -> None:
    found = read_listed(written(tmp_path / name, content))
    assert codes_of(found) == SETS
    assert found.shape == "sets"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.csv", "id,code,score\na,I10,0.9\na,E11.9,0.25\nb,J18.9,0.75\nc,,\n"),
        ("p.csv", "doc_id,icd_code,probability\na,I10,.9\na,E11.9,0.25\nb,J18.9,7.5e-1\nc,,\n"),
        ("p.jsonl", "\n".join(json.dumps({"id": n, "codes": c}) for n, c in SCORES.items())),
        ("p.json", json.dumps(SCORES)),
        (
            "p.jsonl",
            "\n".join(
                json.dumps({"id": n, "codes": [{"code": k, "score": v} for k, v in c.items()]})
                for n, c in SCORES.items()
            ),
        ),
    ],
)
def test_scores(tmp_path: Path, name: str, content: str) -> None:
    found = read_listed(written(tmp_path / name, content))
    assert scores_of(found) == SCORES
    assert found.shape == "scores"


def test_parquet_long_and_wide(tmp_path: Path) -> None:
    long = {"id": ["a", "a", "b"], "code": ["I10", "E11.9", "J18.9"], "score": [0.9, 0.25, 0.75]}
    pq.write_table(pa.table(long), tmp_path / "long.parquet")
    assert scores_of(read_listed(tmp_path / "long.parquet")) == {
        name: own for name, own in SCORES.items() if own
    }
    wide = {"id": list(SETS), "codes": list(SETS.values())}
    pq.write_table(pa.table(wide), tmp_path / "wide.parquet")
    assert codes_of(read_listed(tmp_path / "wide.parquet")) == SETS


def test_codiesp_is_a_ranking_without_a_header(tmp_path: Path) -> None:
    path = written(tmp_path / "D.tsv", "S1-1\ti10\nS1-1\te11.9\nS1-1\tI10\nS2-1\tj18.9\n")
    found = read_listed(path)
    assert codes_of(found) == {"S1-1": ["i10", "e11.9"], "S2-1": ["j18.9"]}
    assert found.shape == "rankings"
    assert "1 line left out, whose code the document already has" in found.remarks[0]


def test_codiesp_x_has_evidence(tmp_path: Path) -> None:
    gold = written(
        tmp_path / "devX.tsv",
        "S1\tDIAGNOSTICO\ti10\thigh pressure\t3 7;9 17\nS1\tDIAGNOSTICO\ti10\thtn\t30 33\n",
    )
    (code,) = read_listed(gold).documents["S1"].codes
    assert (code.code, code.spans) == ("i10", ((3, 7), (9, 17), (30, 33)))
    predicted = written(tmp_path / "X.tsv", "S1\t3 17\tDIAGNOSTICO\ti10\n")
    (code,) = read_listed(predicted).documents["S1"].codes
    assert code.spans == ((3, 17),)


def test_mdace(tmp_path: Path) -> None:
    def admission(number: int, *annotations: tuple[int, int, str, str]) -> str:
        own = [
            {"begin": begin, "end": end, "code": code, "code_system": system}
            for begin, end, code, system in annotations
        ]
        return json.dumps({"hadm_id": number, "notes": [{"note_id": 7, "annotations": own}]})

    written(
        tmp_path / "1-ICD-10.json",
        admission(1, (0, 3, "I10", "ICD-10-CM"), (5, 9, "I10", "ICD-10-CM")),
    )
    written(tmp_path / "2-ICD-10.json", admission(2, (0, 3, "99232", "CPT")))
    found = read_listed(tmp_path)
    assert codes_of(found) == {"1": ["I10"], "2": []}
    (code,) = found.documents["1"].codes
    assert [end - begin for begin, end in code.spans or ()] == [3, 4]
    # One file alone is an admission, too.
    assert codes_of(read_listed(tmp_path / "1-ICD-10.json")) == {"1": ["I10"]}


def test_what_icdcode_writes(tmp_path: Path) -> None:
    line = {
        "id": "a",
        "windows": 1,
        "read": 1.0,
        "editions": ["icd10cm-2026@1"],
        "codes": [
            {
                "code": "I10",
                "title": "Hypertension",
                "score": 0.9,
                "threshold": 0.4,
                "predicted": True,
                "evidence": [{"begin": 2, "end": 5, "weight": 1.0, "assertion": "affirmed"}],
            },
            {"code": "E11.9", "title": None, "score": 0.3, "threshold": 0.4, "predicted": False},
            {"code": "R52", "score": 0.6, "predicted": True, "dropped": "I10 includes it"},
        ],
    }
    found = read_listed(written(tmp_path / "p.jsonl", json.dumps(line)))
    assert [(one.code, one.predicted) for one in found.documents["a"].codes] == [
        ("I10", True),
        ("E11.9", False),
        ("R52", False),
    ]
    assert [one.dropped for one in found.documents["a"].codes] == [False, False, True]
    assert found.documents["a"].codes[0].spans == ((2, 5),)
    assert found.remarks == []
    table = "id,code,title,score,threshold,predicted,windows,read,begin,end,edition\n"
    table += "a,I10,High,0.9,0.4,True,1,1.0,2 9,5 12,icd10cm\nb,,,,,,1,1.0,,,\n"
    found = read_listed(written(tmp_path / "p.csv", table))
    assert found.documents["a"].codes[0].spans == ((2, 5), (9, 12))
    assert found.documents["b"].codes == []


def test_each_row_of_a_code_adds_its_evidence(tmp_path: Path) -> None:
    rows = "a,I10,0.9,3,9\na,E11.9,0.5,,\na,I10,0.9,20,31\na,I10,0.9,3,9\n"
    found = read_listed(written(tmp_path / "p.csv", f"id,code,score,begin,end\n{rows}"))
    assert [(one.code, one.spans) for one in found.documents["a"].codes] == [
        ("I10", ((3, 9), (20, 31))),
        ("E11.9", None),
    ]
    assert found.remarks == ["1 row left out, whose code the document already has."]


def test_truths_that_became_numbers(tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", "id,code,predicted\na,I10,1.0\na,R52,0.0\nb,,\n")
    assert [one.predicted for one in read_listed(path).documents["a"].codes] == [True, False]


@pytest.mark.parametrize("name", ["p.json", "p.json.gz"])
def test_one_object_compressed_or_with_a_byte_order_mark(tmp_path: Path, name: str) -> None:
    content = b"\xef\xbb\xbf" + json.dumps(SETS).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert codes_of(read_listed(tmp_path / name)) == SETS


def test_columns_by_name_and_costs(tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", "Case,Answer,usd,model\n1,I10;E11.9,0.02,m\n2,,0.04,m\n")
    found = read_listed(path, ColumnNames(id="case", codes="answer", cost="usd"))
    assert codes_of(found) == {"1": ["I10", "E11.9"], "2": []}
    assert [one.cost for one in found.documents.values()] == [0.02, 0.04]
    assert found.remarks == ["Columns that aren't read: model."]


def test_gold_codes_beside_predictions_are_not_taken_for_them(tmp_path: Path) -> None:
    path = written(
        tmp_path / "p.jsonl",
        '{"id": "a", "target": ["I10"], "codes": ["R52"], "prediction": ["J18.9"]}',
    )
    assert codes_of(read_listed(path)) == {"a": ["J18.9"]}
    assert codes_of(read_listed(path, ColumnNames(of_gold=True))) == {"a": ["R52"]}
    path = written(tmp_path / "p.csv", "id,labels\na,I10\n")
    assert codes_of(read_listed(path, ColumnNames(of_gold=True))) == {"a": ["I10"]}
    with pytest.raises(DataError, match="Pass --codes-column or --code-column"):
        read_listed(path)
    path = written(tmp_path / "notes.csv", "id,patient,note,icd\na,7,Pain,R52;I10\n")
    assert codes_of(read_listed(path, ColumnNames(of_gold=True))) == {"a": ["R52", "I10"]}
    with pytest.raises(DataError, match="no column of codes"):  # they may be gold
        read_listed(path)


def test_one_code_per_row_in_a_column_of_another_name(tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", "id,dx,p\na,I10,0.9\na,E11.9,0.25\nb,J18.9,0.75\nc,,\n")
    assert scores_of(read_listed(path, ColumnNames(code="dx", score="p"))) == SCORES


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.csv", "id,code,score\na,I10,87.5\n", "row 1, column 'score': is '87.5'. .*percentages"),
        ("p.csv", "id,code,score\na,I10,0.5\na,E11.9,nan\n", "row 2, .*is 'nan'. Every score must"),
        ("p.csv", "id,code,score\na,I10,-2.3\n", "row 1, .*in .0, 1.; if these are logits"),
        ("p.csv", "id,code,score\na,I10,high\n", "row 1, .*is 'high', not a number"),
        ("p.csv", "id,code,score\na,I10,95%\n", "row 1, .*is '95%'. .*percentages, divide them"),
        ("p.csv", "id,code,score\na,I10,0.5%\n", "row 1, .*is '0.5%'. .*percentages, divide them"),
        ("p.csv", "id,code,score\na,I10,0.5\na,E11.9,\n", "1 of 2 codes have no score"),
        ("p.csv", "id,code,score\na,I10,0.5\na,I10,0.6\n", "row 2: .*twice, with different scores"),
        ("p.jsonl", '{"id": "a", "codes": {"I10": NaN}}', "row 1, .*Every score must be a number"),
        (
            "p.jsonl",
            '{"id": "a", "codes": {"I10": 90}}',
            "row 1, .*percentages, divide them by 100",
        ),
        ("p.jsonl", '{"id": "a", "codes": [401.9]}', "row 1, .*401.9 is a number. Write codes as"),
        (
            "p.jsonl",
            '{"id": "a", "codes": [["I10"]]}',
            "a code is of the type list. Write codes as",
        ),
        ("p.jsonl", '{"id": 1.5, "codes": []}', "row 1, column 'id': is 1.5. Write ids"),
        ("p.csv", "id,code\n,I10\n", "row 1: has no id"),
        (
            "p.csv",
            "id,codes\na,I10\nb,J18.9\na,E11.9\n",
            "row 3: the id 'a' is there twice",
        ),
        ("p.csv", "id,code\n", "has a header but no rows"),
        ("p.csv", "", "is empty"),
        ("p.txt", "\n", "is empty. It needs the codes of each document"),
        ("p.jsonl", "", "is empty"),
        ("p.json", "{}", "is empty"),
        ("p.json", "[]", "is empty"),
        ("p.json", '{"predictions": []}', "is empty"),
        ("p.json", '{"a": ["I10"], "a": ["E11.9"]}', "has the same key twice"),
        ("p.json", '{"a": {"I10": 0.9, "I10": 0.2}}', "has the same key twice"),
        ("p.csv", "name,code\na,I10\n", "no column of ids .*name, code. Pass --id-column"),
        ("p.csv", "id,answer\na,I10\n", "no column of codes .*id, answer. Pass --codes-column"),
        ("p.csv", "id,codes\na,I10 Essential hypertension\n", "row 1, .*words between its codes"),
        ("p.csv", "id,code\na,Essential hypertension\n", "row 1, .*in the place of a code"),
        ("p.csv", "id,code,cost\na,I10,1\na,E11.9,2\n", "row 2, column 'cost': .*different costs"),
        ("p.csv", "id,code,begin,end\na,I10,3 5,9\n", "row 1: .*same number of positions"),
        ("p.csv", "id,code,begin,end\na,I10,9,9\n", "row 1: .*is no span"),
        (
            "p.csv",
            "id,code,predicted\na,I10,maybe\n",
            "row 1, column 'predicted': is 'maybe'. Write",
        ),
        ("D.tsv", "S1\ti10\nS1\n", "line 2: 1 columns, expected 2"),
        ("p.json", '{"hadm_id": 1, "notes": [{}]}', "not in MDACE's format"),
        ("p.json", '{"a": 3}', "neither document ids with their codes nor MDACE's format"),
        ("p.doc", "x", "is not a table. The name must end in"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_listed(written(tmp_path / name, content))


def test_a_missing_file_and_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        read_listed(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"has no \.json files"):
        read_listed(tmp_path)


def test_a_data_set_in_place_of_predictions(tmp_path: Path) -> None:
    corpus = tmp_path / ".icdcode" / "codiesp-official-1"
    corpus.mkdir(parents=True)
    written(corpus / "manifest.json", "{}")
    with pytest.raises(DataError, match="Data sets are passed as --gold"):
        read_listed(tmp_path)


def test_the_file_of_an_evaluation_does_not_give_its_gold_codes_away(tmp_path: Path) -> None:
    rows = [(f"A{number:02}", 1 - number / 100, False, False) for number in range(20)]
    rows += [("Z99.9", 0.001, False, True), ("B20", 0.002, True, True)]
    columns = list(zip(*rows, strict=True))
    names = ("code", "score", "predicted", "gold")
    table = {"id": ["a"] * len(rows), **dict(zip(names, map(list, columns), strict=True))}
    pq.write_table(pa.table(table), tmp_path / "predictions.parquet")
    found = read_listed(tmp_path / "predictions.parquet")
    codes = codes_of(found)["a"]
    assert (len(codes), "Z99.9" in codes, "B20" in codes) == (21, False, True)
    assert "is from an evaluation" in found.remarks[0]


def test_gold_codes_outside_of_a_small_label_space_are_not_listed(tmp_path: Path) -> None:
    table = {
        "id": ["a"] * 3,
        "code": ["A00", "B20", "Z99.9"],
        "score": [0.9, 0.1, 0.0],
        "predicted": [True, False, False],
        "gold": [False, True, True],
    }
    pq.write_table(pa.table(table), tmp_path / "predictions.parquet")
    assert codes_of(read_listed(tmp_path / "predictions.parquet"))["a"] == ["A00", "B20"]


def test_scores_of_every_code_are_read_in_linear_time(tmp_path: Path) -> None:
    lines = "".join(f"a,C{number},0.5\n" for number in range(15_000))
    path = written(tmp_path / "all.csv", f"id,code,score\n{lines}")
    began = time.process_time()
    assert len(codes_of(read_listed(path))["a"]) == 15_000
    assert time.process_time() - began < 2
