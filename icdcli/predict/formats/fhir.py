"""Codes as FHIR resources: suggestions as unconfirmed Conditions and Procedures, with Provenance.

Nothing says that a person has seen a suggestion: its status is unconfirmed (of a Procedure,
unknown), and it has the security label AIAST, "asserted by artificial intelligence". What FHIR has
no element for, such as scores and the positions of evidence, is in extensions.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from icdcli.data.notes.text import Note
from icdcli.explain.spans import EvidenceSpan
from icdcli.icd.editions.standard_names import edition_version, standard_names
from icdcli.predict.batches import CodedNote, NoteCode
from icdcli.predict.formats.blocks import CodedBlock, ModelName, write_lines

EXTENSION = "urn:icdcode:"
"""The beginning of the addresses of our extensions."""

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
_BY_MACHINE = {
    "system": f"{_TERMINOLOGY}v3-ObservationValue",
    "code": "AIAST",
    "display": "Artificial Intelligence asserted",
}
_CATEGORY = {
    "coding": [{"system": f"{_TERMINOLOGY}condition-category", "code": "encounter-diagnosis"}]
}
_AUTHOR = {"coding": [{"system": f"{_TERMINOLOGY}provenance-participant-type", "code": "author"}]}

_REFERENCE = re.compile(
    r"(?:urn:|https?://|#)\S+|[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}(?:/_history/[A-Za-z0-9.-]{1,64})?"
)

Json = dict[str, Any]


def is_fhir_reference(value: str) -> bool:
    """Return whether an id is that of a FHIR resource, rather than one of another system."""
    return _REFERENCE.fullmatch(value) is not None


def reference(value: str | None, kind: str) -> Json:
    """Return a reference to a resource.

    Args:
        value: ``Patient/1``, an address, or an id in another system, which becomes a logical
            reference; None: unknown.
        kind: The type of the resource.
    """
    if value is None:
        return {"type": kind, "display": "unknown"}
    if is_fhir_reference(value):
        return {"reference": value}
    return {"type": kind, "identifier": {"value": value.partition("^")[0]}}


def coding(code: str, title: str | None, edition: str | None) -> Json:
    """Return a code with its system and version as a CodeableConcept.

    Args:
        code: The dotted code.
        title: Its title.
        edition: The edition, with or without its hash; None: unknown.
    """
    values = {
        "system": standard_names(edition).uri,
        "version": edition_version(edition),
        "code": code,
        "display": title,
    }
    concept: Json = {"coding": [{key: value for key, value in values.items() if value}]}
    return concept | ({"text": title} if title else {})


def condition(
    concept: Json,
    *,
    id: str,
    patient: str | None,
    encounter: str | None = None,
    documents: Sequence[Json] = (),
    verification: str = "unconfirmed",
    by_machine: bool = True,
    version: str = "R4",
) -> Json:
    """Return a Condition.

    Args:
        concept: The code, of `coding`.
        id: The id of the resource.
        patient: The patient, as `reference` takes it.
        encounter: The encounter, as `reference` takes it; None: unknown.
        documents: References to the documents that are its evidence.
        verification: ``unconfirmed``, ``confirmed`` …
        by_machine: Whether no person has asserted it.
        version: The version of FHIR, ``R4`` or ``R5``.
    """
    status = {"system": f"{_TERMINOLOGY}condition-ver-status", "code": verification}
    clinical = {"system": f"{_TERMINOLOGY}condition-clinical", "code": "unknown"}
    key = "reference" if version == "R5" else "detail"
    return {
        "resourceType": "Condition",
        "id": id,
        **({"meta": {"security": [_BY_MACHINE]}} if by_machine else {}),
        # R5 requires it; R4 has no value for what isn't known.
        **({"clinicalStatus": {"coding": [clinical]}} if version == "R5" else {}),
        "verificationStatus": {"coding": [status]},
        "category": [_CATEGORY],
        "code": concept,
        "subject": reference(patient, "Patient"),
        **({} if encounter is None else {"encounter": reference(encounter, "Encounter")}),
        **(
            {"evidence": [{key: one if key == "reference" else [one]} for one in documents]}
            if documents
            else {}
        ),
    }


def procedure(
    concept: Json,
    *,
    id: str,
    patient: str | None,
    encounter: str | None = None,
    documents: Sequence[Json] = (),
    status: str = "unknown",
    by_machine: bool = True,
) -> Json:
    """Return a Procedure, of R4 or R5; see `condition`."""
    return {
        "resourceType": "Procedure",
        "id": id,
        **({"meta": {"security": [_BY_MACHINE]}} if by_machine else {}),
        "status": status,
        "code": concept,
        "subject": reference(patient, "Patient"),
        **({} if encounter is None else {"encounter": reference(encounter, "Encounter")}),
        **({"report": list(documents)} if documents else {}),
    }


def document_of(note: Note) -> Json:
    """Return the reference to the document of a note: its resource, or else its id."""
    resource = note.origin.resource if note.origin is not None else None
    if resource is not None:
        return reference(resource, "DocumentReference")
    return {"type": "DocumentReference", "identifier": {"value": note.id}}


def evidence_documents(note: Note, code: NoteCode) -> list[Json]:
    """Return the references to the documents of an encounter that have evidence of a code.

    Without any evidence, they are all documents; of a single note, it is its own.
    """
    found = {span.place.note_id for span in code.evidence or () if span.place is not None}
    if not found:
        return _documents(note)
    return [
        document
        for one, document in zip(note.notes, _documents(note), strict=True)
        if one.note_id in found
    ]


def _documents(note: Note) -> list[Json]:
    """Return the references to the notes of an encounter, or to a single note."""
    if not note.notes:
        return [document_of(note)]
    return [
        document_of(Note(one.note_id, "", origin=origin))
        for one, origin in zip(note.notes, note.origins, strict=True)
    ]


def suggestion_resources(
    note: Note, coded: CodedNote, model: ModelName, recorded: str
) -> Iterator[Json]:
    """Yield the resources of a note's codes, then the Provenance of all of them.

    The ids follow from the note, the code and the model: the same suggestion always has the same.
    A note without codes has no resources. Codes that a hard rule has removed are left out.

    Args:
        note: The note.
        coded: Its codes.
        model: The model.
        recorded: The time, as FHIR writes it.
    """
    origin = note.origin
    version = (origin.version if origin is not None else None) or "R4"
    common: Json = {
        "patient": origin.patient if origin is not None else None,
        "encounter": origin.encounter if origin is not None else None,
    }
    places = dict(zip((one.note_id for one in note.notes), _documents(note), strict=False))
    made: list[Json] = []
    for code in coded.codes:
        if code.dropped is not None:
            continue
        concept = coding(code.code, code.title, code.edition)
        id, documents = _id(note, model, code.code), evidence_documents(note, code)
        if code.kind == "procedure":
            resource = procedure(concept, id=id, documents=documents, **common)
        else:
            resource = condition(concept, id=id, version=version, documents=documents, **common)
        made.append(resource | {"extension": list(_extensions(code, places))})
    yield from made
    if made:
        targets = [{"reference": f"{one['resourceType']}/{one['id']}"} for one in made]
        yield _provenance(note, coded, model, recorded, targets)


def _id(note: Note, model: ModelName, what: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"{EXTENSION}{model.sha256}|{note.id}|{what}"))


def _provenance(
    note: Note, coded: CodedNote, model: ModelName, recorded: str, targets: list[Json]
) -> Json:
    documents: list[Json] = []
    for what, origin in zip(_documents(note), note.origins or [note.origin], strict=True):
        values: Json = {"windows": coded.windows, "read": coded.read}
        if origin is not None:
            values |= {"sha256": origin.sha256}
        extension = [_value(name, value) for name, value in values.items()]
        documents.append({"role": "source", "what": what, "extension": extension})
    editions = [
        {"role": "source", "what": {"type": "CodeSystem", "identifier": {"value": edition}}}
        for edition in coded.editions
    ]
    who = {"type": "Device", "identifier": {"value": model.sha256}, "display": str(model)}
    return {
        "resourceType": "Provenance",
        "id": _id(note, model, "Provenance"),
        "target": targets,
        "recorded": recorded,
        "agent": [{"type": _AUTHOR, "who": who}],
        "entity": [*documents, *editions],
    }


def _extensions(code: NoteCode, places: Mapping[str, Json]) -> Iterator[Json]:
    yield _value("score", code.score)
    yield _value("threshold", code.threshold)
    yield _value("predicted", code.predicted)
    if code.action is not None:
        yield _value("action", code.action)
    if code.principal:
        yield _value("principal", code.principal)
    for span in code.evidence or ():
        yield _span(span, places)


def _span(span: EvidenceSpan, places: Mapping[str, Json]) -> Json:
    values = span._replace(place=None).to_json()
    if span.place is not None:  # the positions are those in the document that is named
        values |= {"begin": span.place.begin, "end": span.place.end}
    parts = [_value(name, value, "") for name, value in values.items() if value is not None]
    if span.place is not None:
        parts.append({"url": "document", "valueReference": places[span.place.note_id]})
    return {"url": f"{EXTENSION}span", "extension": parts}


def _value(name: str, value: Any, start: str = EXTENSION) -> Json:
    kinds = {bool: "valueBoolean", int: "valueInteger", float: "valueDecimal"}
    return {"url": f"{start}{name}", kinds.get(type(value), "valueString"): value}


def write_fhir(model: ModelName, path: Path, block: CodedBlock) -> None:
    """Write a part of an NDJSON file."""
    recorded = block.started.isoformat(timespec="seconds").replace("+00:00", "Z")
    write_lines(
        path,
        (
            json.dumps(resource, ensure_ascii=False, allow_nan=False) + "\n"
            for note, coded in zip(block.notes, block.coded, strict=True)
            for resource in suggestion_resources(note, coded, model, recorded)
        ),
    )
