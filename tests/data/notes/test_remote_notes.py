"""Notes by URL are those of the same files on this machine."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icdcli.data.notes.files import find_notes
from icdcli.errors import DataError

ROWS = [{"id": f"n{number}", "text": "Chest pain, denies fever."} for number in range(3)]


def _write(folder):
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "notes.parquet")
    (folder / "notes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "notes.csv").write_text("id,text\n" + "".join(f"{row['id']},x\n" for row in ROWS))
    (folder / "texts" / "deep").mkdir(parents=True)
    (folder / "texts" / "a.txt").write_text("Fever.")
    (folder / "texts" / "deep" / "b.txt").write_text("Cough.")
    resource = {"resourceType": "DocumentReference", "id": "7", "status": "current"}
    content = [{"attachment": {"contentType": "text/plain", "data": "R291dA=="}}]
    (folder / "fhir.ndjson").write_text(json.dumps(resource | {"content": content}) + "\n")


@pytest.mark.parametrize(
    "name", ["notes.parquet", "notes.jsonl", "notes.csv", "texts", "fhir.ndjson"]
)
def test_every_format_is_read(memory, tmp_path, name):
    _write(tmp_path)
    memory.put(str(tmp_path), "/bucket", recursive=True)
    here, there = find_notes([str(tmp_path / name)]), find_notes([f"memory://bucket/{name}"])
    assert there.check() == here.check() > 0
    assert list(there) == list(here)
    assert there.state == find_notes([f"memory://bucket/{name}"]).state


def test_a_missing_file_is_reported(memory):
    with pytest.raises(DataError, match="no such file"):
        find_notes(["memory://bucket/a.csv"])
