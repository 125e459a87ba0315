"""The files that the reading benchmark writes have the same notes for every reader."""

import pytest

TEXTS = ["Admitted with fever & cough.\nNo (known) asthma.", "Gout {left} foot"]


@pytest.mark.parametrize(
    "name", ["text", "csv", "meds", "fhir", "bundle", "hl7", "html", "cda", "rtf", "docx", "pdf"]
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


@pytest.mark.parametrize("name", ["cp1252", "database"])
def test_both_readers_read_the_same_characters(script, tmp_path, name):
    path = tmp_path / script("reading_files").FILES[name][0]
    script("reading_files").FILES[name][1](path, TEXTS)
    ours, other = (
        script("reading").measure(name, path, one)["characters"] for one in (False, True)
    )
    assert ours == other >= sum(map(len, TEXTS))
