"""Training from FHIR: resources that fhir.resources has validated."""

import base64
import json

import pytest
from fhir.resources.claim import Claim
from fhir.resources.condition import Condition
from fhir.resources.documentreference import DocumentReference
from fhir.resources.procedure import Procedure

from icdcli.data.benchmarks.protocols import PATIENT
from icdcli.data.corpus.prepare import prepare
from icdcli.data.section import DataConfig
from icdcli.data.sources.admission import Code
from icdcli.data.sources.fhir import FhirSource
from icdcli.data.sources.registry import choose_source, recognize
from icdcli.errors import ConfigError, DataError
from icdcli.io.csv_reader import Reading

CM = "http://hl7.org/fhir/sid/icd-10-cm"
PCS = "http://www.cms.gov/Medicare/Coding/ICD10"
SECRET = "Longfellow"


def concept(code, system=CM):
    return {
        "coding": [
            {"system": "http://snomed.info/sct", "code": "38341003"},
            {"system": system, "code": code},
        ]
    }


def note(id, text, encounter=None, patient="1", date="2026-01-05"):
    """Return a DocumentReference of R5."""
    made = {
        "resourceType": "DocumentReference",
        "id": id,
        "status": "current",
        "date": f"{date}T08:00:00Z",
        "subject": {"reference": f"Patient/{patient}"},
        "content": [
            {
                "attachment": {
                    "contentType": "text/plain",
                    "data": base64.b64encode(text.encode()).decode(),
                }
            }
        ],
    }
    if encounter:
        made["context"] = [{"reference": f"Encounter/{encounter}"}]
    return checked(DocumentReference, made)


def condition(id, code, encounter=None, patient="1", status="confirmed", **more):
    made = {
        "resourceType": "Condition",
        "id": id,
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "verificationStatus": {"coding": [{"code": status}]},
        "code": concept(code),
        "subject": {"reference": f"Patient/{patient}"},
        **more,
    }
    if encounter:
        made["encounter"] = {"reference": encounter}
    return checked(Condition, made)


def checked(model, resource):
    model.model_validate(resource)
    return resource


PROCEDURE = checked(
    Procedure,
    {
        "resourceType": "Procedure",
        "id": "p1",
        "status": "completed",
        "code": concept("0BJ08ZZ", PCS),
        "subject": {"reference": "Patient/1"},
        "encounter": {"reference": "http://server/fhir/Encounter/20/_history/2"},
    },
)
CLAIM = checked(
    Claim,
    {
        "resourceType": "Claim",
        "id": "c1",
        "status": "active",
        "type": {"coding": [{"code": "institutional"}]},
        "use": "claim",
        "patient": {"reference": "Patient/1"},
        "created": "2026-01-09",
        "diagnosis": [{"sequence": 1, "diagnosisCodeableConcept": concept("E11.9")}],
        "item": [
            {
                "sequence": 1,
                "productOrService": {"text": "stay"},
                "encounter": [{"reference": "Encounter/20"}],
            }
        ],
    },
)
ENCOUNTER = {
    "resourceType": "Encounter",
    "id": "21",
    "status": "finished",
    "diagnosis": [
        {"condition": {"reference": "Condition/d9"}},  # R4
        {"condition": [{"concept": concept("N17.9")}]},  # R5
    ],
}
RESOURCES = [
    note("n2", "Second note", "20", date="2026-01-07"),
    note("n1", "First note", "20"),
    note("n3", "Other stay", "21", patient="2"),
    condition("d1", "I10", "Encounter/20"),
    condition("d2", "J45.909", "Encounter/20", status="entered-in-error"),
    condition("d3", "J18.9", "Encounter/20", status="refuted"),
    condition("d4", "K35.80", "Encounter/20", meta={"security": [{"code": "AIAST"}]}),
    condition("d5", "E66.9"),
    condition("d9", "I50.9", patient="2"),
    PROCEDURE,
    CLAIM,
    ENCOUNTER,
]


def write(path, resources):
    path.write_text("".join(json.dumps(one) + "\n" for one in resources))
    return path


def codes_of(admission):
    return {(code.code, code.kind) for code in admission.codes}


def read(path, **options):
    source = FhirSource(path, reading=Reading(), **options)
    work = path.parent / "work"
    work.mkdir(exist_ok=True)
    return list(source.admissions(PATIENT, work)), source.reading


def test_notes_get_the_codes_of_their_encounter_wherever_those_are(tmp_path):
    found, reading = read(write(tmp_path / "export.ndjson", RESOURCES))
    first, second = found
    assert (first.id, first.subject_id) == ("Encounter/20", "Patient/1")
    assert [one.note_id for one in first.notes] == [
        "DocumentReference/n1",
        "DocumentReference/n2",
    ]
    assert [first.text[one.begin : one.end] for one in first.notes] == [
        "First note",
        "Second note",
    ]
    assert codes_of(first) == {
        ("I10", "diagnosis"),
        ("E11.9", "diagnosis"),
        ("0BJ08ZZ", "procedure"),
    }
    assert codes_of(second) == {("I50.9", "diagnosis"), ("N17.9", "diagnosis")}
    assert reading.choices == {
        "notes and codes": "of the same encounter",
        "notes": f"{tmp_path / 'export.ndjson'} is read as FHIR R5: 3 DocumentReference",
    }
    assert reading.dropped["Condition in error, refuted or not done"] == 2
    assert reading.dropped["Condition that a model has suggested (AIAST)"] == 1
    assert reading.dropped["codes without an encounter"] == 1


def test_a_folder_of_a_bulk_export_is_trained_on_like_one_bundle(tmp_path):
    folder = tmp_path / "bulk"
    folder.mkdir()
    resources = list(RESOURCES)
    for number in range(30):
        resources.append(note(f"m{number}", f"Note {number}", f"e{number}", f"p{number}"))
        resources.append(condition(f"x{number}", "I10", f"Encounter/e{number}", f"p{number}"))
    for kind in {one["resourceType"] for one in resources}:
        write(folder / f"{kind}.ndjson", [one for one in resources if one["resourceType"] == kind])
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": f"urn:uuid:{number}", "resource": one}
            for number, one in enumerate(resources)
        ],
    }
    (tmp_path / "bundle.json").write_text(json.dumps(bundle))
    assert recognize(folder) == recognize(tmp_path / "bundle.json") == "fhir"
    one, other = read(folder)[0], read(tmp_path / "bundle.json")[0]
    assert {(a.id, a.text, a.codes) for a in one} == {(a.id, a.text, a.codes) for a in other}
    prepared = prepare(DataConfig(data_path=folder))
    assert prepared.card["dataset"] == "fhir"
    assert sum(split["documents"] for split in prepared.card["splits"].values()) == 32
    assert prepared.card["choices"]["notes"] == "of 1 of 5 files"


def test_an_address_of_a_bundle_is_a_reference_too(tmp_path):
    entries = [
        {"fullUrl": "urn:uuid:e", "resource": {"resourceType": "Encounter", "id": "20"}},
        {"fullUrl": "urn:uuid:c", "resource": condition("d1", "I10", "urn:uuid:e")},
        {"fullUrl": "urn:uuid:n", "resource": note("n1", "A note", "20")},
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    (tmp_path / "bundle.json").write_text(json.dumps(bundle))
    (found,), _ = read(tmp_path / "bundle.json")
    assert found.codes == {Code("I10", "diagnosis")}


def test_without_encounters_notes_and_codes_of_a_patient_are_joined_and_it_is_said(tmp_path):
    resources = [
        note("n1", "A note"),
        condition("d1", "I10"),
        condition("d2", "E11.9", patient="2"),
    ]
    (found,), reading = read(write(tmp_path / "n.ndjson", resources))
    assert (found.id, codes_of(found)) == ("Patient/1", {("I10", "diagnosis")})
    assert reading.choices["notes and codes"] == (
        "of the same patient, since no note names an encounter"
    )


def data_url(id):
    made = note(id, "x", "20")
    made["content"][0]["attachment"] = {"url": "https://server/Binary/9"}
    return made


def not_base64(id):
    made = note(id, "x", "20")
    made["content"][0]["attachment"]["data"] = f"{SECRET}!"
    return made


GOOD = [note("n1", "A note", "20"), condition("d1", "I10", "Encounter/20")]


@pytest.mark.parametrize(
    ("resources", "says"),
    [
        ([note("n1", SECRET, "20")], "has no code of icd10 (code_system). Set code_system"),
        (
            [*GOOD[:1], condition("d", "250.00", "Encounter/20")],
            "Codes that are marked as icd10 but are in no edition: 1. Set code_system",
        ),
        ([data_url("n"), GOOD[1]], "has only an address (url), from which nothing is fetched"),
        ([not_base64("n"), GOOD[1]], "isn't base64"),
        ([*GOOD, GOOD[0]], "is DocumentReference/n1, as resource 1 is"),
        ([*GOOD, {**GOOD[1], "code": SECRET}], "resource 3: code has another type than in FHIR"),
        (
            [*GOOD, {**note("n2", SECRET), "context": {"encounter": {"reference": "Encounter/1"}}}],
            "is of FHIR R4, but others are of R5",
        ),
    ],
)
def test_what_can_t_be_trained_on_is_named_without_text(tmp_path, resources, says):
    path = write(tmp_path / "n.ndjson", resources)
    with pytest.raises(DataError) as caught:
        prepare(DataConfig(data_path=path))
    assert says in str(caught.value) and SECRET not in str(caught.value)
    assert not list(tmp_path.glob(".icdcode/fhir-*"))


def test_a_bundle_that_is_cut_short_leaves_no_corpus(tmp_path):
    bundle = {"resourceType": "Bundle", "entry": [{"resource": one} for one in GOOD]}
    (tmp_path / "b.json").write_text(json.dumps(bundle)[:-20])
    with pytest.raises(DataError, match=r"b\.json: ends too early, after 1 complete resource"):
        prepare(DataConfig(data_path=tmp_path / "b.json"))
    assert not list(tmp_path.glob(".icdcode/fhir-*"))


def test_files_of_two_versions_or_with_one_id_are_refused(tmp_path):
    r4 = {**note("n2", "x"), "context": {"encounter": {"reference": "Encounter/1"}}}
    write(tmp_path / "a.ndjson", GOOD)
    write(tmp_path / "b.ndjson", [r4])
    with pytest.raises(DataError, match=r"b\.ndjson: is of FHIR R4, but .*a\.ndjson is of R5"):
        prepare(DataConfig(data_path=tmp_path))
    write(tmp_path / "b.ndjson", GOOD[:1])
    with pytest.raises(DataError, match=r"b\.ndjson: DocumentReference/n1 is also in .*a\.ndjson"):
        prepare(DataConfig(data_path=tmp_path))


def test_a_system_without_a_name_of_its_own_is_refused(tmp_path):
    config = DataConfig(data_path=write(tmp_path / "n.ndjson", GOOD), code_system="kcd-9")
    with pytest.raises(ConfigError, match="kcd-9 isn't read from dataset: fhir"):
        choose_source(config, Reading())
