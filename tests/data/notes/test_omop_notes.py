"""OMOP's table NOTE, with the columns of the CDM 5.4."""

import pandas
import pytest

from icdcli.data.notes.files import find_notes
from icdcli.errors import DataError

NOTE = pandas.DataFrame(
    {
        "note_id": [11, 12],
        "person_id": [7, 8],
        "note_date": ["2026-01-05", "2026-01-06"],
        "note_datetime": [None, None],
        "note_type_concept_id": [32817, 32817],
        "note_class_concept_id": [0, 0],
        "note_title": ["Discharge", ""],
        "note_text": ["Gout,\nfever", "Asthma"],
        "encoding_concept_id": [32678, 32678],
        "language_concept_id": [4180186, 4180186],
        "provider_id": [None, None],
        "visit_occurrence_id": pandas.array([3, None], "Int64"),
        "visit_detail_id": [None, None],
        "note_source_value": ["", ""],
        "note_event_id": [None, None],
        "note_event_field_concept_id": [None, None],
    }
)
FOUND = [("11", "Gout,\nfever", "7", "3"), ("12", "Asthma", "8", None)]


def read(notes):
    notes.check()
    return [(one.id, one.text, one.origin.patient, one.origin.encounter) for one in notes]


@pytest.mark.parametrize("name", ["note.csv", "NOTE.csv.gz", "note.tsv", "note.parquet"])
def test_the_table_is_recognized_and_said(tmp_path, name):
    path = tmp_path / name
    table = NOTE if name != "NOTE.csv.gz" else NOTE.rename(columns=str.upper)
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    notes = find_notes([str(path)])
    assert read(notes) == FOUND
    (said, *_) = notes.remarks
    assert said.lower() == (
        f"{path} is read as OMOP's table NOTE: note_text, note_id, person_id, "
        "visit_occurrence_id".lower()
    )
    if name == "note.csv":
        piped = find_notes(["-"], path.read_bytes())
        assert read(piped) == FOUND
        assert "standard input is read as OMOP's table NOTE" in " ".join(piped.remarks)
        by_day = find_notes([str(path)], date_column="note_date")
        assert [str(note.day) for note in by_day] == ["2026-01-05", "2026-01-06"]


def test_columns_that_are_named_or_usual_count_first(tmp_path):
    NOTE.to_csv(tmp_path / "a.csv", index=False)
    (note, _) = find_notes([str(tmp_path / "a.csv")], text_column="note_title")
    assert (note.id, note.text, note.origin) == ("1", "Discharge", None)
    NOTE.assign(text="Fever").to_csv(tmp_path / "b.csv", index=False)
    assert {note.text for note in find_notes([str(tmp_path / "b.csv")])} == {"Fever"}


def test_the_table_without_its_texts_or_with_bad_days(tmp_path):
    NOTE.drop(columns="note_text").to_csv(tmp_path / "n.csv", index=False)
    with pytest.raises(
        DataError, match=r"n\.csv: has columns of OMOP's table NOTE, but not note_t"
    ):
        find_notes([str(tmp_path / "n.csv")])
    with pytest.raises(DataError, match="standard input: has columns of OMOP's table NOTE"):
        find_notes(["-"], (tmp_path / "n.csv").read_bytes())
    NOTE.assign(note_date="soon").to_csv(tmp_path / "n.csv", index=False)
    with pytest.raises(DataError, match="row 1, column 'note_date'"):
        find_notes([str(tmp_path / "n.csv")], date_column="note_date").check()
    NOTE.assign(note_id=11).to_csv(tmp_path / "n.csv", index=False)
    with pytest.raises(DataError, match="row 2, column 'note_id': is the same as in row 1"):
        find_notes([str(tmp_path / "n.csv")]).check()
