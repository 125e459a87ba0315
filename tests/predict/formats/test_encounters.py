"""What is written for encounters: evidence names the note that it is in, and the place in it."""

import csv
import json
from datetime import datetime

import pyarrow.parquet as pq
import pytest
from fhir.resources.R4B.condition import Condition
from fhir.resources.R4B.provenance import Provenance

from icdcli.data.encounters.boundaries import place_in_note
from icdcli.data.encounters.joining import EncounterNote, NoteAbout, join_notes
from icdcli.data.notes.text import Note, Origin
from icdcli.errors import DataError
from icdcli.explain.spans import EvidenceSpan
from icdcli.predict.batches import CodedNote, NoteCode
from icdcli.predict.formats.blocks import ModelName
from icdcli.predict.formats.omop import require_note_id
from icdcli.predict.formats.registry import Shape
from icdcli.predict.resumable_output import OutputParts

TEXTS = {"11": "Fever and gout.", "12": "Admitted with pneumonia.", "13": "Gout again."}
WORDS = {"M10.9": ["gout", "Gout"], "J18.9": ["pneumonia"], "I10": []}


def origin(id):
    return Origin(
        "text/plain", "cd" * 32, f"DocumentReference/{id}", "Patient/1", "Encounter/3", "R4"
    )


def encounter(name=str):
    """Return an encounter of three notes."""
    joined = join_notes([
        EncounterNote(NoteAbout(name(id), "Letter", datetime(2026, 5, int(id))), text)
        for id, text in TEXTS.items()
    ])  # fmt: skip
    whole = Origin("text/plain", "ef" * 32, None, "Patient/1", "Encounter/3", "R4")
    return Note(
        "3", joined.text, None, whole, notes=joined.notes, origins=tuple(map(origin, TEXTS))
    )


def code(notes, reported=lambda done: None):
    reported(len(notes))
    return [CodedNote(note.id, 1, tuple(_codes(note))) for note in notes]


def _codes(note):
    for name, words in WORDS.items():
        begins = [note.text.index(word) for word in words]
        spans = tuple(
            EvidenceSpan(
                begin, begin + len(word), 0.5, "affirmed",
                place_in_note(note.notes, begin, begin + len(word)),
            )
            for begin, word in zip(begins, words, strict=True)
        )  # fmt: skip
        yield NoteCode(name, None, 0.75, 0.5, True, spans, "icd10cm-2026-04@0123456789ab")


@pytest.fixture
def write(tmp_path):
    def written(format, name, note):
        shape = Shape(format, True, encounters=True)
        parts = OutputParts(tmp_path / name, {"notes": "1"}, ModelName("m", "ab" * 32), shape)
        with parts.locked():
            parts.start(1)
            parts.join(parts.write([note], code))
        return tmp_path / name

    return written


EXPECTED = [("11", 10, 14, "gout"), ("13", 0, 4, "Gout")]


def test_a_line_of_jsonl_has_the_notes_and_the_places_in_them(write):
    note = encounter()
    (line,) = write(None, "c.jsonl", note).read_text().splitlines()
    values = json.loads(line)
    assert values["id"] == "3"
    assert [(one["id"], one["time"]) for one in values["notes"]] == [
        (id, f"2026-05-{id}T00:00:00") for id in TEXTS
    ]
    assert values["notes"][1]["origin"]["resource"] == "DocumentReference/12"
    for one in values["notes"]:
        assert note.text[one["begin"] : one["end"]] == TEXTS[one["id"]]
    spans = values["codes"][0]["evidence"]
    assert [note.text[one["begin"] : one["end"]] for one in spans] == ["gout", "Gout"]
    assert [
        (one["note_id"], one["note_begin"], one["note_end"],
         TEXTS[one["note_id"]][one["note_begin"] : one["note_end"]])
        for one in spans
    ] == EXPECTED  # fmt: skip


@pytest.mark.parametrize("name", [str, "Composition {}".format])
def test_tables_have_three_more_lists(write, name):
    note = encounter(name)
    first = pq.read_table(write(None, "c.parquet", note)).to_pylist()[0]
    assert list(zip(first["note_id"], first["note_begin"], first["note_end"], strict=True)) == [
        (name(id), begin, end) for id, begin, end, _ in EXPECTED
    ]
    with write(None, "c.csv", note).open(newline="") as file:
        row, *_, last = csv.DictReader(file)
    cell = row["note_id"]
    assert (json.loads(cell) if cell.startswith("[") else cell.split(" ")) == first["note_id"]
    assert (row["note_begin"], row["note_end"], last["note_id"]) == ("10 0", "14 4", "")


def test_evidence_of_fhir_refers_to_the_documents_that_have_it(write):
    lines = write("fhir", "c.ndjson", encounter("DocumentReference/{}".format)).read_text()
    gout, pneumonia, pressure, provenance = map(json.loads, lines.splitlines())
    for resource, ids in ((gout, ("11", "13")), (pneumonia, ("12",)), (pressure, TEXTS)):
        assert json.loads(Condition(**resource).model_dump_json()) == resource
        assert [one["detail"][0]["reference"] for one in resource["evidence"]] == [
            f"DocumentReference/{id}" for id in ids
        ]
        assert resource["encounter"] == {"reference": "Encounter/3"}
    spans = [
        {part["url"]: part for part in one["extension"]}
        for one in gout["extension"]
        if one["url"].endswith("span")
    ]
    assert [
        (one["document"]["valueReference"]["reference"].partition("/")[2],
         one["begin"]["valueInteger"], one["end"]["valueInteger"])
        for one in spans
    ] == [expected[:3] for expected in EXPECTED]  # fmt: skip
    assert json.loads(Provenance(**provenance).model_dump_json()) == provenance
    sources = [one["what"].get("reference") for one in provenance["entity"]]
    assert sources[:3] == [f"DocumentReference/{id}" for id in TEXTS]


def test_rows_of_omop_are_of_the_note_that_has_the_evidence(write):
    rows = pq.read_table(write("omop", "n.parquet", encounter())).to_pylist()
    assert [(row["note_id"], row["offset"], row["lexical_variant"]) for row in rows] == [
        (11, "10", "gout"), (13, "0", "Gout"), (12, "14", "pneumonia"), (13, None, ""),
    ]  # fmt: skip
    for row in rows[:3]:
        begin = int(row["offset"])
        end = int(dict(one.split("=") for one in row["term_modifiers"].split(";"))["end"])
        assert TEXTS[str(row["note_id"])][begin:end] == row["lexical_variant"]
        assert row["snippet"] == TEXTS[str(row["note_id"])]


def test_the_ids_of_the_notes_of_an_encounter_must_be_numbers():
    require_note_id(encounter())
    with pytest.raises(DataError, match="a note has the id 'n11'"):
        require_note_id(encounter("n{}".format))
