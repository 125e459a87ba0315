"""An output file in another file system: complete or missing, and continued from its parts."""

import json

import pytest

from icdcli.data.notes.text import Note
from icdcli.errors import ConfigError, DataError
from icdcli.io.remote.paths import any_path
from icdcli.predict import batches
from icdcli.predict.batches import CodedNote, NoteCode
from icdcli.predict.resumable_output import OutputParts

NOTES = [Note(f"n{number}", "text") for number in range(23)]
MADE_OF = {"other notes": "1"}


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(batches, "BLOCK_CHARACTERS", 16)  # four of these notes


def code(notes, reported=lambda done: None):
    found = [NoteCode("A00.0", "Cholera", 0.75, 0.5, True)]
    return [CodedNote(note.id, 1, tuple(found[: int(note.id[1:]) % 2])) for note in notes]


def write(output, code=code, made_of=MADE_OF):
    parts = OutputParts(any_path(output), made_of)
    with parts.locked():
        parts.start(parts.notes or len(NOTES))
        number = parts.write(NOTES, code)
        assert parts.cut_notes(number).notes == 0
        parts.join(number)
    return parts


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_it_has_the_bytes_of_a_local_file_and_nothing_else_is_left(memory, tmp_path, ending):
    write(str(tmp_path / f"codes.{ending}"))
    write(f"memory://bucket/out/codes.{ending}")
    assert list(memory.find("/")) == [f"/bucket/out/codes.{ending}"]
    found = memory.cat(f"/bucket/out/codes.{ending}")
    assert found == (tmp_path / f"codes.{ending}").read_bytes()


def test_a_stopped_call_is_continued_and_no_part_is_written_twice(memory, tmp_path):
    def stop(notes, reported):
        if notes[0].id == "n12":
            raise ZeroDivisionError
        return code(notes)

    with pytest.raises(ZeroDivisionError):
        write("memory://bucket/codes.jsonl", stop)
    assert not memory.exists("/bucket/codes.jsonl")
    assert memory.exists("/bucket/codes.jsonl.parts/0000002.jsonl")
    again = []
    write("memory://bucket/codes.jsonl", lambda notes, news: again.extend(notes) or code(notes))
    assert [note.id for note in again] == [f"n{number}" for number in range(12, 23)]
    lines = memory.cat("/bucket/codes.jsonl").decode().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [note.id for note in NOTES]
    assert list(memory.find("/")) == ["/bucket/codes.jsonl"]


def test_a_call_stops_if_another_one_has_started_over(memory):
    def interfere(notes, reported):
        if notes[0].id == "n8":
            write("memory://bucket/codes.jsonl", made_of={"other notes": "2"})
        return code(notes)

    with pytest.raises(ConfigError, match="another icdcode has begun to write it"):
        write("memory://bucket/codes.jsonl", interfere)
    assert list(memory.find("/")) == ["/bucket/codes.jsonl"]  # the other's, complete
    assert len(memory.cat("/bucket/codes.jsonl").splitlines()) == len(NOTES)


def test_an_output_that_cannot_be_written_is_reported_before_any_work(memory, monkeypatch):
    def refuse(self, *arguments, **options):
        raise PermissionError("Access Denied: key AKIA")

    monkeypatch.setattr(type(memory), "put_file", refuse)
    parts = OutputParts(any_path("memory://bucket/codes.jsonl"), MADE_OF)
    with pytest.raises(ConfigError, match="can't be written \\(access denied"), parts.locked():
        pass


def test_a_failed_upload_keeps_the_parts(memory, monkeypatch):
    join = OutputParts.join

    def unreachable(self, *arguments, **options):
        raise ConnectionResetError

    def losing(self, parts):
        with monkeypatch.context() as lost:
            lost.setattr(type(memory), "put_file", unreachable)
            join(self, parts)

    with monkeypatch.context() as during, pytest.raises(DataError, match="parts are kept"):
        during.setattr(OutputParts, "join", losing)
        write("memory://bucket/codes.jsonl")
    assert not memory.exists("/bucket/codes.jsonl")
    write("memory://bucket/codes.jsonl", lambda notes, news: pytest.fail("is coded again"))
    assert memory.exists("/bucket/codes.jsonl")
