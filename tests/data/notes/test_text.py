import pytest

from icdcli.data.notes import text as note_text
from icdcli.data.notes.files import find_notes
from icdcli.errors import DataError
from icdcli.predict.counting import check_notes

SECRET = "Mr Longfellow drinks"


def test_the_command_of_the_message_gives_the_text_back(tmp_path):
    content = "Pneumonia – patient’s señal, 3 € …".encode("cp1252")
    (tmp_path / "n.txt").write_bytes(content)
    with pytest.raises(DataError) as caught:
        find_notes([str(tmp_path / "n.txt")]).check()
    encoding = str(caught.value).split("iconv -f ")[1].split()[0]
    assert content.decode(encoding) == "Pneumonia – patient’s señal, 3 € …"


def test_notes_that_the_former_hint_corrupted_are_counted(tmp_path):
    text = "patient’s fever".encode("cp1252").decode("latin-1")
    (tmp_path / "1.txt").write_text(text, encoding="utf-8")
    (tmp_path / "2.txt").write_text("patient’s fever", encoding="utf-8")
    warnings = []
    assert check_notes(find_notes([str(tmp_path)]), on_warning=warnings.append) == 2
    assert [w.partition(" control")[0] for w in warnings] == ["1 of 2 notes have"]


def test_a_note_shows_its_text_to_nobody():
    assert repr(note_text.Note("7", SECRET)) == "Note('7', 20 characters)"


@pytest.mark.parametrize("cell", ["", "nan", "NaN", " NULL ", "None", "<NA>"])
def test_an_empty_cell_that_a_program_wrote_as_a_word_is_no_note(tmp_path, cell):
    (tmp_path / "n.csv").write_text(f"id,text\n1,{cell}\n2,Nan bread.\n", encoding="utf-8")
    warnings = []
    notes = find_notes([str(tmp_path / "n.csv")])
    assert check_notes(notes, on_warning=warnings.append) == 2
    assert warnings == ["1 of 2 notes have no text and get no codes"]
    assert [note.has_text for note in notes] == [False, True]
    (tmp_path / "n.csv").write_text(f"id,text\n1,{cell}\n", encoding="utf-8")
    with pytest.raises(DataError, match="none of the notes has any text"):
        find_notes([str(tmp_path / "n.csv")]).check()
