"""Blocks of notes on their way to workers of Ray."""

import json
import pickle

import pytest

from icdcli.data.notes.encounters import ByEncounter
from icdcli.data.notes.files import find_notes
from icdcli.errors import DataError
from icdcli.predict.batches import note_blocks
from icdcli.predict.on_ray.blocks import BlockReader, numbered_blocks, unpacked_rows

BUNDLE = {
    "resourceType": "DocumentReference",
    "id": "7",
    "status": "current",
    "content": [{"attachment": {"contentType": "text/plain", "data": "Y2hlc3QgcGFpbg=="}}],
}


def test_blocks_are_those_of_one_process_and_written_ones_are_empty(notes):
    found = list(numbered_blocks(notes, {1, 3}, 4))
    expected = list(note_blocks(notes, 4))
    assert [one.number for one in found] == [*range(6)]
    assert [one.first for one in found] == [0, 4, 8, 12, 16, 20]
    assert [one.size for one in found] == list(map(len, expected))
    for one, block in zip(found, expected, strict=True):
        assert one.notes == (None if one.number in (1, 3) else tuple(block))


def test_a_note_that_cannot_be_read_is_a_problem_behind_the_blocks_before_it(notes):
    def changed():
        yield from list(notes)[:5]
        raise DataError("row 6: isn't text")

    first, last = numbered_blocks(changed(), set(), 4)
    assert (first.size, first.problem) == (4, None)
    assert (last.number, last.notes, str(last.problem)) == (1, None, "row 6: isn't text")


@pytest.fixture(params=["csv", "jsonl", "parquet", "ndjson", "hl7", "folder", "encounters"])
def files(request, tmp_path):
    """Return the arguments and options of notes in a format."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"id": str(number), "text": "chest pain", "stay": "1"} for number in range(3)]
    path = tmp_path / f"notes.{request.param}"
    match request.param:
        case "csv" | "encounters":
            path = tmp_path / "notes.csv"
            path.write_text("id,text,stay\n0,chest pain,1\n1,fever,1\n2,denies pain,2\n")
        case "jsonl":
            path.write_text("\n".join(map(json.dumps, rows)))
        case "parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        case "ndjson":
            path.write_text(json.dumps(BUNDLE) + "\n")
        case "hl7":
            path.write_text(
                "MSH|^~\\&|A|B|C|D|20260101||MDM^T02|1|P|2.5\rPID|1||77\r"
                "TXA|1|DS|TX|||||||||9\rOBX|1|TX|a||chest pain\r"
            )
        case "folder":
            path.mkdir()
            (path / "a.txt").write_text("chest pain")
    joined = ByEncounter(encounter_column="stay") if request.param == "encounters" else None
    return [str(path)], {"by_encounter": joined}


def test_notes_of_every_format_can_be_read_in_another_process(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, options = files
    notes = find_notes(names, **options)
    notes.check()
    reader = BlockReader(notes, frozenset(), 4, tmp_path)
    [table] = pickle.loads(pickle.dumps(reader))()
    [block] = unpacked_rows(table)
    assert block.notes == tuple(notes)
