"""The principal diagnosis in each format."""

import csv
import io
import json
from datetime import UTC, datetime

import pyarrow.parquet as pq

from icdcli.data.notes.text import Note
from icdcli.predict.batches import CodedNote, NoteCode
from icdcli.predict.formats.blocks import CodedBlock, ModelName
from icdcli.predict.formats.fhir import suggestion_resources
from icdcli.predict.formats.hl7 import suggestion_message
from icdcli.predict.formats.omop import note_nlp_rows
from icdcli.predict.writers import note_dict, table_format

MODEL = ModelName("run", "ab" * 32)
NOTE = Note("7", "Fever and gout.")
CODED = CodedNote(
    "7",
    1,
    (
        NoteCode("M10.9", "Gout", 0.75, 0.5, True, principal=False),
        NoteCode("R05.9", None, 0.6, 0.5, True, principal=False),
        NoteCode("A41.9", "Sepsis", 0.25, 0.5, False, principal=True),
    ),
)
BLOCK = CodedBlock([NOTE], [CODED], datetime(2026, 11, 27, tzinfo=UTC))


def without():
    codes = tuple(code._replace(principal=None) for code in CODED.codes)
    return CODED._replace(codes=codes)


def test_jsonl_has_a_field_only_if_the_model_chooses_one():
    codes = note_dict(CODED)["codes"]
    assert [code["principal"] for code in codes] == [False, False, True]
    assert all("principal" not in code for code in note_dict(without())["codes"])


def test_tables_have_a_column(tmp_path):
    made = table_format(".csv", False, False, False, principal=True)
    made.write(tmp_path / "part", BLOCK)
    made.join(tmp_path / "all.csv", [tmp_path / "part"])
    rows = [*csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text()))]
    assert [row["principal"] for row in rows] == ["False", "False", "True"]
    table_format(".parquet", False, False, False, principal=True).write(tmp_path / "p", BLOCK)
    assert pq.read_table(tmp_path / "p")["principal"].to_pylist() == [False, False, True]
    table_format(".parquet", False, False, False).write(tmp_path / "q", BLOCK)
    assert "principal" not in pq.read_schema(tmp_path / "q").names


def test_dg1_has_it_first_with_the_priority_1():
    segments = [
        segment.split("|")
        for segment in suggestion_message(NOTE, CODED, MODEL, "20261127")
        if segment.startswith("DG1")
    ]
    assert [(one[1], one[3].partition("^")[0], one[15]) for one in segments] == [
        ("1", "A41.9", "1"),
        ("2", "M10.9", ""),
        ("3", "R05.9", ""),
    ]
    assert {len(one) for one in segments} == {22}
    dropped = CODED.codes[-1]._replace(dropped="manifestation: without its cause")
    removed = CODED._replace(codes=(*CODED.codes[:-1], dropped))
    assert not [one for one in suggestion_message(NOTE, removed, MODEL, "x") if "A41.9" in one]
    plain = suggestion_message(NOTE, without(), MODEL, "20261127")
    assert [one.split("|")[15] for one in plain if one.startswith("DG1")] == ["", ""]


def test_fhir_and_omop_mark_it():
    resources = [*suggestion_resources(NOTE, CODED, MODEL, "2026-11-27T00:00:00Z")]
    marked = [
        one["code"]["coding"][0]["code"]
        for one in resources
        for extension in one.get("extension", ())
        if extension == {"url": "urn:icdcode:principal", "valueBoolean": True}
    ]
    assert marked == ["A41.9"]
    assert "principal" not in json.dumps([*suggestion_resources(NOTE, without(), MODEL, "x")])
    modifiers = [row[-1] for row in note_nlp_rows(NOTE, CODED, MODEL, BLOCK.started)]
    assert [("principal=true" in one.split(";")) for one in modifiers] == [False, False, True]
