"""From FHIR to FHIR, and notes that can't be read, on the command line."""

import base64
import json

import pytest
from fhir.resources.R4B.condition import Condition
from fhir.resources.R4B.procedure import Procedure

TEXTS = [
    "Admitted with congestive heart failure and atrial fibrillation.",
    "Type 2 diabetes, hypertension and coronary atherosclerosis.",
]


@pytest.fixture
def bulk(tmp_path):
    """Return a file of documents as a server exports it."""
    path = tmp_path / "notes.ndjson"
    documents = [
        {
            "resourceType": "DocumentReference",
            "id": str(number),
            "status": "current",
            "subject": {"reference": f"Patient/{number}"},
            "content": [
                {
                    "attachment": {
                        "contentType": "text/html",
                        "data": base64.b64encode(f"<p>{text}</p>".encode()).decode(),
                    }
                }
            ],
        }
        for number, text in enumerate(TEXTS)
    ]
    path.write_text("".join(json.dumps(one) + "\n" for one in documents))
    return path


def test_from_fhir_to_fhir(icdcode, trained, bulk, tmp_path):
    output = tmp_path / "codes.ndjson"
    words = ("predict", trained, bulk, "--min-score", 0.1, "--evidence")
    answer = icdcode(*words, "--format", "fhir", "--output", output)
    assert answer.code == 0, answer
    assert "is read as FHIR: 2 DocumentReference" in answer.out
    resources = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    (provenance, *_) = [one for one in resources if one["resourceType"] == "Provenance"]
    assert "model run@" in provenance["agent"][0]["who"]["display"]
    lines = icdcode(*words, "--json").out.splitlines()
    expected = {
        (code["code"], code["score"], f"Patient/{note['id'].rpartition('/')[2]}")
        for note in map(json.loads, lines)
        for code in note["codes"]
    }
    found = set()
    for one in resources:
        if one["resourceType"] != "Provenance":
            model = {"Condition": Condition, "Procedure": Procedure}[one["resourceType"]](**one)
            (score,) = [v.valueDecimal for v in model.extension if v.url.endswith("score")]
            found.add((model.code.coding[0].code, float(score), model.subject.reference))
    assert found == expected and len(found) > 4
    origin = json.loads(lines[0])["origin"]
    assert (origin["media_type"], origin["resource"]) == ("text/html", "DocumentReference/0")


def test_notes_that_cannot_be_read_are_skipped_if_asked_to(icdcode, trained, bulk, tmp_path):
    folder = tmp_path / "archive"
    folder.mkdir()
    bulk.rename(folder / "notes.ndjson")
    (folder / "a.html").write_text(f"<p>{TEXTS[0]}</p>")
    (folder / "scan.pdf").write_bytes(b"%PDF-1.7 damaged")
    refused = icdcode("predict", trained, folder, "--json")
    assert refused.code == 3
    assert "scan.pdf: can't be read as PDF" in refused.err
    assert "--skip-unreadable" in refused.err
    answer = icdcode("predict", trained, folder, "--json", "--skip-unreadable")
    assert answer.code == 0, answer
    notes = [json.loads(line) for line in answer.out.splitlines()]
    assert [(note["id"], note["windows"]) for note in notes] == [
        ("a.html", 1),
        ("scan.pdf", 0),
        ("notes.ndjson:DocumentReference/0", 1),
        ("notes.ndjson:DocumentReference/1", 1),
    ]
    assert "1 note can't be read and gets no codes" in answer.err


def test_formats_need_a_file_with_their_ending_and_ids_that_fit(refused, trained, bulk, tmp_path):
    words = ("predict", trained, bulk, "--format")
    named = (*words[:-1], "--output-format")  # another name of the option
    for both in (words, named):
        refused(2, *both, "fhir", says="--format: is for files. Add --output")
    refused(2, *words[:-1], "--concepts", tmp_path, says="--concepts: is for files. Add --output")
    refused(2, *named, "dg1", "--output", tmp_path / "c.txt", says="the name must end in .hl7")
    output = tmp_path / "note_nlp.csv"
    refused(3, *words, "omop", "--output", output, says="NOTE_NLP names notes by whole numbers")
    assert not output.exists()


def test_the_notes_of_an_encounter_are_coded_together(icdcode, trained, tmp_path):
    notes, output = tmp_path / "notes.csv", tmp_path / "codes.jsonl"
    notes.write_text(
        "visit,id,kind,at,text\n"
        f"v1,b,Discharge,2026-05-31,{TEXTS[1].replace(',', ';')}\n"
        f"v2,c,Letter,2026-05-31,{TEXTS[0]}\n"
        f"v1,a,Radiology,2026-05-30,{TEXTS[0]}\n"
    )
    columns = ("--encounter-column", "visit", "--time-column", "at", "--note-type-column", "kind")
    words = ("predict", trained, notes, *columns, "--top", 3, "--evidence")
    answer = icdcode(*words, "--output", output)
    assert answer.code == 0, answer
    assert "3 notes of 2 encounters, joined in the order of their times" in answer.out
    first, second = map(json.loads, output.read_text().splitlines())
    assert (first["id"], second["id"]) == ("v1", "v2")
    assert [one["id"] for one in first["notes"]] == ["a", "b"]
    texts = {"a": TEXTS[0], "b": TEXTS[1].replace(",", ";")}
    joined = f"{texts['a']}\n\n{texts['b']}"
    spans = [span for code in first["codes"] for span in code["evidence"]]
    assert {span["note_id"] for span in spans} <= {"a", "b"}
    for span in spans:
        own = texts[span["note_id"]][span["note_begin"] : span["note_end"]]
        assert own == joined[span["begin"] : span["end"]]
    shown = icdcode(*words)
    assert "Note v1" in shown.out and ("[a]" in shown.out or "[b]" in shown.out)
    assert icdcode(*words, "--note-types", "Letter", "--json").out.count("\n") == 1
    wrong = icdcode(*words, "--note-types", "Echo")
    assert wrong.code == 3 and "Discharge (1), Letter (1), Radiology (1)" in wrong.err


@pytest.mark.parametrize("option", ["--time-column", "--note-type-column", "--note-types"])
def test_columns_of_encounters_need_encounters(icdcode, trained, bulk, option):
    answer = icdcode("predict", trained, bulk, option, "kind")
    assert answer.code == 2
    assert f"{option}: is for the notes of encounters. Add --by-encounter" in answer.err
