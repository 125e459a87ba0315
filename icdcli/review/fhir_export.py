"""Export reviewed notes as FHIR R4: the confirmed diagnoses, a draft of a claim, and who decided.

Of each note there are

- a `Condition` for each diagnosis, confirmed, with the places of its evidence in the note;
- a `Claim` in draft with the codes in their order: the principal diagnosis, if the reviewer has set
  an order, and what was present on admission;
- a `Provenance` with the reviewers, the model that suggested and the editions of the codes.

The text of the note isn't in it. What a store doesn't know (provider, coverage, and maybe the
patient) is named as unknown, since a claim must have it.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from icdcli import __version__
from icdcli.icd.editions.records import edition_id
from icdcli.predict.formats.fhir import EXTENSION, coding, condition, reference
from icdcli.review.checking import diagnoses_of, official_title
from icdcli.review.notes import ReviewNote
from icdcli.review.results import SubmittedReading
from icdcli.review.state import CodeState

Resource = dict[str, Any]

_NAMESPACE = UUID("6c0f2f4e-9d0b-5d0e-8a54-1f6f1d6f7a10")
_REFERENCE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}")
_HL7 = "http://terminology.hl7.org/CodeSystem"
_UNKNOWN = "unknown"


def note_resources(
    note: ReviewNote,
    final: SubmittedReading,
    evidence: Iterable[Mapping[str, Any]],
    model_name: str | None,
    link: Callable[[str, str], str],
) -> Iterator[Resource]:
    """Yield the resources of a finished note.

    Args:
        note: The note.
        final: The reading that counts.
        evidence: The words behind its codes, from `reviewed_evidence`.
        model_name: The name of the model that suggested; None: there was none.
        link: Returns the reference to a resource of this export, from its type and id.
    """
    state, submitted = final.state, final.submitted
    diagnoses = diagnoses_of(state.codes, submitted.editions)
    at = submitted.at.isoformat(timespec="seconds")
    key = f"{note.id}\n{final.reading}\n{submitted.number}"
    places: dict[str, list[Mapping[str, Any]]] = {}
    for one in evidence:
        places.setdefault(one["code"], []).append(one)
    concepts = {
        code: _concept(code, "diagnosis" if code in diagnoses else "procedure", final)
        for code in state.codes
    }
    ids = {code: _id(key, code) for code in diagnoses}
    for code in diagnoses:
        found = condition(
            concepts[code],
            id=ids[code],
            patient=note.subject,
            encounter=note.encounter,
            documents=[_document(note) | _listed("extension", _spans(places.get(code, [])))],
            verification="confirmed",
            by_machine=False,
        )
        yield found | {"recordedDate": at}
    claim = _id(key, "claim")
    if state.codes:
        yield {
            "resourceType": "Claim",
            "id": claim,
            "status": "draft",
            "type": _coded("claim-type", "institutional"),
            "use": "claim",
            "patient": reference(note.subject, "Patient"),
            "created": at,
            "provider": {"display": _UNKNOWN},
            "priority": _coded("processpriority", "normal"),
            "insurance": [{"sequence": 1, "focal": True, "coverage": {"display": _UNKNOWN}}],
            **_listed("diagnosis", _diagnoses(diagnoses, final, concepts)),
            **_listed("procedure", _procedures(diagnoses, final, concepts)),
        }
    targets = [link("Condition", id) for id in ids.values()]
    targets += [link("Claim", claim)] if state.codes else []
    yield _provenance(note, final, model_name, _id(key, "provenance"), targets)


def write_bundle(path: Path, resources: Iterable[Resource]) -> None:
    """Write resources as a bundle, one after another."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write('{"resourceType": "Bundle", "type": "collection"')
        begin = ', "entry": [\n'
        for one in resources:
            file.write(begin + json.dumps(_entry(one), ensure_ascii=False))
            begin = ",\n"
        file.write("}\n" if begin.startswith(', "') else "\n]}\n")


def write_ndjson(path: Path, resources: Iterable[Resource]) -> None:
    """Write a resource per line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in resources)


def bundle_link(_type: str, id: str) -> str:
    """Return the reference to a resource in the same bundle."""
    return f"urn:uuid:{id}"


def relative_link(type: str, id: str) -> str:
    """Return the reference to a resource by its type and id."""
    return f"{type}/{id}"


def _entry(resource: Resource) -> Resource:
    return {"fullUrl": bundle_link("", resource["id"]), "resource": resource}


def _id(key: str, name: str) -> str:
    """Return an id that is the same in every export of the same submission."""
    return str(uuid5(_NAMESPACE, f"{key}\n{name}"))


def _document(note: ReviewNote) -> Resource:
    """Return the reference to a note; the name of a file in a folder isn't that of a resource."""
    if _REFERENCE.fullmatch(note.id):
        return {"reference": note.id}
    return {"type": "DocumentReference", "identifier": {"value": note.id}}


def _coded(system: str, code: str) -> Resource:
    return {"coding": [{"system": f"{_HL7}/{system}", "code": code}]}


def _listed(name: str, values: list[Resource]) -> Resource:
    return {name: values} if values else {}  # FHIR has no empty lists


def _concept(code: str, kind: str, final: SubmittedReading) -> Resource:
    editions = final.submitted.editions
    name = editions[kind]["name"] if kind in editions else None
    return coding(code, official_title(code, editions), name)


def _spans(places: Iterable[Mapping[str, Any]]) -> list[Resource]:
    return [
        {
            "url": f"{EXTENSION}span",
            "extension": [{"url": end, "valueInteger": one[end]} for end in ("begin", "end")],
        }
        for one in places
    ]


def _diagnoses(
    codes: Iterable[str], final: SubmittedReading, concepts: Mapping[str, Resource]
) -> list[Resource]:
    found = []
    for sequence, code in enumerate(codes, start=1):
        one: Resource = {"sequence": sequence, "diagnosisCodeableConcept": concepts[code]}
        if sequence == 1 and final.state.order:
            one["type"] = [_coded("ex-diagnosistype", "principal")]
        if flag := _on_admission(final.state.decisions[code]):
            one["onAdmission"] = flag
        found.append(one)
    return found


def _procedures(
    diagnoses: Iterable[str], final: SubmittedReading, concepts: Mapping[str, Resource]
) -> list[Resource]:
    known = set(diagnoses)
    procedures = [code for code in final.state.codes if code not in known]
    return [
        {"sequence": sequence, "procedureCodeableConcept": concepts[code]}
        for sequence, code in enumerate(procedures, start=1)
    ]


def _on_admission(decision: CodeState) -> Resource | None:
    if decision.poa is None:
        return None
    if decision.poa == "exempt":  # FHIR has no code for it
        return {"text": "exempt from reporting"}
    return _coded("ex-diagnosis-on-admission", decision.poa.lower())


def _provenance(
    note: ReviewNote, final: SubmittedReading, model_name: str | None, id: str, targets: list[str]
) -> Resource:
    submitted = final.submitted
    agents: list[Resource] = [
        {"type": _coded("provenance-participant-type", "verifier"), "who": {"display": name}}
        for name in final.reviewers
    ]
    if submitted.model is not None:
        device = {
            "type": "Device",
            "identifier": {"value": submitted.model},
            "display": f"{model_name or 'model'}, icdcode {__version__}",
        }
        agents.append({"type": _coded("provenance-participant-type", "assembler"), "who": device})
    editions = [
        {"role": "source", "what": {"identifier": {"value": name}, "display": f"edition {name}"}}
        for name in dict.fromkeys(edition_id(one) for one in submitted.editions.values())
    ]
    document = _document(note)
    return {
        "resourceType": "Provenance",
        "id": id,
        # A review without codes is about the note alone.
        "target": [{"reference": one} for one in targets] or [document],
        "recorded": submitted.at.isoformat(timespec="seconds"),
        "activity": _coded("v3-DataOperation", "CREATE"),
        "agent": agents,
        "entity": [{"role": "source", "what": document}, *editions],
    }
