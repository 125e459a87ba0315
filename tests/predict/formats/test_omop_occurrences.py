"""What is written for CONDITION_OCCURRENCE and PROCEDURE_OCCURRENCE, as the CDM 5.4 lists them."""

from dataclasses import replace
from datetime import date

import pandas
import pyarrow.parquet as pq
import pytest

from icdcli.data.benchmarks.protocols import PATIENT
from icdcli.data.notes.files import find_notes
from icdcli.data.notes.text import Note, Origin
from icdcli.data.sources.admission import Code
from icdcli.data.sources.omop import OmopReading, OmopSource
from icdcli.errors import ConfigError, DataError
from icdcli.predict.formats.blocks import ModelName
from icdcli.predict.formats.omop_concepts import read_concepts
from icdcli.predict.formats.omop_occurrences import (
    CONDITION_OCCURRENCE,
    PROCEDURE_OCCURRENCE,
    Occurrences,
    require_occurrence,
)
from icdcli.predict.formats.registry import Shape, choose_format
from icdcli.predict.run import predict_to_file

# The order, the types and the required columns of the CDM's own list of fields
# (OMOP_CDMv5.4_Field_Level.csv).
CONDITIONS = """
condition_occurrence_id! person_id! condition_concept_id! condition_start_date!
condition_start_datetime condition_end_date condition_end_datetime condition_type_concept_id!
condition_status_concept_id stop_reason provider_id visit_occurrence_id visit_detail_id
condition_source_value condition_source_concept_id condition_status_source_value
"""
PROCEDURES = """
procedure_occurrence_id! person_id! procedure_concept_id! procedure_date! procedure_datetime
procedure_end_date procedure_end_datetime procedure_type_concept_id! modifier_concept_id quantity
provider_id visit_occurrence_id visit_detail_id procedure_source_value procedure_source_concept_id
modifier_source_value
"""
NOTES = [
    Note("1", "Gout", date(2026, 1, 7), Origin("text/plain", "ab", None, "7", "20")),
    Note("2", "Gout", date(2026, 1, 8), Origin("text/plain", "ab", None, "8.0", None)),
]
CONCEPTS = pandas.DataFrame(
    [
        (11, "M10.9", "ICD10CM", "Condition"),
        (12, "R059", "ICD10CM", "Condition"),
        (13, "0BJ08ZZ", "ICD10PCS", "Procedure"),
        (14, "M10.9", "ICD9CM", "Condition"),
        (90, "90560007", "SNOMED", "Condition"),
        (91, "4099", "SNOMED", "Condition"),
        (92, "77", "SNOMED", "Observation"),
        (93, "88", "SNOMED", "Procedure"),
    ],
    columns=["concept_id", "concept_code", "vocabulary_id", "domain_id"],
)
RELATIONS = pandas.DataFrame(
    [
        (11, 91, "Maps to", None),
        (11, 90, "Maps to", None),
        (11, 92, "Maps to", None),
        (12, 90, "Maps to", "D"),
        (12, 91, "Subsumes", None),
        (13, 93, "Maps to", None),
    ],
    columns=["concept_id_1", "concept_id_2", "relationship_id", "invalid_reason"],
)


@pytest.fixture
def vocabularies(tmp_path):
    folder = tmp_path / "vocabularies"
    folder.mkdir()
    CONCEPTS.to_csv(folder / "CONCEPT.csv", sep="\t", index=False)  # as Athena writes it
    RELATIONS.to_csv(folder / "CONCEPT_RELATIONSHIP.csv", sep="\t", index=False)
    return folder


@pytest.mark.parametrize(
    ("schema", "listed"), [(CONDITION_OCCURRENCE, CONDITIONS), (PROCEDURE_OCCURRENCE, PROCEDURES)]
)
def test_the_columns_are_those_of_the_cdm(schema, listed):
    names = [name.rstrip("!") for name in listed.split()]
    assert schema.names == names
    kinds = {"_id": "int64", "date": "date32[day]", "datetime": "timestamp[ms]"}
    for field in schema:
        ending = next((end for end in ("datetime", "date", "_id") if field.name.endswith(end)), "")
        assert str(field.type) == kinds.get(
            ending, "int64" if field.name == "quantity" else "string"
        )


@pytest.mark.parametrize("kind", ["conditions", "procedures"])
def test_predicted_codes_are_rows_with_all_that_is_required(write, kind):
    path = write(f"omop-{kind}", f"{kind}.parquet", notes=NOTES, stops=False)
    again = pandas.read_csv(write(f"omop-{kind}", f"{kind}.csv", notes=NOTES, stops=False))
    listed = CONDITIONS if kind == "conditions" else PROCEDURES
    table = pq.read_table(path)
    assert table.column_names == again.columns.tolist()
    for name in (one.rstrip("!") for one in listed.split() if one.endswith("!")):
        assert table[name].null_count == 0 and not again[name].isna().any()
    start = "condition" if kind == "conditions" else "procedure"
    rows = table.to_pylist()
    assert [row[f"{start}_occurrence_id"] for row in rows] == list(range(1, len(rows) + 1))
    expected = ["M10.9", "R05.9", "X1"] if kind == "conditions" else ["0BJ08ZZ"]
    found = [
        (row["person_id"], row["visit_occurrence_id"], row[f"{start}_source_value"]) for row in rows
    ]
    assert found == [(7, 20, code) for code in expected] + [(8, None, code) for code in expected]
    assert {row[f"{start}_type_concept_id"] for row in rows} == {32858}
    assert {row[f"{start}_concept_id"] for row in rows} == {0}
    day = "condition_start_date" if kind == "conditions" else "procedure_date"
    assert rows[0][day] == date(2026, 1, 7)


def test_concepts_are_those_that_codes_map_to_in_the_tables_domain(coded_notes, vocabularies):
    _, coded = coded_notes
    place = CONDITION_OCCURRENCE.names.index
    columns = [
        place(f"condition_{name}") for name in ("source_value", "source_concept_id", "concept_id")
    ]
    rows = list(Occurrences("diagnosis", vocabularies).rows(NOTES[0], coded[0]))
    assert [tuple(row[one] for one in columns) for row in rows] == [
        ("M10.9", 11, 90),
        ("M10.9", 11, 91),
        ("R05.9", 12, 0),
        ("X1", 0, 0),
    ]
    (row,) = Occurrences("procedure", vocabularies).rows(NOTES[0], coded[0])
    assert row[PROCEDURE_OCCURRENCE.names.index("procedure_concept_id")] == 93


def test_no_table_of_concepts_is_read_again_for_each_vocabulary(vocabularies, monkeypatch):
    read = []
    arrays = OmopReading.arrays

    def counted(self, path, *arguments):
        read.append(path.stem)
        return arrays(self, path, *arguments)

    monkeypatch.setattr(OmopReading, "arrays", counted)
    concepts = read_concepts(vocabularies)
    assert read == ["CONCEPT", "CONCEPT_RELATIONSHIP", "CONCEPT"]
    assert concepts.sources == {
        ("ICD10CM", "M109"): 11,
        ("ICD10CM", "R059"): 12,
        ("ICD10PCS", "0BJ08ZZ"): 13,
        ("ICD9CM", "M109"): 14,
    }
    assert concepts.standards == {
        ("Condition", 11): [90, 91],
        ("Observation", 11): [92],
        ("Procedure", 13): [93],
    }


def test_a_missing_table_of_concepts_is_found_before_the_model_is_loaded(vocabularies, tmp_path):
    (vocabularies / "CONCEPT.csv").unlink()
    pandas.DataFrame({"text": ["Gout"]}).to_csv(tmp_path / "notes.csv", index=False)
    notes, output = find_notes([str(tmp_path / "notes.csv")]), tmp_path / "codes.csv"
    with pytest.raises(DataError, match="table CONCEPT is missing"):  # there is no model at all
        predict_to_file(tmp_path, notes, output, format="omop-conditions", concepts=vocabularies)


def test_what_is_written_can_be_trained_on_with_the_notes_that_were_read(write, tmp_path):
    folder = tmp_path / "cdm"
    folder.mkdir()
    rows = [(1, 7, 20, "2026-01-07", "Gout, as his father."), (2, 8, 21, "2026-01-08", "Cough.")]
    columns = ["note_id", "person_id", "visit_occurrence_id", "note_date", "note_text"]
    pandas.DataFrame(rows, columns=columns).to_csv(folder / "note.csv", index=False)
    notes = list(find_notes([str(folder / "note.csv")], date_column="note_date"))
    for kind in ("condition", "procedure"):
        written = write(f"omop-{kind}s", f"{kind}.parquet", notes=notes, stops=False)
        written.rename(folder / f"{kind}_occurrence.parquet")
    found = list(OmopSource(folder).admissions(PATIENT, tmp_path))
    assert [(one.id, one.subject_id, one.text) for one in found] == [
        ("20", "7", "Gout, as his father."),
        ("21", "8", "Cough."),
    ]
    written = {Code("M10.9", "diagnosis"), Code("R05.9", "diagnosis")}
    written.add(Code("0BJ08ZZ", "procedure"))
    assert all(one.codes == written for one in found)


def test_notes_without_a_patient_or_a_day_are_refused():
    require = require_occurrence("omop-conditions")
    require(NOTES[0])
    with pytest.raises(DataError, match=r"--format omop-conditions: needs person_id .* note '1'"):
        require(replace(NOTES[0], origin=None))
    with pytest.raises(DataError, match=r"needs the day .* Pass --date-column note_date"):
        require(replace(NOTES[0], day=None))


def test_tables_of_concepts_that_are_missing_or_of_other_vocabularies(vocabularies):
    (vocabularies / "CONCEPT_RELATIONSHIP.csv").rename(vocabularies / "other.csv")
    with pytest.raises(DataError, match="table CONCEPT_RELATIONSHIP is missing"):
        read_concepts(vocabularies)
    (vocabularies / "other.csv").rename(vocabularies / "CONCEPT_RELATIONSHIP.csv")
    snomed = CONCEPTS[CONCEPTS["vocabulary_id"] == "SNOMED"]
    snomed.to_csv(vocabularies / "CONCEPT.csv", sep="\t", index=False)
    with pytest.raises(DataError, match="has no concept of ICD10CM, ICD9CM"):
        read_concepts(vocabularies)


def test_concepts_are_for_these_formats_only(tmp_path):
    for shape in (Shape("omop", concepts="v"), Shape(concepts="v")):
        with pytest.raises(ConfigError, match="--concepts: is for --format omop-conditions"):
            choose_format(tmp_path / "codes.csv", ModelName("m", "0"), shape)
