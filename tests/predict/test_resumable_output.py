import csv
import json
import os
import stat
import threading
from datetime import UTC, datetime

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from icdcli.data.notes.text import Note
from icdcli.errors import ConfigError, DataError
from icdcli.predict import batches as coding
from icdcli.predict.batches import CodedNote, NoteCode
from icdcli.predict.formats.blocks import CodedBlock, ModelName
from icdcli.predict.formats.registry import choose_format
from icdcli.predict.resumable_output import OutputParts

NOTES = [Note(f"n{number}", "text") for number in range(23)]
MADE_OF = {"checkpoint": "1", "notes": "2"}
ENDINGS = ("jsonl", "csv", "parquet")
EDITION = "icd10cm-2026-04@0123456789ab"


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(coding, "BLOCK_CHARACTERS", 16)  # four of these notes


def code(notes, reported=lambda done: None):
    reported(len(notes))
    found = [
        NoteCode("A00.0", 'Of "water", Übel', 0.75, 0.5, True, edition=EDITION),
        NoteCode("B00", None, 0.123456, 0.5, False),
    ]
    return [
        CodedNote(note.id, 1, tuple(found[: int(note.id[1:]) % 3]), editions=(EDITION,))
        for note in notes
    ]


def whole(output, notes=NOTES, code=code, **made_of):
    parts = OutputParts(output, MADE_OF | made_of)
    with parts.locked():
        parts.start(parts.notes or len(notes))
        parts.join(parts.write(notes, code))
    return output.read_bytes()


def stopping_at(number):
    """Return a function that predicts, and fails at a note."""

    def stop(notes, reported):
        if any(note.id == f"n{number}" for note in notes):
            raise ZeroDivisionError
        return code(notes, reported)

    return stop


def stopped(output, at=13, **made_of):
    with pytest.raises(ZeroDivisionError):
        whole(output, code=stopping_at(at), **made_of)
    assert not output.exists()
    return OutputParts(output, MADE_OF | made_of)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_file_has_every_note_in_order_and_nothing_else_is_left(tmp_path, ending):
    output = tmp_path / f"codes.{ending}"
    whole(output)
    if ending == "jsonl":
        notes = [json.loads(line) for line in output.read_text().splitlines()]
        assert [note["id"] for note in notes] == [note.id for note in NOTES]
        assert notes[1]["codes"][0] == {
            "code": "A00.0",
            "title": 'Of "water", Übel',
            "score": 0.75,
            "threshold": 0.5,
            "predicted": True,
        }
        assert [len(note["codes"]) for note in notes[:4]] == [0, 1, 2, 0]
        assert {*map(str, (note["editions"] for note in notes))} == {f"['{EDITION}']"}
    else:
        rows = (
            list(csv.DictReader(output.read_text().splitlines()))
            if ending == "csv"
            else pq.read_table(output).to_pylist()
        )
        assert [row["id"] for row in rows[:5]] == ["n0", "n1", "n2", "n2", "n3"]
        assert list(rows[0].values())[1:] == (
            ["", "", "", "", "", "1", "1.0", ""]
            if ending == "csv"
            else [None, None, None, None, None, 1, 1.0, None]
        )
        assert [row["edition"] or None for row in rows[1:4]] == [EDITION, EDITION, None]
        assert float(rows[3]["score"]) == pytest.approx(0.123456)
        assert str(rows[3]["predicted"]) == "False"
        assert rows[1]["title"] == 'Of "water", Übel'
        assert rows[3]["title"] == ("" if ending == "csv" else None)
        assert list(dict.fromkeys(row["id"] for row in rows)) == [note.id for note in NOTES]
    assert list(tmp_path.iterdir()) == [output]
    assert stat.S_IMODE(output.stat().st_mode) == 0o600


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_stopped_call_resumes_to_the_same_bytes(tmp_path, ending):
    expected = whole(tmp_path / f"whole.{ending}")
    parts = stopped(tmp_path / f"codes.{ending}")
    assert parts.notes == len(NOTES)
    assert parts.changed == []
    assert stat.S_IMODE(parts.folder.stat().st_mode) == 0o700
    done, reported = [], []
    with parts.locked():
        parts.start(parts.notes)
        count = parts.write(
            NOTES,
            lambda notes, news: done.extend(notes) or code(notes, news),
            on_notes=lambda *news: reported.append(news),
        )
        parts.join(count)
    assert parts.output.read_bytes() == expected
    assert [note.id for note in done] == [f"n{number}" for number in range(12, 23)]
    assert (4, 4) in reported
    assert reported[-1] == (23, 12)
    assert sorted(reported) == reported
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [f"whole.{ending}", f"codes.{ending}"]
    )


def test_changed_inputs_are_named_and_the_file_starts_over(tmp_path):
    output = tmp_path / "codes.jsonl"
    stopped(output)
    parts = OutputParts(output, MADE_OF | {"notes": "3"})
    assert parts.started
    assert parts.changed == ["notes"]
    assert parts.notes is None
    assert list(parts.folder.glob("*.jsonl"))  # until it starts over, nothing is lost
    seen = []
    whole(
        output,
        code=lambda notes, reported: seen.extend(notes) or code(notes, reported),
        notes=NOTES[:9],
    )
    whole(
        output,
        code=lambda notes, reported: seen.extend(notes) or code(notes, reported),
        checkpoint="other",
    )
    assert len(seen) == 23 + 9 - 9


def test_damaged_journal_and_half_a_part(tmp_path):
    output = tmp_path / "codes.jsonl"
    expected = whole(tmp_path / "whole.jsonl")
    parts = stopped(output)
    (parts.folder / ".0000003.jsonl.abc").write_text("half")
    assert whole(output) == expected
    parts = stopped(output := tmp_path / "other.jsonl")
    (parts.folder / "journal.json").write_text("{")
    (parts.folder / "0000001.jsonl").write_text("not of this call")
    assert not parts.started
    assert whole(output) == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "codes.jsonl",
        "other.jsonl",
        "whole.jsonl",
    ]


def test_an_earlier_file_stays_until_the_new_one_is_complete(tmp_path):
    output = tmp_path / "codes.csv"
    output.write_text("earlier")
    parts = OutputParts(output, MADE_OF)
    with pytest.raises(ZeroDivisionError), parts.locked():
        parts.start(len(NOTES))
        parts.write(NOTES, stopping_at(0))
    assert output.read_text() == "earlier"


def test_nothing_is_left_if_nothing_was_started(tmp_path):
    with pytest.raises(DataError), OutputParts(tmp_path / "codes.csv", MADE_OF).locked():
        raise DataError("the notes can't be read")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_parts_keeps_what_is_not_ours(tmp_path):
    parts = stopped(tmp_path / "codes.csv")
    (parts.folder / "mine.csv").write_text("mine")
    whole(parts.output)
    assert [path.name for path in parts.folder.iterdir()] == ["mine.csv"]


@pytest.mark.parametrize("ranks", [2, 3, 9])
def test_processes_share_the_work_and_the_file_is_the_same(tmp_path, ranks):
    expected = whole(tmp_path / "whole.jsonl")
    output = tmp_path / "codes.jsonl"
    first = OutputParts(output, MADE_OF)
    coded = [[] for _ in range(ranks)]
    begun = threading.Barrier(ranks)

    def work(rank):
        parts = OutputParts(output, MADE_OF)
        begun.wait()
        count = parts.write(
            NOTES,
            lambda notes, reported: coded[rank].extend(notes) or code(notes, reported),
            (rank, ranks),
        )
        parts.wait(count, lambda there: None, pause=0.001)

    with first.locked():
        first.start(len(NOTES))
        threads = [threading.Thread(target=work, args=(rank,)) for rank in range(ranks)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        first.join(6)
    assert output.read_bytes() == expected
    assert [len(notes) for notes in coded] == [
        sum([4, 4, 4, 4, 4, 3][rank::ranks]) for rank in range(ranks)
    ]


def test_another_number_of_processes_resumes_with_the_same_parts(tmp_path):
    expected = whole(tmp_path / "whole.csv")
    output = tmp_path / "codes.csv"
    parts = OutputParts(output, MADE_OF)
    with parts.locked():
        parts.start(len(NOTES))
        parts.write(NOTES, code, (1, 3))
    assert whole(output) == expected


def test_two_calls_for_one_file(tmp_path):
    output = tmp_path / "codes.csv"
    with (
        OutputParts(output, MADE_OF).locked(),
        pytest.raises(ConfigError, match="another icdcode is writing it"),
        OutputParts(output, MADE_OF).locked(),
    ):
        pass
    assert whole(output)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("codes.txt", "must end in .jsonl, .csv or .parquet"),
        ("codes", "must end in"),
        ("gone/codes.csv", "there is no folder"),
        ("folder.csv", "is a folder"),
    ],
)
def test_files_that_cannot_be(tmp_path, name, says):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ConfigError, match=says):
        OutputParts(tmp_path / name, MADE_OF)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "codes.csv.parts").write_text("in the way")
    with (
        pytest.raises(ConfigError, match="can't be written"),
        OutputParts(tmp_path / "codes.csv", MADE_OF).locked(),
    ):
        pass


def test_a_full_disk_keeps_what_is_done(tmp_path, monkeypatch):
    output = tmp_path / "codes.jsonl"
    replace, count = os.replace, [0]

    def full(*paths):
        count[0] += 1
        if count[0] == 6:  # each part is the second file of its block
            raise OSError(28, "No space left on device")
        replace(*paths)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(
        DataError,
        match=r"can't be written \(No space left on device\). The finished parts are kept",
    ):
        whole(output)
    assert not output.exists()
    assert len(list((tmp_path / "codes.jsonl.parts").glob("*.jsonl"))) == 2
    monkeypatch.undo()
    monkeypatch.setattr(coding, "BLOCK_CHARACTERS", 16)
    assert whole(output) == whole(tmp_path / "other.jsonl")


def test_formats_are_known_by_their_ending(tmp_path):
    assert choose_format(tmp_path / "A.CSV", ModelName("", "")).ending == ".csv"


def test_a_carriage_return_in_an_id_does_not_split_a_row(tmp_path):
    output, part = tmp_path / "codes.csv", tmp_path / "part"
    ids = ["a\rb", "c\nd", 'e"f', "g,h", "i"]
    written = choose_format(output, ModelName("", ""))
    notes = [Note(id, "text") for id in ids]
    coded = [CodedNote(id, 1, ()) for id in ids]
    written.write(part, CodedBlock(notes, coded, datetime.now(UTC)))
    written.join(output, [part])
    with output.open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file, strict=True)] == ids
    assert (
        pa_csv.read_csv(output, parse_options=pa_csv.ParseOptions(newlines_in_values=True))
        .column("id")
        .to_pylist()
        == ids
    )
    assert output.read_text().endswith("\ni,,,,,,1,1.0,\n")
