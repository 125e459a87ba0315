"""Files of FHIR resources, as servers export them, written by fhir.resources."""

import base64
import gzip
import json
import re
from importlib.metadata import metadata

import pytest
from fhir.resources.binary import Binary
from fhir.resources.bundle import Bundle
from fhir.resources.documentreference import DocumentReference
from fhir.resources.patient import Patient

from icdcli.data.formats import resources
from icdcli.data.notes.files import find_notes
from icdcli.errors import DataError
from icdcli.predict.counting import check_notes

SECRET = "Longfellow"


def data(text):
    return base64.b64encode(text.encode()).decode()


def document(id, text=None, **values):
    attachment = {"contentType": "text/plain", **({} if text is None else {"data": data(text)})}
    return {
        "resourceType": "DocumentReference",
        "id": id,
        "status": "current",
        "content": [{"attachment": attachment | values}],
    }


def bundle(*resources, **values):
    """Return a Bundle after fhir.resources has checked and written it."""
    models = {"DocumentReference": DocumentReference, "Patient": Patient, "Binary": Binary}
    entries = [
        {
            "fullUrl": f"https://h.example/{one['resourceType']}/{one.get('id', number)}",
            "resource": json.loads(models[one["resourceType"]](**one).model_dump_json()),
        }
        for number, one in enumerate(resources)
    ]
    made = Bundle(type="collection", entry=entries, **values)
    return made.model_dump_json(indent=1)


def lines(*resources):
    return "".join(json.dumps(one) + "\n" for one in resources)


def read(path, **options):
    notes = find_notes([str(path)], **options)
    said, warned = [], []
    check_notes(notes, on_warning=warned.append, on_message=said.append)
    found = [(note.id, note.text) for note in notes]
    assert found == [(note.id, note.text) for note in notes]
    return found, said, warned


@pytest.fixture
def refused(tmp_path):
    def check(content, name="n.ndjson"):
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError) as caught:
            find_notes([str(tmp_path / name)]).check()
        message = str(caught.value)
        assert SECRET not in message and message.startswith(str(tmp_path / name))
        assert caught.value.__cause__ is None
        return message

    return check


DOCUMENTS = [document("1", "Gout"), {"resourceType": "Patient", "id": "p"}, document("2", "Fever")]
FOUND = [("DocumentReference/1", "Gout"), ("DocumentReference/2", "Fever")]


@pytest.mark.parametrize("block", [1, 50, 1 << 20])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("b.json", bundle(*DOCUMENTS)),
        ("n.ndjson", lines(*DOCUMENTS)),
        ("n.jsonl", "\ufeff" + lines(*DOCUMENTS)),
        ("a.json", json.dumps(DOCUMENTS)),
        ("two.json", lines({"resourceType": "Bundle", "entry": [{"resource": DOCUMENTS[0]}]})
         + "\n" + json.dumps(DOCUMENTS[2], indent=2)),
        ("late.json", json.dumps({"entry": [{"resource": one} for one in DOCUMENTS],
                                  "resourceType": "Bundle"})),
    ],
)  # fmt: skip
def test_every_form_of_file_gives_the_same_notes(tmp_path, monkeypatch, name, content, block):
    monkeypatch.setattr("icdcli.io.tables.objects._LINES_BUFFER", block)
    (tmp_path / name).write_text(content)
    found, (said,), warned = read(tmp_path / name)
    assert found == FOUND and warned == []
    assert said.startswith(f"{tmp_path / name} is read as FHIR: 2 DocumentReference")
    (tmp_path / f"z-{name}.gz").write_bytes(gzip.compress(content.encode()))
    assert read(tmp_path / f"z-{name}.gz")[0] == FOUND


def test_resources_that_are_not_notes_are_counted(tmp_path):
    (tmp_path / "b.json").write_text(bundle(*DOCUMENTS))
    _, (said,), _ = read(tmp_path / "b.json")
    assert said.endswith("2 DocumentReference; not read: 1 other resource (Patient)")


def test_documents_that_were_withdrawn_are_not_read(tmp_path):
    wrong = document("3", "x") | {"status": "entered-in-error"}
    cancelled = document("4", "x") | {"docStatus": "cancelled"}
    (tmp_path / "n.ndjson").write_text(lines(*DOCUMENTS, wrong, cancelled))
    found, (said,), _ = read(tmp_path / "n.ndjson")
    assert found == FOUND
    assert "3 other resources (DocumentReference in error, Patient)" in said


def test_attachments_in_the_same_file(tmp_path):
    link = document("1", url="Binary/b")
    other = document("2", url="https://h.example/Binary/c")
    binaries = [
        {"resourceType": "Binary", "id": id, "contentType": "text/html", "data": data(text)}
        for id, text in (("c", "<p>Fever</p>"), ("b", "<p>Gout</p>"))
    ]
    (tmp_path / "b.json").write_text(
        bundle(binaries[0], link, document("3", "x"), other, binaries[1])
    )
    found, _, _ = read(tmp_path / "b.json")
    assert sorted(found) == [*FOUND, ("DocumentReference/3", "x")]


def test_a_document_without_an_id_has_that_of_its_entry(tmp_path):
    one = document("1", "Gout")
    del one["id"]
    (tmp_path / "b.json").write_text(bundle(one))
    (note,) = find_notes([str(tmp_path / "b.json")])
    assert note.id == note.origin.resource == "https://h.example/DocumentReference/0"
    (tmp_path / "n.ndjson").write_text(lines({"resourceType": "Patient"}, one))
    assert read(tmp_path / "n.ndjson")[0] == [("DocumentReference 2", "Gout")]


def test_one_page_of_a_search_is_warned_of(tmp_path):
    link = [{"relation": "next", "url": "https://h.example/?page=2"}]
    (tmp_path / "b.json").write_text(bundle(document("1", "Gout"), link=link))
    _, _, warned = read(tmp_path / "b.json")
    assert warned == [
        f"{tmp_path}/b.json: is one page of a search, and the next ones aren't fetched. Give all "
        "pages"
    ]


def test_files_that_are_refused(refused):
    whole = bundle(*DOCUMENTS)
    for end in (len(whole) // 2, len(whole) - 3):
        assert "b.json: ends too early, after" in refused(whole[:end], "b.json")
    cut = lines(*DOCUMENTS)[:-40]
    assert "ends too early, after 2 complete resources" in refused(cut)
    assert "resource 2: not JSON" in refused(
        lines(DOCUMENTS[0]) + '{"id": nope, "x": 1}' + " " * 99
    )
    assert "isn't a FHIR resource" in refused(lines(DOCUMENTS[0]) + "5")
    twice = lines(document("1", SECRET), document("1", SECRET))
    assert "resource 2: is DocumentReference/1, as resource 1 is" in refused(twice)
    mixed = [document("1", "a") | {"context": {}}, document("2", "b") | {"modality": []}]
    assert "resource 2: is of FHIR R5, but others are of R4" in refused(lines(*mixed))
    key = '{"resourceType": "DocumentReference", "id": "1", "id": "2"}'
    assert "has the same key twice" in refused(key)


def test_a_file_without_documents(tmp_path):
    path = tmp_path / "n.ndjson"
    path.write_text(lines({"resourceType": "Patient"}))
    with pytest.raises(DataError) as error:
        find_notes([str(path)]).check()
    assert str(error.value).startswith(f"{path}: there are no notes (")
    assert "not read: 1 other resource (Patient)). Give a file with" in str(error.value)


def test_samples_of_fhir_resources_are_not_taken_for_notes(tmp_path):
    readme = metadata("fhir.resources")["Description"] or metadata("fhir.resources").get_payload()
    samples = [
        json.JSONDecoder().raw_decode(readme[found.start() :])[0]
        for found in re.finditer(r'\{\s*"resourceType": "Patient",\s*"', readme)
    ]
    path = tmp_path / "n.ndjson"
    path.write_text(lines(*samples, document("1", "Fever")))
    found, said, warned = read(path)
    assert found == [("DocumentReference/1", "Fever")] and not warned
    assert len(samples) > 1
    assert any(f"not read: {len(samples)} other resources (Patient)" in one for one in said)


def test_an_address_is_an_error_or_skipped(refused, tmp_path):
    content = lines(document("1", url="https://h.example/Binary/1"), document("2", "Fever"))
    message = refused(content)
    assert "resource 1 (DocumentReference/1): its attachment has only an address" in message
    assert "--" not in message  # not every command has the option
    with pytest.raises(DataError, match="Or pass --skip-unreadable to code the others"):
        find_notes([str(tmp_path / "n.ndjson")], skip_unreadable=False).check()
    found, _, warned = read(tmp_path / "n.ndjson", skip_unreadable=True)
    assert sorted(found) == [("DocumentReference/1", ""), ("DocumentReference/2", "Fever")]
    (warning,) = warned
    assert warning.startswith("1 note can't be read and gets no codes:\n  ")
    assert "only an address" in warning


def test_a_table_with_the_column_of_a_resource_is_still_a_table(tmp_path):
    (tmp_path / "n.jsonl").write_text('{"resourceType": "Note", "id": "1", "note": "Gout"}\n')
    assert [note.text for note in find_notes([str(tmp_path / "n.jsonl")], text_column="note")] == [
        "Gout"
    ]


def test_resources_from_a_pipe():
    content = bundle(*DOCUMENTS).encode()
    for piped in (content, gzip.compress(content)):
        notes = find_notes(["-"], piped)
        assert [(note.id, note.text) for note in notes] == FOUND
        assert notes.remarks == [
            "standard input is read as FHIR: 2 DocumentReference; not read: 1 other resource "
            "(Patient)"
        ]
    with pytest.raises(DataError, match="standard input: ends too early"):
        find_notes(["-"], content[:-9]).check()
    bad = find_notes(["-"], lines(document("1", url="x"), document("2", "a")).encode(),
                     skip_unreadable=True)  # fmt: skip
    assert bad.check() == 2 and "\n  standard input, resource 1" in bad.left_out[0]


def test_a_bundle_larger_than_the_buffer_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("icdcli.io.tables.objects._LINES_BUFFER", 1000)
    monkeypatch.setattr(resources, "_LONGEST", 2000)
    many = [document(str(number), "Gout " * 20) for number in range(200)]
    (tmp_path / "b.json").write_text(bundle(*many))
    assert len(list(find_notes([str(tmp_path / "b.json")]))) == 200
    (tmp_path / "b.json").write_text(bundle(document("1", "Gout " * 9999)))
    with pytest.raises(DataError, match="resource 1: is longer than"):
        find_notes([str(tmp_path / "b.json")]).check()
