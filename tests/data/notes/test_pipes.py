import gc
import gzip
import os
import tempfile
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icdcli.data.notes.files import find_notes
from icdcli.errors import DataError


def read(*names, standard_input=b"", **columns):
    notes = find_notes([str(name) for name in names], standard_input, **columns)
    found = [(note.id, note.text) for note in notes]
    assert notes.check() == len(found)
    assert [(note.id, note.text) for note in notes] == found
    return found


PIPED = {
    "csv": b"id,text\n7,a\n8,b\n",
    "semicolons": b"id;text\n7;a\n8;b\n",
    "utf-16": "id\ttext\n7\ta\n8\tb\n".encode("utf-16"),
    "csv.gz": gzip.compress(b"id,text\n7,a\n8,b\n"),
    "jsonl": b'{"id": "7", "text": "a"}\n{"id": "8", "text": "b"}',
    "json": b'[{"id": "7", "text": "a"},\n{"id": "8", "text": "b"}]',
    "long": b'id,text\n7,a\n8,"b' + b" " * 100_000 + b'"\n',
}


@pytest.mark.parametrize("kind", PIPED)
def test_a_table_from_standard_input_is_read_row_by_row(kind):
    notes = find_notes(["-"], PIPED[kind])
    assert [(note.id, note.text.strip()) for note in notes] == [("7", "a"), ("8", "b")]
    assert notes.check() == 2
    assert notes.remarks[0].startswith("standard input is read as a table (.")
    if kind == "semicolons":
        assert notes.remarks[1:] == ["columns of standard input: separated by semicolons"]
    assert notes.state == find_notes(["-"], PIPED[kind]).state
    assert notes.state != find_notes(["-"], b"text\nc\n").state


def test_parquet_from_standard_input(tmp_path):
    pq.write_table(pa.table({"id": ["7", "8"], "text": ["a", "b"]}), tmp_path / "n.parquet")
    content = (tmp_path / "n.parquet").read_bytes()
    assert read("-", standard_input=content) == [("7", "a"), ("8", "b")]


def test_a_table_with_columns_of_other_names_from_standard_input():
    content = b"key,note\n7,a\n"
    assert read("-", standard_input=content, text_column="note", id_column="KEY") == [("7", "a")]
    with pytest.raises(DataError, match=r"standard input: no column 'notes' .did you mean 'note'"):
        find_notes(["-"], content, "notes")
    with pytest.raises(DataError, match=r"standard input: looks like a table.*Pass --text-column"):
        find_notes(["-"], b"id,note\n7,a\n").check()
    with pytest.raises(DataError, match="standard input, row 2, column 'id': is the same"):
        find_notes(["-"], b"id,text\n7,a\n7,b\n").check()


@pytest.mark.parametrize(
    "text",
    ["Text\nof a note", "Fever, text\nand cough", "{see above}", "[**name**]", "Na, 140\nK, 4"],
)
def test_a_note_from_standard_input_is_no_table(text):
    assert read("-", standard_input=text.encode()) == [("-", text)]


def test_what_comes_from_a_pipe_is_read_once_and_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pipe = tmp_path / "pipe"
    for content, expected in (
        (b"type 2 diabetes", [(str(pipe), "type 2 diabetes")]),
        (PIPED["csv"], [("7", "a"), ("8", "b")]),
    ):
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(content,))
        writer.start()
        notes = find_notes([str(pipe)])
        writer.join()
        pipe.unlink()
        (folder,) = tmp_path.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert [(note.id, note.text) for note in notes] == expected
        assert notes.check() == len(expected)
        assert [(note.id, note.text) for note in notes] == expected
        del notes
        gc.collect()
        assert list(tmp_path.iterdir()) == []


def test_a_file_behind_a_descriptor_is_read_like_a_pipe(tmp_path):
    read_end, write_end = os.pipe()
    os.write(write_end, PIPED["csv"])
    os.close(write_end)
    assert read(f"/dev/fd/{read_end}") == [("7", "a"), ("8", "b")]
    os.close(read_end)
