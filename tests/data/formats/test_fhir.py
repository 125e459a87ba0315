"""Notes in FHIR resources that fhir.resources wrote."""

import base64
import json
from datetime import date
from hashlib import sha256

import pytest
from fhir.resources.composition import Composition
from fhir.resources.diagnosticreport import DiagnosticReport
from fhir.resources.documentreference import DocumentReference
from fhir.resources.R4B.documentreference import DocumentReference as DocumentReferenceR4

from icdcli.data.formats.conversion import HTML, TEXT
from icdcli.data.formats.fhir import FHIR_JSON, attachment_text, document_note, fhir_version
from icdcli.data.notes.text import Origin
from icdcli.errors import DataError

SECRET = "Longfellow"


def data(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def written(model, **values):
    """Return a resource after fhir.resources has checked and written it."""
    return json.loads(model(**values).model_dump_json())


def reference_r4(*attachments, **values):
    return written(
        DocumentReferenceR4,
        id="7",
        status="current",
        subject={"reference": "Patient/1"},
        context={
            "encounter": [{"reference": "Encounter/3"}],
            "period": {"start": "2026-01-01", "end": "2026-01-05T10:00:00+00:00"},
        },
        content=[{"attachment": one} for one in attachments],
        **values,
    )


def refused(resource, linked=None):
    with pytest.raises(DataError) as caught:
        document_note(resource, "notes.ndjson, line 3", linked)
    message = str(caught.value)
    assert message.startswith("notes.ndjson, line 3") and SECRET not in message
    assert caught.value.__cause__ is None
    return message


def test_document_reference_of_r4():
    note = document_note(
        reference_r4({"contentType": "text/html", "data": data("<p>Gout</p>")}), "n"
    )
    assert (note.id, note.text, note.day) == (
        "DocumentReference/7",
        "Gout",
        date(2026, 1, 5),
    )
    assert note.origin == Origin(
        HTML,
        sha256(b"<p>Gout</p>").hexdigest(),
        "DocumentReference/7",
        "Patient/1",
        "Encounter/3",
        "R4",
    )


def test_document_reference_of_r5():
    resource = written(
        DocumentReference,
        id="7",
        status="current",
        date="2026-02-01T10:00:00Z",
        context=[{"reference": "Appointment/1"}, {"reference": "https://h.example/Encounter/3"}],
        content=[{"attachment": {"contentType": "text/plain", "data": data("Gicht, Übelkeit")}}],
    )
    note = document_note(resource, "n")
    assert (note.text, note.day) == ("Gicht, Übelkeit", date(2026, 2, 1))
    assert note.origin.encounter == "https://h.example/Encounter/3"
    assert (note.origin.version, note.origin.patient) == ("R5", None)


def test_of_several_attachments_the_one_nearest_to_plain_text_counts():
    plain = {"contentType": "text/plain; charset=euc-kr", "data": data("고혈압".encode("cp949"))}
    page = {"contentType": "text/html", "data": data("<p>page</p>")}
    scan = {"contentType": "image/tiff", "data": data(b"II*\0")}
    link = {"contentType": "text/plain", "url": "https://hospital.example/1"}
    assert document_note(reference_r4(scan, page, plain), "n").text == "고혈압"
    assert document_note(reference_r4(link, scan, page), "n").text == "page"
    assert "is image/tiff, which can't be read" in refused(reference_r4(scan))


def test_an_address_is_named_and_not_fetched():
    link = {"contentType": "text/html", "url": "Binary/5"}
    message = refused(reference_r4(link))
    assert "(DocumentReference/7): its attachment has only an address (url)" in message
    assert "nothing is fetched" in message
    binary = {"resourceType": "Binary", "contentType": "text/html", "data": data("<b>Gout</b>")}
    note = document_note(reference_r4({"url": "Binary/4"}, link), "n", {"Binary/5": binary}.get)
    assert (note.text, note.origin.media_type) == ("Gout", HTML)
    assert "only an address" in refused(reference_r4({"url": "Binary/4"}), {"Binary/5": binary}.get)


def test_diagnostic_report():
    values = {
        "id": "r",
        "status": "final",
        "code": {"text": "CT"},
        "effectivePeriod": {"end": "2026-03-04"},
        "encounter": {"reference": "Encounter/9"},
        "conclusion": "No embolism.",
    }
    form = {"contentType": "text/plain", "data": data("Findings: none")}
    note = document_note(written(DiagnosticReport, presentedForm=[form], **values), "n")
    assert (note.id, note.text) == ("DiagnosticReport/r", "Findings: none")
    assert (note.origin.encounter, note.day) == ("Encounter/9", date(2026, 3, 4))
    narrative = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">CT</div>'}
    note = document_note(written(DiagnosticReport, text=narrative, **values), "n")
    assert (note.text, note.origin.media_type) == ("CT\n\nNo embolism.", FHIR_JSON)


def test_composition():
    def narrative(text):
        return {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{text}</p></div>',
        }

    resource = written(
        Composition,
        id="c",
        status="final",
        type={"text": "Discharge summary"},
        date="2026-01-05",
        author=[{"reference": "Practitioner/1"}],
        title="Summary",
        subject=[{"reference": "Patient/1"}],
        section=[
            {"title": "Course", "text": narrative("Fever<br/>and cough")},
            {"section": [{"title": "Allergies", "text": narrative("None &amp; never")}]},
        ],
    )
    note = document_note(resource, "n")
    assert note.text == "Course\nFever\nand cough\n\nAllergies\nNone & never"
    assert (note.origin.patient, note.origin.version) == ("Patient/1", "R5")
    other = document_note(resource | {"id": "d"}, "n")
    assert other.origin.sha256 != note.origin.sha256


def test_documents_without_content_have_no_text():
    assert document_note(reference_r4({"contentType": "text/plain"}), "n").text == ""
    attachment = attachment_text({}, "n")
    assert (attachment.text, attachment.media_type) == ("", TEXT)


def test_resources_that_are_refused():
    bad = {"contentType": "text/plain", "data": f"{SECRET}!"}
    resource = {"resourceType": "DocumentReference", "id": "7", "content": [{"attachment": bad}]}
    assert "(DocumentReference/7): the data of its attachment isn't base64" in refused(resource)
    assert "is Patient. Notes are in DocumentReference" in refused({"resourceType": "Patient"})
    assert "is not a FHIR resource" in refused({"text": SECRET})
    assert "content has another type" in refused(resource | {"content": SECRET})
    assert "data has another type" in refused(
        resource | {"content": [{"attachment": {"data": [SECRET]}}]}
    )
    assert "is of FHIR STU3" in refused(resource | {"indexed": "2017-01-01"})
    plain = {"data": data(b"%PDF-1.7 " + SECRET.encode())}
    assert "can't be read as PDF" in refused(resource | {"content": [{"attachment": plain}]})


@pytest.mark.parametrize(
    ("resource", "version"),
    [
        ({"resourceType": "DocumentReference", "context": {}}, "R4"),
        ({"resourceType": "DocumentReference", "content": [{"format": {}}]}, "R4"),
        ({"resourceType": "DocumentReference", "content": [{"profile": []}]}, "R5"),
        ({"resourceType": "DocumentReference", "modality": []}, "R5"),
        ({"resourceType": "DocumentReference"}, None),
        ({"resourceType": "Composition", "identifier": {}}, "R4"),
        ({"resourceType": "Composition", "identifier": []}, "R5"),
        ({"resourceType": "DiagnosticReport", "supportingInfo": []}, "R5"),
        ({"resourceType": "DiagnosticReport"}, None),
        ({"resourceType": "Patient"}, None),
    ],
)
def test_versions_that_resources_show(resource, version):
    assert fhir_version(resource) == version
