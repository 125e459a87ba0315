"""The files that the reading benchmark writes have the same notes for every reader."""

import pytest

TEXTS = ["Admitted with fever & cough.\nNo (known) asthma.", "Gout {left} foot"]


@pytest.mark.parametrize(
    "name", ["text", "csv", "fhir", "bundle", "hl7", "html", "cda", "rtf", "docx", "pdf"]
)
def test_every_format_has_the_same_words(script, tmp_path, name):
    files, reading = script("reading_files").FILES, script("reading")
    path = tmp_path / files[name][0]
    files[name][1](path, TEXTS)
    from icdcli.data.notes.files import find_notes

    found = " ".join(note.text for note in find_notes([str(path)])).split()
    titles = ["Note"] if name == "cda" else []  # each section has one
    assert found == [word for text in TEXTS for word in (*titles, *text.split())]
    assert reading.measure(name, path, False)["characters"] >= sum(map(len, TEXTS)) - 2
    if name in reading.OTHERS:
        other = reading.measure(name, path, True)["characters"]
        assert other >= sum(len("".join(text.split())) for text in TEXTS)
