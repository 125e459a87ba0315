"""What is written as FHIR, after fhir.resources has checked it."""

import base64
import json

import pytest
from fhir.resources.condition import Condition
from fhir.resources.documentreference import DocumentReference
from fhir.resources.procedure import Procedure
from fhir.resources.provenance import Provenance
from fhir.resources.R4B.condition import Condition as ConditionR4
from fhir.resources.R4B.procedure import Procedure as ProcedureR4
from fhir.resources.R4B.provenance import Provenance as ProvenanceR4

from icdcli.data.notes.files import find_notes
from icdcli.explain.spans import EvidenceSpan
from icdcli.predict.formats.fhir import coding, condition, reference

R4 = {"Condition": ConditionR4, "Procedure": ProcedureR4, "Provenance": ProvenanceR4}
R5 = {"Condition": Condition, "Procedure": Procedure, "Provenance": Provenance}
CM, PCS = "icd10cm-2026-04@0123456789ab", "icd10pcs-2024@ba9876543210"


def extensions(resource):
    values = {}
    for one in resource.get("extension", ()):
        name = one["url"].removeprefix("urn:icdcode:")
        value = next(value for key, value in one.items() if key.startswith("value")) if (
            "extension" not in one
        ) else extensions(one)  # fmt: skip
        values.setdefault(name, []).append(value)
    return values


def read_back(resources):
    """Return note id to codes, with all that the resources say of them."""
    by_id = {f"{one['resourceType']}/{one['id']}": one for one in resources}
    found = {}
    for provenance in resources:
        if provenance["resourceType"] != "Provenance":
            continue
        source = provenance["entity"][0]["what"]
        note = source.get("reference") or source["identifier"]["value"]
        for target in provenance["target"]:
            resource = by_id[target["reference"]]
            (code,) = resource["code"]["coding"]
            said = extensions(resource)
            spans = [
                EvidenceSpan(*(span[name][0] for name in EvidenceSpan._fields[:4]))
                for span in said.pop("span", ())
            ]
            said = {name: value for name, (value,) in said.items()}
            found.setdefault(note, []).append((code, said, spans))
    return found


def test_every_resource_is_valid_in_its_version(write):
    lines = write("fhir", "codes.ndjson").read_text(encoding="utf-8").splitlines()
    resources = [json.loads(line) for line in lines]
    assert len(resources) == 3 * 6  # four notes, of which one has no codes
    for place, resource in enumerate(resources):
        models = R5 if 6 <= place < 12 else R4  # the second note is of R5
        model = models[resource["resourceType"]](**resource)
        assert json.loads(model.model_dump_json()) == resource


def test_suggestions_are_unconfirmed_and_of_a_machine(write):
    resources = [
        json.loads(line)
        for line in write("fhir", "c.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    first = resources[0]
    assert first["verificationStatus"]["coding"][0]["code"] == "unconfirmed"
    assert first["meta"]["security"][0]["code"] == "AIAST"
    assert first["subject"] == {"reference": "Patient/1"}
    assert first["encounter"] == {"reference": "Encounter/3"}
    assert first["evidence"] == [{"detail": [{"reference": "DocumentReference/7"}]}]
    assert first["code"]["coding"] == [
        {
            "system": "http://hl7.org/fhir/sid/icd-10-cm",
            "version": "2026-04",
            "code": "M10.9",
            "display": "Gout & others, “unspecified”",
        }
    ]
    kinds = [one["resourceType"] for one in resources[:6]]
    assert kinds == ["Condition", "Condition", "Procedure", *["Condition"] * 2, "Provenance"]
    assert resources[2]["status"] == "unknown"
    assert resources[2]["report"] == [{"reference": "DocumentReference/7"}]
    assert "system" not in resources[4]["code"]["coding"][0]  # of a list of one's own
    provenance = resources[5]
    assert provenance["agent"][0]["who"]["identifier"]["value"] == "ab" * 32
    assert "model notes@abababababab" in provenance["agent"][0]["who"]["display"]
    assert [one["what"]["identifier"]["value"] for one in provenance["entity"][1:]] == [CM, PCS]
    said = extensions(provenance["entity"][0])
    assert said == {"windows": [2], "read": [0.5], "sha256": ["cd" * 32]}
    second = resources[6]
    assert second["subject"] == {"type": "Patient", "identifier": {"value": "12"}}
    assert second["evidence"][0] == {
        "reference": {"type": "DocumentReference", "identifier": {"value": "8"}}
    }
    assert resources[12]["subject"] == {"type": "Patient", "display": "unknown"}


def test_nothing_is_lost_but_notes_without_codes_and_removed_codes(write, coded_notes):
    notes, coded = coded_notes
    output = write("fhir", "codes.ndjson")
    found = read_back(
        [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    )
    expected = {
        note.id: [
            (
                one.code,
                {"score": one.score, "threshold": one.threshold, "predicted": one.predicted},
                list(one.evidence or ()),
            )
            for one in codes.codes
            if one.dropped is None
        ]
        for note, codes in zip(notes, coded, strict=True)
        if codes.codes
    }
    assert {
        note: [(code["code"], said, spans) for code, said, spans in codes]
        for note, codes in found.items()
    } == expected


def test_the_same_suggestion_has_the_same_id(write):
    first = write("fhir", "a.ndjson").read_text(encoding="utf-8")
    second = write("fhir", "b.ndjson", stops=False).read_text(encoding="utf-8")
    ids = [[json.loads(line)["id"] for line in text.splitlines()] for text in (first, second)]
    assert ids[0] == ids[1] and len(set(ids[0])) == len(ids[0])


def test_from_fhir_to_fhir(tmp_path, write):
    attachment = {"contentType": "text/plain", "data": base64.b64encode(b"Gout").decode()}
    document = DocumentReference(
        id="a",
        status="current",
        subject={"reference": "Patient/5"},
        content=[{"attachment": attachment}],
        modality=[{"text": "note"}],
    )
    (tmp_path / "n.ndjson").write_text(document.model_dump_json() + "\n")
    notes = list(find_notes([str(tmp_path / "n.ndjson")]))
    output = write("fhir", "codes.ndjson", notes=notes, stops=False)
    resource = json.loads(output.read_text(encoding="utf-8").splitlines()[0])
    assert Condition(**resource).evidence[0].reference.reference == "DocumentReference/a"
    assert resource["subject"] == {"reference": "Patient/5"}
    # The file is FHIR, without a note in it.
    assert [note.id for note in find_notes([str(output)])] == []


@pytest.mark.parametrize("version", ["R4", "R5"])
def test_a_confirmed_condition_of_a_person(version):
    made = condition(
        coding("I10", None, None),
        id="1",
        patient="Patient/1",
        verification="confirmed",
        by_machine=False,
        version=version,
    )
    models = R5 if version == "R5" else R4
    assert models["Condition"](**made) and "meta" not in made and "evidence" not in made
    assert made["code"] == {"coding": [{"code": "I10"}]}


def test_references():
    for own in ("urn:uuid:1", "Patient/1", "https://h.example/fhir/Patient/1/_history/2"):
        assert reference(own, "Patient") == {"reference": own}
    for other in ("12/345", "12", "Ward 3/7"):
        assert reference(other, "Patient") == {"type": "Patient", "identifier": {"value": other}}
    assert reference(None, "Patient") == {"type": "Patient", "display": "unknown"}
