import pytest

from icdcli.data.notes.files import find_notes
from icdcli.errors import DataError
from icdcli.predict.counting import check_notes


def test_other_files_of_a_folder_are_counted(tmp_path):
    folder = tmp_path / "n"
    (folder / "below").mkdir(parents=True)
    names = ("a.txt", "B.TXT", "b.text", "c", "d.md", "below/e.tiff", "f.doc", "g.doc", "t.csv")
    for name in names:
        (folder / name).write_text("type 2 diabetes")
    notes = find_notes([str(folder)])
    assert [note.id for note in notes] == ["B.TXT", "a.txt"]
    warnings = []
    assert check_notes(notes, on_warning=warnings.append) == 2
    (warning,) = warnings
    assert warning.startswith(
        f"{folder}: 7 files left out (2 .doc, 1 .csv, 1 .md, 1 .text, 1 .tiff, 1 without an ending)"
    )
    (folder / "i.txt").symlink_to("/nowhere/i.txt")
    with pytest.raises(DataError, match=r"n/i\.txt: is a link to a file that doesn't exist"):
        find_notes([str(folder)])
    for name in ("a.txt", "B.TXT", "i.txt", "t.csv"):
        (folder / name).unlink()
    with pytest.raises(DataError, match=r"\.xml\. It has 6 other files \(2 \.doc, 1 \.md"):
        find_notes([str(folder)])
