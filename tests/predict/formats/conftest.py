"""Notes of several origins with codes, and a function that writes them as `predict` does."""

import pytest

from icdcli.data.notes.text import Note, Origin
from icdcli.explain.spans import EvidenceSpan
from icdcli.predict import batches as coding
from icdcli.predict.batches import CodedNote, NoteCode
from icdcli.predict.formats.blocks import ModelName
from icdcli.predict.formats.registry import Shape
from icdcli.predict.resumable_output import OutputParts

TEXT = "No asthma 😷. Gout, as his father.\nFever | cough."
CM, PCS = "icd10cm-2026-04@0123456789ab", "icd10pcs-2024@ba9876543210"
MODEL = ModelName("notes", "ab" * 32)
SPANS = (
    EvidenceSpan(13, 17, 0.75, "affirmed"),
    EvidenceSpan(26, 32, 0.25, "family"),
    EvidenceSpan(3, 9, 0.125, "negated"),
)


def origin(**values):
    return Origin("text/html", "cd" * 32, **values)


NOTES = [
    Note("DocumentReference/7", TEXT, None, origin(resource="DocumentReference/7",
         patient="Patient/1", encounter="Encounter/3", version="R4")),
    Note("8", TEXT, None, origin(patient="12^^^HOSP^MR", encounter="V7", version="R5")),
    Note("9", "nothing"),
    Note("10|^~\\&", TEXT),
]  # fmt: skip


def code(notes, reported=lambda done: None):
    """Return codes for notes: all kinds of codes for most, none for note 9."""
    reported(len(notes))
    codes = (
        NoteCode("M10.9", "Gout & others, “unspecified”", 0.75, 0.5, True, SPANS, CM),
        NoteCode("R05.9", None, 0.625, 0.5, True, (), CM),
        NoteCode("0BJ08ZZ", "Inspection of bronchus", 0.5625, 0.5, True, None, PCS,
                 kind="procedure"),
        NoteCode("J45.9", "Asthma", 0.25, 0.5, False, None, CM),
        NoteCode("R05", "Cough", 0.625, 0.5, False, None, CM, "category: has codes below it"),
        NoteCode("X1", "Of a list of one's own", 0.5, 0.5, True, None, None),
    )  # fmt: skip
    return [
        CodedNote(note.id, 2, () if note.id == "9" else codes, 0.5, (CM, PCS)) for note in notes
    ]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write notes in a format, after a call that was stopped within them."""
    monkeypatch.setattr(coding, "BLOCK_CHARACTERS", len(TEXT))

    def stop(notes, reported):
        if notes[0].id == NOTES[2].id:
            raise ZeroDivisionError
        return code(notes, reported)

    def written(format, name, notes=NOTES, stops=True):
        output = tmp_path / name
        made_of = {"notes": "1"}
        if stops:
            parts = OutputParts(output, made_of, MODEL, Shape(format, True))
            with pytest.raises(ZeroDivisionError), parts.locked():
                parts.start(len(notes))
                parts.write(notes, stop)
        parts = OutputParts(output, made_of, MODEL, Shape(format, True))
        assert parts.started == stops
        with parts.locked():
            parts.start(len(notes))
            parts.join(parts.write(notes, code))
        assert not parts.folder.exists()
        return output

    return written


@pytest.fixture
def coded_notes():
    """Return the notes that `write` writes, and their codes."""
    return NOTES, code(NOTES)
