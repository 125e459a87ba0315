"""Where the notes of documents are, in a prepared corpus."""

import csv
import stat

import pandas
import pytest

from icdcli.data.corpus.boundaries import BOUNDARIES, read_boundaries
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import open_corpus
from icdcli.data.section import DataConfig
from icdcli.errors import DataError

NOTE_TYPES = ("Radiology", "Discharge")


@pytest.fixture
def encounters(tmp_path):
    """Return a table of 30 encounters of 1 to 3 notes, whose last note is the earliest."""
    path = tmp_path / "notes.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("visit", "id", "type", "at", "text", "codes"))
        for visit in range(30):
            for note in range(visit % 3 + 1):
                text = f"Note {note} of visit {visit}, é"
                at = f"2026-05-{10 - note} 08:00"
                writer.writerow((visit, f"{visit}-{note}", NOTE_TYPES[note % 2], at, text, "I10"))
    return path


def config(path, **options):
    return DataConfig(
        data_path=path, encounter_column="visit", note_type_column="type", time_column="at",
        **options,
    )  # fmt: skip


def test_the_place_of_each_note_is_stored_beside_the_documents(encounters):
    prepared = prepare(config(encounters))
    corpus = open_corpus(prepared.folder)
    found = {}
    for split in corpus.splits:
        documents = corpus.documents(split)
        for id, text, notes in zip(
            documents.ids,
            corpus.texts(split),
            read_boundaries(corpus.folder, documents.ids),
            strict=True,
        ):
            assert [one.note_id for one in notes] == [
                f"{id}-{note}" for note in reversed(range(int(id) % 3 + 1))
            ]
            for one in notes:
                visit, note = one.note_id.split("-")
                assert text[one.begin : one.end] == f"Note {note} of visit {visit}, é"
                assert one.type == NOTE_TYPES[int(note) % 2]
                assert str(one.time) == f"2026-05-{10 - int(note):02} 08:00:00"
            found[id] = text
    assert len(found) == 30
    assert sum(split["notes"] for split in prepared.card["notes"].values()) == 60
    assert max(split["most"] for split in prepared.card["notes"].values()) == 3
    file = prepared.folder / BOUNDARIES
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(pandas.read_parquet(file)) == ["id", "note_id", "type", "time", "begin", "end"]


def test_each_choice_of_notes_is_a_corpus_of_its_own(encounters):
    folders = {
        prepare(config(encounters, note_types=types)).folder
        for types in (None, ["Radiology"], list(NOTE_TYPES))
    }
    assert len(folders) == 3


def test_a_cleaned_text_has_no_places(encounters):
    prepared = prepare(config(encounters, text_cleaning="caml"))
    assert not (prepared.folder / BOUNDARIES).exists()
    assert read_boundaries(prepared.folder, ["1", "2"]) == [(), ()]


def test_a_missing_or_damaged_file_is_reported(encounters):
    folder = prepare(config(encounters)).folder
    (folder / BOUNDARIES).write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"boundaries\.parquet: can't be read"):
        read_boundaries(folder, ["1"])
    (folder / BOUNDARIES).unlink()
    with pytest.raises(DataError, match=r"boundaries\.parquet is missing"):
        open_corpus(folder)
