"""The editions of codes in what commands write, and commands that would mix two of them."""

import json

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from icdcli import load_model
from icdcli.icd.editions.records import edition_ids

TEXTS = ["Chest pain and fever.", "", "Type two diabetes mellitus. " * 3]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "notes.parquet"
    pq.write_table(pa.table({"id": ["a", "b", "c"], "text": TEXTS}), path)
    return path


def test_every_prediction_names_the_edition(icdcode, trained, table, tmp_path):
    editions = load_model(trained).labels.editions
    (edition,) = edition_ids(editions)
    assert edition.startswith("icd9cm-32@")
    found = icdcode("predict", trained, table, "--json", "--top", 2).out.splitlines()
    assert [json.loads(line)["editions"] for line in found] == [[edition]] * len(TEXTS)
    for file in (tmp_path / "codes.csv", tmp_path / "codes.parquet"):
        answer = icdcode("predict", trained, table, "--top", 2, "--output", file, "--json")
        assert answer.json["editions"] == editions
        rows = pa_csv.read_csv(file) if file.suffix == ".csv" else pq.read_table(file)
        assert rows.column_names[-1] == "edition"
        assert {(bool(row["code"]), row["edition"] or None) for row in rows.to_pylist()} == {
            (True, edition),
            (False, None),
        }
