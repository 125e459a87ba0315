from datetime import datetime

import pandas
import pytest

from icdcli.data.benchmarks.protocols import PATIENT
from icdcli.data.corpus.prepare import prepare
from icdcli.data.encounters.boundaries import NoteBoundary
from icdcli.data.section import DataConfig
from icdcli.data.sources.admission import Code
from icdcli.data.sources.omop import OmopReading, OmopSource
from icdcli.data.sources.registry import choose_source, recognize
from icdcli.errors import DataError
from icdcli.io.csv_reader import Reading

INTEGERS = ["visit_occurrence_id"]
TABLES = {
    "NOTE": pandas.DataFrame(
        [
            (1, 7, 20, "Some note"),
            (2, 8, 21, "Other,\nnote"),
            (3, 7, 20, "Its addition"),
            (4, 9, None, "No visit"),
            (5, 9, 25, "No codes"),
        ],
        columns=["note_id", "person_id", "visit_occurrence_id", "note_text"],
    ),
    "CONDITION_OCCURRENCE": pandas.DataFrame(
        [
            (7, 20, "I10", 11),
            (7, 20, "ICD10CM:e119", 12),
            (7, 20, "HTN-LOCAL", 0),
            (8, 21, "428.0", 13),
            (8, 21, "J45.909", 14),
            (9, None, "I10", 11),
        ],
        columns=[
            *("person_id", "visit_occurrence_id"),
            *("condition_source_value", "condition_source_concept_id"),
        ],
    ),
    "PROCEDURE_OCCURRENCE": pandas.DataFrame(
        [(7, 20, "0BJ08ZZ", 15)],
        columns=[
            *("person_id", "visit_occurrence_id"),
            *("procedure_source_value", "procedure_source_concept_id"),
        ],
    ),
}
CONCEPTS = pandas.DataFrame(
    [
        (11, "ICD10CM", "I10"),
        (14, "ICD10CM", "J45.909"),
        (13, "ICD9CM", "428.0"),
        (15, "ICD10PCS", "0BJ08ZZ"),
        (12, "SNOMED", "44054006"),
    ],
    columns=["concept_id", "vocabulary_id", "concept_code"],
)


def write(folder, ending, **tables):
    for name, table in (TABLES | tables).items():
        if table is None:
            continue
        if ending == "parquet":
            table.to_parquet(folder / f"{name.lower()}.parquet")
        else:
            whole = table.assign(
                **{one: table[one].astype("Int64") for one in INTEGERS if one in table}
            )
            whole.to_csv(folder / f"{name}.{ending}", index=False)
    return folder


def read(folder, system="icd10"):
    source = OmopSource(folder, system)
    found = {one.id: one for one in source.admissions(PATIENT, folder)}
    return source, found


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_visits_with_the_codes_of_the_source(tmp_path, ending):
    source, found = read(write(tmp_path, ending))
    assert list(found) == ["20", "21"]
    first = found["20"]
    assert (first.subject_id, first.text) == ("7", "Some note\n\nIts addition")
    assert first.codes == {
        Code("I10", "diagnosis"),
        Code("E11.9", "diagnosis"),
        Code("0BJ08ZZ", "procedure"),
    }
    assert (found["21"].text, found["21"].codes) == (
        "Other,\nnote",
        {Code("J45.909", "diagnosis")},
    )
    assert source.reading.dropped == {
        "diagnosis rows without a code of icd10": 2,
        "rows of CONDITION_OCCURRENCE without visit_occurrence_id".replace(
            "CONDITION_OCCURRENCE",
            "condition_occurrence" if ending == "parquet" else "CONDITION_OCCURRENCE",
        ): 1,
        "discharge notes without an admission's id": 1,
        "admissions with a note but no codes": 1,
    }
    assert set(source.reading.hashes) == set(source.files())
    assert len(source.reading.rows_read) == 3


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_concepts_count_if_they_are_there(tmp_path, ending):
    _, found = read(write(tmp_path, ending, CONCEPT=CONCEPTS))
    assert {id: {code.code for code in one.codes} for id, one in found.items()} == {
        "20": {"I10", "0BJ08ZZ"},
        "21": {"J45.909"},
    }
    _, found = read(tmp_path, "icd9")
    assert {id: {code.code for code in one.codes} for id, one in found.items()} == {"21": {"428.0"}}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_corpus_of_it(tmp_path, ending):
    folder = tmp_path / "omop"
    folder.mkdir()
    people = range(60)
    notes = [(number, number, 100 + number, f"Note {number}") for number in people]
    conditions = [(number, 100 + number, "I10", 0) for number in people]
    names = ("NOTE", "CONDITION_OCCURRENCE")
    tables = {
        name: pandas.DataFrame(rows, columns=TABLES[name].columns)
        for name, rows in zip(names, (notes, conditions), strict=True)
    }
    write(folder, ending, PROCEDURE_OCCURRENCE=None, **tables)
    assert recognize(folder) == "omop"
    corpus = prepare(DataConfig(data_path=folder)).folder
    documents = pandas.read_parquet(corpus / "documents.parquet")
    assert sorted(documents["text"]) == sorted(f"Note {number}" for number in people)
    assert len(list(folder.glob(".icdcode/omop-patient-*"))) == 1


def test_tables_that_are_missing_or_do_not_fit(tmp_path):
    write(tmp_path, "csv", NOTE=None)
    with pytest.raises(
        DataError, match=r"OMOP's table NOTE is missing\. Put it there as NOTE\.csv"
    ):
        OmopSource(tmp_path).files()
    TABLES["NOTE"].drop(columns="note_text").to_csv(tmp_path / "NOTE.csv", index=False)
    with pytest.raises(DataError, match=r"NOTE\.csv: no column 'note_text'"):
        read(tmp_path)
    (tmp_path / "note.parquet").touch()
    with pytest.raises(DataError, match=r"NOTE\.csv and note\.parquet could both be NOTE"):
        OmopSource(tmp_path).files()
    (tmp_path / "note.parquet").unlink()
    write(tmp_path, "csv")
    local = TABLES["CONDITION_OCCURRENCE"].assign(condition_source_value="LOCAL")
    procedures = TABLES["PROCEDURE_OCCURRENCE"].assign(procedure_source_value="LOCAL")
    write(tmp_path, "csv", CONDITION_OCCURRENCE=local, PROCEDURE_OCCURRENCE=procedures)
    with pytest.raises(DataError, match="no row has a code of icd10"):
        read(tmp_path)


def test_columns_of_parquet_of_any_type(tmp_path):
    table = pandas.DataFrame({"Visit": [1.0, None], "text": pandas.Categorical(["a", None])})
    table.to_parquet(tmp_path / "n.parquet")
    reading = OmopReading()
    assert list(reading.notes(tmp_path / "n.parquet", ("visit", "text"))) == [
        [("1", b"a"), ("", b"")]
    ]
    kept = reading.notes(tmp_path / "n.parquet", ("visit", "text"), {"visit": "1"})
    assert list(kept) == [[("1", b"a")]]


NOTES = TABLES["NOTE"].assign(
    note_date=["2026-05-31", "2026-06-01", "2026-05-30", "2026-06-01", "2026-06-01"],
    note_class_concept_id=[1, 1, 2, 1, 1],
)


def test_the_notes_of_a_visit_are_in_the_order_of_their_times(tmp_path):
    source, found = read(write(tmp_path, "parquet", NOTE=NOTES))
    assert found["20"].text == "Its addition\n\nSome note"
    assert found["20"].notes == (
        NoteBoundary("3", "2", datetime(2026, 5, 30), 0, 12),
        NoteBoundary("1", "1", datetime(2026, 5, 31), 14, 23),
    )
    assert not source.reading.choices


def test_notes_without_a_time_are_counted(tmp_path):
    source, _ = read(write(tmp_path, "csv"))
    assert source.reading.choices == {
        "notes without a time": "5 of 5; they come last in their admission"
    }


def test_only_notes_of_some_classes_are_read(tmp_path):
    folder = write(tmp_path, "csv", NOTE=NOTES)
    prepared = choose_source(DataConfig(data_path=folder, note_types=["2"]), Reading())
    assert prepared.options["note_types"] == ["2"]
    (only,) = prepared.source.admissions(PATIENT, folder)
    assert only.text == "Its addition"
    prepared = choose_source(DataConfig(data_path=folder, note_types=["3"]), Reading())
    with pytest.raises(DataError, match=r"no note has the type '3'.* are: 1 \(4\), 2 \(1\)"):
        list(prepared.source.admissions(PATIENT, folder))


def test_a_visit_of_two_persons_is_refused(tmp_path):
    notes = NOTES.assign(person_id=[7, 8, 9, 9, 9])
    with pytest.raises(DataError, match="admission 20: has notes of two patients, 7 and 9"):
        read(write(tmp_path, "csv", NOTE=notes))
