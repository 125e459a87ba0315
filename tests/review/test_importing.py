"""Notes are imported from files, with stable ids and what tables say of their patients."""

import json
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import select

from icdcli.errors import ConfigError, DataError
from icdcli.review.importing import NoteColumns, import_files
from icdcli.review.notes import ImportedNotes, ReviewNote, stored_note
from icdcli.review.schema import NoteRow
from icdcli.review.store import Store, open_store


@pytest.fixture
def filled(tmp_path: Path) -> Store:
    with open_store(tmp_path / "review.db") as store:
        yield store


def ids(store: Store) -> list[str]:
    with store.reading() as connection:
        return list(connection.scalars(select(NoteRow.id).order_by(NoteRow.number)))


def table(path: Path, *rows: dict) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_tables_say_what_they_know_of_patients(filled: Store, tmp_path: Path) -> None:
    notes = table(
        tmp_path / "notes.jsonl",
        {
            **{"id": "a", "text": "Fever", "Subject_ID": 17, "encounter": "e1", "language": "es"},
            **{"split": "test", "left": "2026-05-31"},
        },
        {"id": "b", "text": "Cough", "Subject_ID": 18, "encounter": "", "left": None},
    )
    done = import_files(filled, [notes], NoteColumns(day="left"), language="en")
    assert done == ImportedNotes(2, 0, 0, 0)
    first = ReviewNote("a", "Fever", "e1", "17", date(2026, 5, 31), "es", "test")
    assert stored_note(filled, "a") == first
    assert stored_note(filled, "b") == ReviewNote("b", "Cough", None, "18", language="en")


def test_ids_do_not_depend_on_the_other_files(filled: Store, tmp_path: Path) -> None:
    first = table(tmp_path / "a.jsonl", {"id": "1", "text": "Fever"})
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "note.txt").write_text("Cough")
    import_files(filled, [first])
    done = import_files(filled, [first, str(folder)])
    assert (done.new, done.known) == (1, 1)
    assert ids(filled) == ["1", "note.txt"]


def test_rows_without_ids_are_numbered_by_file_with_a_warning(
    filled: Store, tmp_path: Path
) -> None:
    names = [table(tmp_path / f"{one}.jsonl", {"text": f"Fever {one}"}) for one in "ab"]
    warnings: list[str] = []
    import_files(filled, names, on_warning=warnings.append)
    assert ids(filled) == ["a.jsonl:1", "b.jsonl:1"]
    assert "--id-column" in warnings[0]
    assert import_files(filled, names).known == 2


def test_wrong_files_import_nothing(filled: Store, tmp_path: Path) -> None:
    good = table(tmp_path / "good.jsonl", {"id": "1", "text": "Fever"})
    other = table(tmp_path / "other.jsonl", {"id": "1", "text": "Another text"})
    with pytest.raises(DataError, match="note '1': there is another text"):
        import_files(filled, [good, other])
    bad = table(tmp_path / "bad.jsonl", {"id": "2", "text": "Fever", "subject_id": 1.5})
    with pytest.raises(DataError, match=r"row 1, column 'subject_id': is float"):
        import_files(filled, [good, bad])
    empty = table(tmp_path / "empty.jsonl", {"id": "3", "text": ""})
    with pytest.raises(DataError, match="none of the notes has any text"):
        import_files(filled, [empty])
    with pytest.raises(DataError, match="no such file"):
        import_files(filled, [good, str(tmp_path / "missing.txt")])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "args.yaml").write_text("")
    with pytest.raises(ConfigError, match="is a run, not a file of notes"):
        import_files(filled, [str(tmp_path / "run")])
    assert ids(filled) == []
