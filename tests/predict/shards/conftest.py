"""Notes in many blocks, a function that predicts made-up codes, and calls that write shards."""

from datetime import UTC, date, datetime, timedelta

import pytest

from icdcli.data.notes.text import Note, Origin
from icdcli.explain.spans import EvidenceSpan
from icdcli.predict import batches, resumable_output
from icdcli.predict.batches import CodedNote, NoteCode
from icdcli.predict.formats.blocks import ModelName
from icdcli.predict.formats.registry import Shape
from icdcli.predict.resumable_output import OutputParts
from icdcli.predict.shards.parts import ShardParts
from icdcli.predict.shards.records import Shard

MADE_OF = {"another checkpoint": "1", "other notes": "2"}
MODEL = ModelName("notes", "ab" * 32)
CM = "icd10cm-2026-04@0123456789ab"
PCS = "icd10pcs-2026-04@0123456789ab"
TEXTS = ('Gout, "as his\nfather".', "Fever | cough,\rno asthma", "nothing")
ORIGIN = Origin("text/plain", "00" * 32, patient="7", encounter="9")
NOTES = [Note(str(number), TEXTS[number % 3], date(2026, 1, 2), ORIGIN) for number in range(1, 42)]


def code(notes, reported=lambda done: None):
    """Return codes for notes, with quotes and ends of lines in titles; none for every third."""
    reported(len(notes))
    spans = (EvidenceSpan(0, 4, 0.75, "affirmed"), EvidenceSpan(6, 16, 0.5, "family"))
    codes = (
        NoteCode("M10.9", 'Gout, "primary",\n}, {', 0.75, 0.5, True, spans, CM),
        NoteCode("R05", "Cough", 0.5, 0.25, True, (), CM),
        NoteCode("0DTJ4ZZ", "Resection", 0.5, 0.25, True, (), PCS, kind="procedure"),
    )
    return [
        CodedNote(note.id, 1, () if note.text == "nothing" else codes[: int(note.id) % 4 + 1])
        for note in notes
    ]


def read(require):
    """Read all notes, as `check_notes` does."""
    for note in NOTES:
        if require is not None:
            require(note)
    return len(NOTES)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Let each call begin a minute after the one before; the first note of a block is the fifth."""
    times = iter(range(10_000))

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=next(times))

    def restart():
        nonlocal times
        times = iter(range(10_000))

    monkeypatch.setattr(resumable_output, "datetime", Clock)
    monkeypatch.setattr(batches, "BLOCK_NOTES", 4)
    return restart


@pytest.fixture
def write_shard(tmp_path):
    """Write one shard, as a job of its own does; return whether there was something to do."""

    def write(shard, name="codes.jsonl", format=None, predict=code, folder=tmp_path, **made_of):
        evidence = format in ("omop", "labelstudio")
        parts = ShardParts(
            folder / name, MADE_OF | made_of, MODEL, Shape(format, evidence), Shard.parse(shard)
        )
        with parts.locked():
            if parts.finished() is not None:
                return False
            known = parts.notes
            parts.start(parts.count(read, lambda: None) if known is None else known)
            parts.join(parts.write(parts.select(NOTES), predict))
        assert not parts.folder.exists()
        return True

    return write


@pytest.fixture
def write_whole(tmp_path):
    """Write the file in one process; return its bytes."""

    def write(name="codes.jsonl", format=None):
        evidence = format in ("omop", "labelstudio")
        output = tmp_path / f"whole-{name}"
        parts = OutputParts(output, MADE_OF, MODEL, Shape(format, evidence))
        with parts.locked():
            parts.start(len(NOTES))
            parts.join(parts.write(NOTES, code))
        return output.read_bytes()

    return write


@pytest.fixture
def predict_codes():
    """Return the function that predicts."""
    return code
