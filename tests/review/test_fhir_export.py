"""Reviewed notes as FHIR R4, validated by the package fhir.resources."""

import json
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.R4B.bundle import Bundle
from reviewing import TEXT, model

from icdcli.explain.spans import EvidenceSpan
from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.records import edition_id, edition_record
from icdcli.review.decisions import DecisionDraft
from icdcli.review.export import export_reviews
from icdcli.review.notes import ReviewNote, import_notes
from icdcli.review.purging import purge_texts
from icdcli.review.readings import append_decisions
from icdcli.review.store import Store, open_store
from icdcli.review.suggestions import Suggestion, add_model, add_suggestions

EDITIONS = {
    "diagnosis": edition_record(find_edition("icd10cm")),
    "procedure": edition_record(find_edition("icd10pcs")),
}
MODEL = model(editions=EDITIONS)
SPANS = (EvidenceSpan(14, 23, 0.5, "affirmed"),)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with open_store(tmp_path / "review.db") as store:
        yield store


def reviewed(store: Store, note: ReviewNote, *drafts: tuple[str, dict]) -> None:
    import_notes(store, [note])
    add_model(store, MODEL)
    suggested = [Suggestion("J18.9", None, 0.9, 0.9, 0.5, None, SPANS)]
    add_suggestions(store, MODEL.sha256, [(note.id, suggested)])
    made = [DecisionDraft(kind, details) for kind, details in (*drafts, ("submit", {}))]
    append_decisions(store, note.id, made, author="ana", seen=0)


def whole_review(store: Store) -> None:
    reviewed(
        store,
        ReviewNote("DocumentReference/7", TEXT, "stay 7", "Patient/1"),
        ("accept", {"code": "J18.9"}),
        ("add", {"code": "I10", "evidence": [[50, 62]]}),
        ("add", {"code": "E11.9"}),
        ("add", {"code": "0DTJ4ZZ"}),
        ("order", {"codes": ["I10", "J18.9", "0DTJ4ZZ", "E11.9"]}),
        ("poa", {"code": "J18.9", "value": "N"}),
        ("poa", {"code": "E11.9", "value": "exempt"}),
    )


def resources_of(path: Path) -> list[dict[str, Any]]:
    content = path.read_text(encoding="utf-8")
    if path.suffix == ".ndjson":
        found = [json.loads(line) for line in content.splitlines()]
    else:
        bundle = json.loads(content)
        Bundle.model_validate(bundle)
        found = [one["resource"] for one in bundle.get("entry", [])]
    for one in found:
        get_fhir_model_class(one["resourceType"]).model_validate(one)
    return found


@pytest.mark.parametrize("ending", [".json", ".ndjson"])
def test_codes_order_and_flags_are_in_conditions_and_a_claim(
    store: Store, tmp_path: Path, ending: str
) -> None:
    whole_review(store)
    done = export_reviews(store, tmp_path / f"reviewed{ending}")
    assert done.notes == 1
    content = done.output.read_text(encoding="utf-8")
    assert "pneumonia. Denies" not in content
    assert "Known hypertension" not in content
    *conditions, claim, provenance = resources_of(done.output)
    first = conditions[0]
    assert first["code"]["coding"] == [
        {
            "system": "http://hl7.org/fhir/sid/icd-10-cm",
            "version": "2026-04",
            "code": "I10",
            "display": "Essential (primary) hypertension",
        }
    ]
    assert first["verificationStatus"]["coding"][0]["code"] == "confirmed"
    assert first["subject"] == {"reference": "Patient/1"}
    assert first["encounter"] == {"type": "Encounter", "identifier": {"value": "stay 7"}}
    (detail,) = first["evidence"][0]["detail"]
    assert detail["reference"] == "DocumentReference/7"
    assert [one["valueInteger"] for one in detail["extension"][0]["extension"]] == [50, 62]
    assert [one["code"]["coding"][0]["code"] for one in conditions] == ["I10", "J18.9", "E11.9"]
    # Words that were suggested for an accepted code count, too.
    spans = conditions[1]["evidence"][0]["detail"][0]["extension"][0]["extension"]
    assert [one["valueInteger"] for one in spans] == [14, 23]

    diagnoses = claim["diagnosis"]
    codes = [one["diagnosisCodeableConcept"]["coding"][0]["code"] for one in diagnoses]
    assert [one["sequence"] for one in diagnoses] == [1, 2, 3]
    assert codes == ["I10", "J18.9", "E11.9"]
    assert diagnoses[0]["type"][0]["coding"][0]["code"] == "principal"
    assert "type" not in diagnoses[1]
    assert "onAdmission" not in diagnoses[0]
    assert diagnoses[1]["onAdmission"]["coding"][0]["code"] == "n"
    assert diagnoses[2]["onAdmission"] == {"text": "exempt from reporting"}
    (procedure,) = claim["procedure"]
    assert procedure["procedureCodeableConcept"]["coding"][0]["code"] == "0DTJ4ZZ"

    reviewer, machine = provenance["agent"]
    assert reviewer["who"]["display"] == "ana"
    assert machine["who"]["identifier"]["value"] == MODEL.sha256
    named = [one["what"].get("identifier", {}).get("value") for one in provenance["entity"]]
    assert named == [None, *(edition_id(one) for one in EDITIONS.values())]
    ids = [one["id"] for one in (*conditions, claim)]
    targets = [one["reference"] for one in provenance["target"]]
    linked = "urn:uuid:{}" if ending == ".json" else "{}"
    assert [one.rpartition("/")[2] for one in targets] == [linked.format(id) for id in ids]


def test_the_same_review_has_the_same_ids(store: Store, tmp_path: Path) -> None:
    whole_review(store)
    files = [export_reviews(store, tmp_path / f"{n}.json").output for n in range(2)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_without_an_order_no_diagnosis_is_principal(store: Store, tmp_path: Path) -> None:
    reviewed(store, ReviewNote("n 1", TEXT), ("accept", {"code": "J18.9"}))
    condition, claim, _ = resources_of(export_reviews(store, tmp_path / "o.json").output)
    assert "type" not in claim["diagnosis"][0]
    assert condition["subject"] == {"type": "Patient", "display": "unknown"}
    assert condition["evidence"][0]["detail"][0]["identifier"] == {"value": "n 1"}


def test_reviews_without_codes_or_texts_are_exported(store: Store, tmp_path: Path) -> None:
    empty = export_reviews(store, tmp_path / "empty.json")
    assert resources_of(empty.output) == []
    reviewed(store, ReviewNote("n1", TEXT), ("reject", {"code": "J18.9", "reason": "denied"}))
    purge_texts(store, ["n1"])
    done = export_reviews(store, tmp_path / "o.ndjson")
    assert (done.notes, done.purged) == (1, 0)
    (provenance,) = resources_of(done.output)
    assert provenance["target"] == [{"type": "DocumentReference", "identifier": {"value": "n1"}}]
