"""The codes in FHIR resources: Condition, Procedure, Claim and Encounter, of R4 or R5."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from icdcli.data.formats.fhir import (
    DOCUMENTS,
    Resource,
    WrongShapeError,
    encounter_of,
    is_withdrawn,
    objects_of,
    reference_of,
    string_of,
)
from icdcli.data.formats.resources import FhirEntry
from icdcli.data.sources.admission import Code
from icdcli.data.sources.exchange.named_codes import NamedCodes
from icdcli.errors import DataError

_NOT_SO = {
    "Condition": ("entered-in-error", "refuted"),
    "Procedure": ("entered-in-error", "not-done"),
    "Claim": ("entered-in-error", "cancelled", "draft"),
    "Encounter": ("entered-in-error", "cancelled"),
}
_BY_A_MODEL = "AIAST"
_REFERRED = ("Encounter", "Patient", "Condition")


class FhirCode(NamedTuple):
    """A code, and the references to its encounter and its patient, if it has them."""

    code: Code
    encounter: str | None
    patient: str | None


@dataclass
class FhirCodes:
    """The codes of all files, and what they refer to.

    Attributes:
        codes: Reads the codes.
        documents: The numbers of documents with and without an encounter.
    """

    codes: NamedCodes
    documents: Counter[bool] = field(default_factory=Counter)
    _rows: list[tuple[str, FhirCode]] = field(default_factory=list)
    _encounters: dict[str, str] = field(default_factory=dict)  # of the conditions that they name
    _names: dict[str, str] = field(default_factory=dict)  # full address to TYPE/ID

    def add(self, entry: FhirEntry, where: str) -> None:
        """Read the codes of a resource, or count a document.

        Args:
            entry: The resource.
            where: Its place, for messages.

        Raises:
            DataError: If a value has another type than in FHIR.
        """
        resource, kind = entry.resource, str(entry.resource.get("resourceType"))
        if kind in _REFERRED and entry.address is not None:
            self._names[entry.address] = _own_name(entry)
        try:
            if kind in DOCUMENTS and not is_withdrawn(resource):
                self.documents[encounter_of(resource) is not None] += 1
            elif kind in _NOT_SO:
                self._read(kind, entry)
        except WrongShapeError as error:
            raise DataError(
                f"{where}: {error} has another type than in FHIR. Export it again."
            ) from None

    def _read(self, kind: str, entry: FhirEntry) -> None:
        resource = entry.resource
        if self._is_left_out(kind, resource):
            return
        readers: dict[str, Callable[[Resource], Iterable[tuple[Resource, str]]]] = {
            "Condition": lambda one: ((part, "diagnosis") for part in objects_of(one, "code")),
            "Procedure": lambda one: ((part, "procedure") for part in objects_of(one, "code")),
            "Claim": _claimed,
            "Encounter": lambda one: self._of_encounter(one, _own_name(entry)),
        }
        encounters: list[str | None] = list(_encounters_of(kind, entry)) or [None]
        patient = reference_of(resource, "patient" if kind == "Claim" else "subject")
        for concept, code_kind in readers[kind](resource):
            code = self._code(concept, code_kind)
            if code is not None:
                for encounter in encounters:
                    self._rows.append((_own_name(entry), FhirCode(code, encounter, patient)))

    def _is_left_out(self, kind: str, resource: Resource) -> bool:
        """Count a resource whose codes don't hold, or which a model has suggested."""
        statuses = [string_of(resource, "status")]
        statuses += [
            string_of(coding, "code")
            for concept in objects_of(resource, "verificationStatus")
            for coding in objects_of(concept, "coding")
        ]
        labels = [
            string_of(label, "code")
            for meta in objects_of(resource, "meta")
            for label in objects_of(meta, "security")
        ]
        if set(statuses) & set(_NOT_SO[kind]):
            self.codes.reading.drop(f"{kind} in error, refuted or not done", 1)
        elif _BY_A_MODEL in labels:
            self.codes.reading.drop(f"{kind} that a model has suggested ({_BY_A_MODEL})", 1)
        else:
            return False
        return True

    def _code(self, concept: Resource, kind: str) -> Code | None:
        """Return the first code of the coding system in a concept."""
        for coding in objects_of(concept, "coding"):
            written = string_of(coding, "code")
            if written and (name := string_of(coding, "system")):
                code = self.codes.read(name, written, kind)
                if code is not None:
                    return code
        return None

    def _of_encounter(self, resource: Resource, name: str) -> Iterator[tuple[Resource, str]]:
        """Yield the concepts of an encounter, and note the conditions that it refers to."""
        for diagnosis in objects_of(resource, "diagnosis"):
            for condition in objects_of(diagnosis, "condition"):
                for concept in objects_of(condition, "concept"):  # R5
                    yield concept, "diagnosis"
                for holder in (condition, *_only_dict(condition.get("reference"))):
                    reference = holder.get("reference")
                    if isinstance(reference, str):
                        self._encounters[reference] = name

    def name(self, reference: str | None) -> str | None:
        """Return the resource that a reference means, as ``TYPE/ID`` if it has an id."""
        if reference is None or reference.startswith("#"):
            return None
        if reference in self._names:
            return self._names[reference]
        parts = reference.partition("/_history")[0].rstrip("/").split("/")
        return "/".join(parts[-2:])

    def rows(self) -> list[FhirCode]:
        """Return the codes, once all resources are added, with the names of what they refer to."""
        encounters = {self.name(one): encounter for one, encounter in self._encounters.items()}
        return [
            FhirCode(
                row.code,
                self.name(row.encounter) or encounters.get(source),
                self.name(row.patient),
            )
            for source, row in self._rows
        ]


def _claimed(resource: Resource) -> Iterator[tuple[Resource, str]]:
    for kind in ("diagnosis", "procedure"):
        for item in objects_of(resource, kind):
            for concept in objects_of(item, f"{kind}CodeableConcept"):
                yield concept, kind


def _encounters_of(kind: str, entry: FhirEntry) -> Iterator[str]:
    """Yield the references of a resource to its encounters."""
    if kind == "Encounter":
        yield _own_name(entry)
        return
    items = objects_of(entry.resource, "item") if kind == "Claim" else ()
    found = {
        one["reference"]: None
        for resource in (entry.resource, *items)
        for one in objects_of(resource, "encounter")
        if isinstance(one.get("reference"), str)
    }
    yield from found


def _only_dict(value: object) -> list[Resource]:
    return [value] if isinstance(value, dict) else []


def _own_name(entry: FhirEntry) -> str:
    """Return what references to a resource are resolved to."""
    kind, id = entry.resource.get("resourceType"), entry.resource.get("id")
    if isinstance(id, str) and id:
        return f"{kind}/{id}"
    return entry.address or f"{kind} {entry.number}"
