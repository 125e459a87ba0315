import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icdcli.io.tables import row_writer
from icdcli.io.tables.row_writer import ParquetRowWriter

SCHEMA = pa.schema([("id", pa.string()), ("place", pa.int32())])


def test_rows_that_belong_together_are_in_one_row_group_of_a_private_file(tmp_path, monkeypatch):
    monkeypatch.setattr(row_writer, "_GROUP_ROWS", 2)
    path = tmp_path / "rows.parquet"
    with ParquetRowWriter(path, SCHEMA) as writer:
        for rows in ([("a", 1)], [("b", 1), ("b", 2), ("b", 3)], [], [("c", None)]):
            writer.add(rows)
    assert path.stat().st_mode & 0o777 == 0o600
    with pq.ParquetFile(path) as file:
        groups = [file.read_row_group(number) for number in range(file.num_row_groups)]
    assert [group.column("id").to_pylist() for group in groups] == [["a", "b", "b", "b"], ["c"]]
    assert groups[1].column("place").to_pylist() == [None]


def test_without_rows_there_is_no_file(tmp_path):
    with ParquetRowWriter(tmp_path / "rows.parquet", SCHEMA) as writer:
        writer.add([])
    assert list(tmp_path.iterdir()) == []


def test_after_an_error_the_last_rows_are_not_written(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        ParquetRowWriter(tmp_path / "rows.parquet", SCHEMA) as writer,
    ):
        writer.add([("a", 1)])
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
