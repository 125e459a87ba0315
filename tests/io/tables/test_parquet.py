import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from icdcli.data.benchmarks.protocols import SPLIT_COLUMN
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import open_corpus
from icdcli.data.notes.files import find_notes
from icdcli.data.section import DataConfig
from icdcli.data.sources.table import TableSource
from icdcli.errors import DataError
from icdcli.io.csv_reader import Reading
from icdcli.io.tables.parquet import is_parquet_folder, open_parquet

ROWS = [
    {"id": f"{n}", "text": f"Pain {n}", "codes": ["R52"], "split": split}
    for n, split in enumerate(["train"] * 4 + ["validation"] * 2 + ["test"])
]


def as_spark_writes(folder, rows=ROWS):
    """Write a folder partitioned by split, with the files that Spark adds."""
    table = pa.Table.from_pylist(rows)
    schema = pa.schema([("split", pa.string())])
    ds.write_dataset(
        table, folder, format="parquet", partitioning=ds.partitioning(schema, flavor="hive")
    )
    (folder / "_SUCCESS").touch()
    (folder / "_temporary").mkdir()
    (folder / ".part-0.parquet.crc").write_bytes(b"crc")
    return folder


def test_a_partitioned_folder_is_one_table(tmp_path):
    folder = as_spark_writes(tmp_path / "notes.parquet")
    source = TableSource(folder, reading=Reading(2), system="icd10")
    found = [(a.id, a.text, a.split) for a in source.admissions(SPLIT_COLUMN, tmp_path)]
    assert sorted(found) == [(row["id"], row["text"], row["split"]) for row in ROWS]
    assert [path.parent.name for path in source.files()] == [
        "split=test",
        "split=train",
        "split=validation",
    ]
    notes = find_notes([str(folder)])
    assert sorted((note.id, note.text) for note in notes) == [
        (row["id"], row["text"]) for row in ROWS
    ]


def test_a_folder_of_parts_is_prepared_like_one_file(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(ROWS[:3]), folder / "part-00000.snappy.parquet")
    pq.write_table(pa.Table.from_pylist(ROWS[3:]), folder / "part-00001.snappy.parquet")
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "one.parquet")
    corpora = [
        prepare(DataConfig(data_path=path, code_system="icd10"))
        for path in (folder, tmp_path / "one.parquet")
    ]
    whole, one = (
        pq.read_table(corpus.folder / "documents.parquet").to_pylist() for corpus in corpora
    )
    assert whole == one
    assert len(whole) == len(ROWS)
    again = prepare(DataConfig(data_path=folder, code_system="icd10"))
    assert not again.created  # the corpus within the folder is no part of the table
    assert open_corpus(again.folder).card["sources"][1]["name"] == "part-00001.snappy.parquet"


def test_files_with_other_columns_are_refused(tmp_path):
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"note": ["b"]}), tmp_path / "2.parquet")
    with pytest.raises(DataError, match=r"2\.parquet: has other columns than the files before it"):
        find_notes([str(tmp_path)])
    (tmp_path / "2.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"2\.parquet: can't be read as a Parquet file"):
        find_notes([str(tmp_path)])


def test_a_folder_with_other_files_is_no_table(tmp_path):
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "1.parquet")
    assert is_parquet_folder(tmp_path)
    (tmp_path / "a.txt").write_text("Pain")
    assert not is_parquet_folder(tmp_path)
    notes = find_notes([str(tmp_path)])
    assert [note.text for note in notes] == ["Pain"]
    assert "1 file left out (1 .parquet)" in notes.left_out[0]
    assert not is_parquet_folder(tmp_path / "1.parquet")


def test_one_group_of_rows_is_in_memory(tmp_path):
    path, group = tmp_path / "notes.parquet", 1 << 20
    with pq.ParquetWriter(path, pa.schema([("text", pa.binary())]), compression="none") as writer:
        for number in range(8):
            rows = [bytes([number, row]) * (group // 32) for row in range(16)]
            writer.write_table(pa.table({"text": rows}))
    before, most = pa.total_allocated_bytes(), 0
    with open_parquet(path) as file:
        for _ in file.iter_batches(4):
            most = max(most, pa.total_allocated_bytes() - before)
    assert most < 5 * group
