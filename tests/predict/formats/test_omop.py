"""What is written for OMOP's table NOTE_NLP: its columns are those that the CDM 5.4 lists."""

from dataclasses import replace

import pandas
import pyarrow.parquet as pq
import pytest

from icdcli.data.notes.text import Note
from icdcli.errors import DataError
from icdcli.predict.counting import check_notes
from icdcli.predict.formats.omop import NOTE_NLP, require_note_id

# The order and the types of the CDM's own list of fields (OMOP_CDMv5.4_Field_Level.csv).
COLUMNS = [
    ("note_nlp_id", "int64"),
    ("note_id", "int64"),
    ("section_concept_id", "int64"),
    ("snippet", "string"),
    ("offset", "string"),
    ("lexical_variant", "string"),
    ("note_nlp_concept_id", "int64"),
    ("note_nlp_source_concept_id", "int64"),
    ("nlp_system", "string"),
    ("nlp_date", "date32[day]"),
    ("nlp_datetime", "timestamp[ms]"),
    ("term_exists", "string"),
    ("term_temporal", "string"),
    ("term_modifiers", "string"),
]
REQUIRED = ["note_nlp_id", "note_id", "lexical_variant", "note_nlp_concept_id", "nlp_date"]


@pytest.fixture
def rows(write, coded_notes):
    notes = [replace(note, id=str(7 + place)) for place, note in enumerate(coded_notes[0])]
    path = write("omop", "note_nlp.parquet", notes=notes, stops=False)
    again = write("omop", "note_nlp.csv", notes=notes, stops=False)
    read = pandas.read_csv(again, dtype={"offset": str}, keep_default_na=False)
    table = pq.read_table(path)
    assert read.columns.tolist() == table.column_names == [name for name, _ in COLUMNS]
    texts = ["lexical_variant", "term_modifiers", "term_exists"]
    assert read[texts].to_numpy().tolist() == (table.select(texts).to_pandas().to_numpy().tolist())
    assert read["note_nlp_id"].tolist() == table["note_nlp_id"].to_pylist()
    return table.to_pylist()


def test_the_columns_are_those_of_the_cdm():
    assert [(field.name, str(field.type)) for field in NOTE_NLP] == COLUMNS


def test_each_span_has_a_row(rows, coded_notes):
    notes, _ = coded_notes
    assert [row["note_nlp_id"] for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        assert all(row[name] is not None for name in REQUIRED)
    of_first = [row for row in rows if row["note_id"] == 7]
    assert len(of_first) == 3 + 1 + 1 + 1 + 1
    text = notes[0].text
    shown = [(row["offset"], row["lexical_variant"], row["term_exists"], row["term_temporal"])
             for row in of_first[:4]]  # fmt: skip
    assert shown == [
        ("13", text[13:17], "Y", "Present"),
        ("26", text[26:32], "N", None),
        ("3", "asthma", "N", None),
        (None, "", "Y", None),
    ]
    assert of_first[0]["snippet"] in text and "Gout" in of_first[0]["snippet"]
    assert {row["nlp_system"].partition(", ")[2] for row in rows} == {"model notes@abababababab"}


def test_codes_and_scores_come_back(rows, coded_notes):
    _, coded = coded_notes
    found = {}
    for row in rows:
        values = dict(pair.split("=", 1) for pair in row["term_modifiers"].split(";"))
        begin, end = row["offset"], values.get("end")
        key = (row["note_id"], values["code"], float(values["score"]), float(values["threshold"]),
               values["predicted"] == "true", values.get("edition"))  # fmt: skip
        spans = found.setdefault(key, [])
        if begin is not None:
            spans.append((int(begin), int(end), float(values["weight"]), values["assertion"]))
    expected = {
        (7 + place, one.code, one.score, one.threshold, one.predicted, one.edition): [
            span[:4] for span in one.evidence or ()
        ]
        for place, codes in enumerate(coded)
        for one in codes.codes
        if one.dropped is None
    }
    assert found == expected
    negated = next(row for row in rows if row["lexical_variant"] == "asthma")
    assert negated["term_modifiers"].endswith("assertion=negated;negation=true")
    assert "vocabulary=ICD10CM" in negated["term_modifiers"]


@pytest.mark.parametrize("id", ["DocumentReference/7", "", "7.5", "٣", "9" * 19])
def test_notes_need_whole_numbers(id):
    with pytest.raises(DataError, match="whole numbers, but a note has the id"):
        require_note_id(Note(id, "text"))
    require_note_id(Note("0012", "text"))


def test_an_id_that_is_no_number_is_found_before_any_work(tmp_path):
    from icdcli.data.notes.files import find_notes

    (tmp_path / "n.csv").write_text("id,text\n1,a\nb,c\n")
    with pytest.raises(DataError, match="--format omop"):
        check_notes(find_notes([str(tmp_path / "n.csv")]), require=require_note_id)
