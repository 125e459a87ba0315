import json
from pathlib import Path

import pytest

from icdcli.errors import ConfigError
from icdcli.predict.formats.blocks import ModelName
from icdcli.predict.formats.registry import Shape, choose_format, needs_evidence

MODEL = ModelName("m", "0")


@pytest.mark.parametrize(
    ("format", "name", "says"),
    [
        ("fhir", "a.json", "with --format fhir, the name must end in .ndjson or .jsonl"),
        ("omop", "a.jsonl", "must end in .csv or .parquet"),
        ("dg1", "a.txt", "must end in .hl7"),
        ("csv", "a.parquet", "must end in .csv"),
        ("codiesp", "a.csv", "must end in .tsv"),
        (None, "a.hl7", "pass --format (fhir, omop, omop-conditions, omop-procedures, dg1"),
    ],
)
def test_endings_that_do_not_fit(format, name, says):
    with pytest.raises(ConfigError) as caught:
        choose_format(Path(name), MODEL, Shape(format))
    assert says in str(caught.value)


@pytest.mark.parametrize("format", ["jsonl", "csv", "parquet"])
def test_tables_are_those_of_their_endings(format, write):
    by_name = write(None, f"a.{format}").read_bytes()
    assert write(format, f"b.{format}").read_bytes() == by_name


def test_a_line_says_what_the_note_was_converted_from(write):
    lines = [
        json.loads(line) for line in write(None, "a.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert lines[0]["origin"] == {
        "media_type": "text/html",
        "sha256": "cd" * 32,
        "resource": "DocumentReference/7",
        "patient": "Patient/1",
        "encounter": "Encounter/3",
        "version": "R4",
    }
    assert "origin" not in lines[2]
    assert "kind" not in lines[0]["codes"][0]


def test_formats_that_are_made_of_evidence():
    assert needs_evidence("omop") and not needs_evidence("fhir") and not needs_evidence(None)
