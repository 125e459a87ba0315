"""The note in a FHIR resource: DocumentReference, DiagnosticReport or Composition, of R4 or R5.

A document or report may have several attachments, which are the same content in several formats:
the one that is nearest to plain text counts. Of a composition, the titles and the narratives of its
sections are joined.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from hashlib import sha256
from typing import Any

from icdcli.data.encounters.times import read_time
from icdcli.data.formats.conversion import CDA, HTML, TEXT, Converted, converted, media_type_of
from icdcli.data.formats.html import html_text
from icdcli.data.notes.text import Note, Origin, checked
from icdcli.errors import DataError

DOCUMENTS = ("DocumentReference", "DiagnosticReport", "Composition")
"""The types of resources that have a note."""

FHIR_JSON = "application/fhir+json"
"""The media type of a note whose text is in the resource itself."""

Resource = Mapping[str, Any]
Linked = Callable[[str], Resource | None]
"""Returns the Binary to which an address refers, if it is in the same file."""

_STU3 = frozenset(("indexed", "created"))
_ONLY_R4 = {
    "DocumentReference": frozenset(("authenticator", "masterIdentifier")),
    "Composition": frozenset(("confidentiality",)),
}
_ONLY_R5 = {
    "DocumentReference": frozenset(
        "attester basedOn bodySite event facilityType modality period practiceSetting "
        "version".split()
    ),
    "Composition": frozenset(("name", "note", "url", "useContext", "version")),
    "DiagnosticReport": frozenset(("composition", "note", "supportingInfo")),
}
_WITHDRAWN = ("entered-in-error", "cancelled")
_DAY = len("2026-11-27")
_PREFERENCE = (TEXT, CDA, HTML)


class WrongShapeError(Exception):
    """A value of a resource has another type than FHIR gives it."""


def document_note(resource: Resource, where: str, linked: Linked | None = None) -> Note:
    """Return the note of a resource; its id is ``TYPE/ID``.

    Args:
        resource: The resource, as JSON has it.
        where: Its place, for messages.
        linked: Finds attachments in the same file; None: there are none.

    Raises:
        DataError: If it isn't such a resource, or its text can't be read.
        ConfigError: If an optional package for its format isn't installed.
    """
    kind = resource.get("resourceType")
    if kind not in DOCUMENTS:
        raise DataError(
            f"{where}: is {str(kind)[:40] if kind else 'not a FHIR resource'}. Notes are in "
            f"{', '.join(DOCUMENTS)}."
        )
    id = resource.get("id")
    name = f"{kind}/{id}" if isinstance(id, str) and id else kind
    place = f"{where} ({name})"
    try:
        version = fhir_version(resource)
        if version == "STU3":
            raise DataError(f"{place}: is of FHIR STU3. Export it as R4 or R5.")
        found = _text_of(resource, place, linked)
        origin = Origin(
            found.media_type,
            found.sha256,
            name if name != kind else None,
            reference_of(resource, "subject"),
            encounter_of(resource),
            version,
        )
        text = checked(found.text, place)
        return Note(name, text, _day(resource), origin, _type(resource), _time(resource))
    except WrongShapeError as error:
        raise DataError(
            f"{place}: {error} has another type than in FHIR. Export it again."
        ) from None


def is_withdrawn(resource: Resource) -> bool:
    """Return whether a document was entered in error or cancelled, so that nobody should use it."""
    return any(resource.get(key) in _WITHDRAWN for key in ("status", "docStatus"))


def fhir_version(resource: Resource) -> str | None:
    """Return the version of FHIR that a document shows: ``STU3``, ``R4``, ``R5``; None: several."""
    kind = str(resource.get("resourceType"))
    if kind == "DocumentReference" and _STU3 & resource.keys():
        return "STU3"
    if _ONLY_R5.get(kind, frozenset()) & resource.keys():
        return "R5"
    if _ONLY_R4.get(kind, frozenset()) & resource.keys():
        return "R4"
    if kind == "DocumentReference":
        content = resource.get("content")
        parts = content if isinstance(content, list) else []
        contents = {key for one in parts if isinstance(one, dict) for key in one}
        shape = "R4" if "format" in contents else "R5" if "profile" in contents else None
        return _of_shape(resource.get("context")) or shape
    if kind == "Composition":
        return _of_shape(resource.get("identifier")) or _of_shape(resource.get("subject"))
    return None


def _of_shape(value: Any) -> str | None:
    """Return the version of a value that is one object in R4 and a list in R5."""
    return "R4" if isinstance(value, dict) else "R5" if isinstance(value, list) else None


def attachment_text(attachment: Resource, where: str, linked: Linked | None = None) -> Converted:
    """Return the text of an Attachment; empty, if it has neither data nor an address.

    Args:
        attachment: The attachment, as JSON has it.
        where: Its place, for messages.
        linked: Finds attachments in the same file; None: there are none.

    Raises:
        DataError: If its data isn't base64 or can't be converted, or it has only an address, from
            which nothing is fetched.
        ConfigError: If an optional package for its format isn't installed.
    """
    declared, data, url = (string_of(attachment, key) for key in ("contentType", "data", "url"))
    if data is None and url is not None:
        binary = linked(url) if linked is not None else None
        if binary is None:
            raise DataError(
                f"{where}: its attachment has only an address (url), from which nothing is "
                "fetched. Download it, and put it into the attachment as data, or into the same "
                "Bundle as Binary."
            )
        data, declared = string_of(binary, "data"), declared or string_of(binary, "contentType")
    try:
        content = base64.b64decode("".join((data or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise DataError(
            f"{where}: the data of its attachment isn't base64. Export it again."
        ) from None
    return converted(content, declared, where)


def links_of(resource: Resource) -> list[str]:
    """Return the addresses of a document's attachments if none of them has its content."""
    try:
        ordered = sorted(_attachments(resource), key=_rank)
    except WrongShapeError:
        return []  # reading the document reports the problem
    if not ordered or _rank(ordered[0])[0] != _ADDRESS:
        return []
    return [one["url"] for one in ordered if one.get("url")]


def _attachments(resource: Resource) -> list[Resource]:
    if resource.get("resourceType") == "DiagnosticReport":
        return list(objects_of(resource, "presentedForm"))
    if resource.get("resourceType") != "DocumentReference":
        return []
    return [
        one
        for content in objects_of(resource, "content")
        for one in objects_of(content, "attachment")
    ]


def _text_of(resource: Resource, where: str, linked: Linked | None) -> Converted:
    if resource["resourceType"] == "Composition":
        return _own_text("\n\n".join(_section_texts(resource)), resource)
    is_report = resource["resourceType"] == "DiagnosticReport"
    ordered = sorted(_attachments(resource), key=_rank)
    if ordered and (not is_report or _rank(ordered[0])[0] < _NOTHING):
        chosen = ordered[0]
        if linked is not None and _rank(chosen)[0] == _ADDRESS:
            found = (one for one in ordered if one.get("url") and linked(one["url"]) is not None)
            chosen = next(found, chosen)
        return attachment_text(chosen, where, linked)
    text = "\n\n".join(
        part for part in (_narrative(resource), string_of(resource, "conclusion") or "") if part
    )
    return _own_text(text, resource)


_DATA, _ADDRESS, _NOTHING = range(3)


def _rank(attachment: Resource) -> tuple[int, int]:
    """Return the place of an attachment among those with the same content: with data first."""
    data, url = string_of(attachment, "data"), string_of(attachment, "url")
    has = _DATA if data else _ADDRESS if url else _NOTHING
    media_type = media_type_of(b"", string_of(attachment, "contentType"))
    return has, _PREFERENCE.index(media_type) if media_type in _PREFERENCE else len(_PREFERENCE)


def _section_texts(resource: Resource) -> Iterator[str]:
    """Yield the titles and narratives of sections, each section before those in it."""
    for section in objects_of(resource, "section"):
        title, narrative = (string_of(section, "title") or "").strip(), _narrative(section)
        if title or narrative:
            yield "\n".join(part for part in (title, narrative) if part)
        yield from _section_texts(section)


def _narrative(resource: Resource) -> str:
    parts = [string_of(text, "div") or "" for text in objects_of(resource, "text")]
    return html_text("".join(parts))


def _own_text(text: str, resource: Resource) -> Converted:
    """Return text that is in the resource itself, whose hash is that of the resource."""
    content = json.dumps(resource, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Converted(text, FHIR_JSON, sha256(content.encode(errors="surrogatepass")).hexdigest())


def encounter_of(resource: Resource) -> str | None:
    """Return the reference to the encounter of a document; None: it has none."""
    context = resource.get("context")
    if resource["resourceType"] != "DocumentReference":
        return reference_of(resource, "encounter")
    if isinstance(context, list):  # R5
        return reference_of(resource, "context", "Encounter/")
    return reference_of(context, "encounter") if isinstance(context, dict) else None


def reference_of(resource: Resource, key: str, start: str = "") -> str | None:
    """Return the first reference of a key."""
    references = (string_of(one, "reference") for one in objects_of(resource, key))
    return next((one for one in references if one is not None and start in one), None)


def _day(resource: Resource) -> date | None:
    """Return the day on which what a note describes ended, or else that of the note."""
    context = resource.get("context")
    periods = [
        *(objects_of(context, "period") if isinstance(context, dict) else ()),
        *objects_of(resource, "period"),
        *objects_of(resource, "effectivePeriod"),
        *(one for event in objects_of(resource, "event") for one in objects_of(event, "period")),
    ]
    written = [string_of(period, "end") for period in periods]
    written += [string_of(resource, key) for key in ("effectiveDateTime", "date", "issued")]
    for value in written:
        if value is not None and len(value) >= _DAY:
            try:
                return date.fromisoformat(value[:_DAY])
            except ValueError:
                continue
    return None


def _type(resource: Resource) -> str | None:
    """Return the type of a note in words, or else its code."""
    key = "code" if resource["resourceType"] == "DiagnosticReport" else "type"
    for concept in objects_of(resource, key):
        codings = objects_of(concept, "coding")
        names = [string_of(concept, "text"), *(string_of(one, "display") for one in codings)]
        if found := next(
            filter(None, [*names, *(string_of(one, "code") for one in codings)]), None
        ):
            return found.strip()
    return None


def _time(resource: Resource) -> datetime | None:
    """Return when a note was written."""
    for key in ("date", "effectiveDateTime", "issued"):
        if (written := string_of(resource, key)) is not None:
            try:
                return read_time(written)
            except ValueError:
                continue  # a year, or a month
    return None


def objects_of(resource: Resource, key: str) -> Sequence[Resource]:
    """Return the objects of a key that may have one or several.

    Raises:
        WrongShapeError: If there is anything else.
    """
    value = resource.get(key)
    values = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(one, dict) for one in values):
        raise WrongShapeError(key)
    return values


def string_of(resource: Resource, key: str) -> str | None:
    """Return the text of a key; None if there is none.

    Raises:
        WrongShapeError: If it isn't a text.
    """
    value = resource.get(key)
    if value is not None and not isinstance(value, str):
        raise WrongShapeError(key)
    return value
