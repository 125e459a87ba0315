"""`icdcode predict --shard` and `icdcode join`: shards in any order, repeated, missing."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icdcli.predict import batches


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Return a table of notes that are several blocks."""
    monkeypatch.setattr(batches, "BLOCK_NOTES", 2)
    path = tmp_path / "notes.parquet"
    texts = [f"Kidney disease of stage {number}." for number in range(9)]
    pq.write_table(pa.table({"id": [f"n{number}" for number in range(9)], "text": texts}), path)
    return path


def test_shards_in_any_order_and_repeated_make_the_file_of_one_process(
    icdcode, trained, table, tmp_path
):
    words = ("predict", trained, table, "--device", "cpu", "--top", 2, "--output")
    whole, output = tmp_path / "whole.csv", tmp_path / "codes.csv"
    assert icdcode(*words, whole).code == 0
    for number in (3, 1, 2):
        answer = icdcode(*words, output, "--shard", f"{number}/3", "--json")
        assert answer.code == 0, answer
        assert answer.json["output"] == f"{output}.shards/{number}-of-3.csv"
        assert (answer.json["shard"], answer.json["notes"] in (2, 3, 4)) == (f"{number}/3", True)
    again = icdcode(*words, output, "--shard", "2/3")
    assert (again.code, "Nothing is left to do" in again.out) == (0, True)
    answer = icdcode("join", output, "--json")
    assert answer.code == 0, answer
    assert (answer.json["notes"], answer.json["shards"]) == (9, 3)
    assert output.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob("*.parts"))


def test_bad_shards_are_refused(refused, trained, table, tmp_path):
    output = tmp_path / "codes.csv"
    words = ("predict", trained, table, "--output", output, "--shard")
    refused(2, *words, "4/3", says="--shard 4/3: should be I/N")
    refused(2, "predict", trained, table, "--shard", "1/3", says="--shard: is for files")
    refused(2, "join", output, says="has no shards. Write them first")


def test_a_missing_shard_is_named(icdcode, refused, trained, table, tmp_path):
    output = tmp_path / "codes.csv"
    words = ("predict", trained, table, "--device", "cpu", "--output", output, "--shard")
    assert icdcode(*words, "1/3").code == 0
    refused(3, "join", output, says="shards 2/3, 3/3 are missing")
    assert not output.exists()
