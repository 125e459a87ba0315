"""Notes in HL7 v2 messages that hl7apy wrote."""

import base64
import io
import re
from datetime import date
from hashlib import sha256

import pytest
from hl7apy.core import Message, Segment
from hl7apy.parser import parse_message as parsed_by_hl7apy

from icdcli.data.formats import hl7
from icdcli.data.formats.conversion import HTML
from icdcli.data.formats.hl7 import begins_as_hl7, message_note, parse_message, read_messages
from icdcli.data.notes.files import find_notes
from icdcli.errors import DataError
from icdcli.predict.counting import check_notes

SECRET = "Longfellow"


def message(*observations, kind="MDM_T02", id="7", charset=None, visit=True):
    """Return a message in which hl7apy has put and escaped the values of OBX-5."""
    made = Message(kind, version="2.5")
    made.msh.msh_3 = "HIS"
    made.msh.msh_7 = "20260105100000"
    made.msh.msh_9 = kind.replace("_", "^") + f"^{kind}"
    made.msh.msh_10 = id
    made.msh.msh_11 = "P"
    if charset is not None:
        made.msh.msh_18 = charset
    made.add(segment("PID", pid_3="12345^^^HOSP^MR", pid_5=f"{SECRET}^A"))
    if visit:
        made.add(segment("PV1", pv1_2="I", pv1_19="V7", pv1_45="20260107"))
    if kind.startswith("MDM"):
        made.add(segment("TXA", txa_1="1", txa_2="DS", txa_4="20260106", txa_12="D9"))
    else:
        made.add(segment("OBR", obr_1="1", obr_4="24606-6^MG^LN", obr_7="20260104080000"))
    for number, one in enumerate(observations, start=1):
        values = {"obx_1": str(number), "obx_11": "F"} | one
        made.add(segment("OBX", **values))
    return made.to_er7().encode()


def segment(name, **values):
    made = Segment(name, version="2.5")
    for field, value in values.items():
        setattr(made, field, value)
    return made


def text(value, name="11506-3^Note^LN", **values):
    return {"obx_2": "TX", "obx_3": name, "obx_5": value} | values


def read(content, **options):
    return message_note(parse_message(content, "n"), "n")


def refused(content):
    with pytest.raises(DataError) as caught:
        message_note(parse_message(content, "m.hl7, message 3"), "m.hl7, message 3")
    text = str(caught.value)
    assert text.startswith("m.hl7, message 3: ") and SECRET not in text
    assert caught.value.__cause__ is None
    return text


def test_the_sample_of_hl7apy_is_read_as_hl7apy_reads_it():
    shown = parsed_by_hl7apy.__doc__.partition("message = ")[2].partition(">>>")[0]
    sample = "".join(re.findall('"(.*?)"', shown)).replace("\\r", "\r")
    theirs, note = parsed_by_hl7apy(sample, find_groups=False), read(sample.encode())
    assert note.id == theirs.msh.msh_10.value != ""
    assert note.origin.patient == theirs.pid.pid_3.to_er7() != ""
    assert note.text == ""  # it is an order


def test_a_document():
    content = message(text("Admitted with fever"), text("and cough."))
    note = read(content)
    assert (note.id, note.text, note.day) == (
        "7",
        "Admitted with fever\nand cough.",
        date(2026, 1, 7),
    )
    assert (note.origin.patient, note.origin.encounter) == ("12345^^^HOSP^MR", "V7")
    assert note.origin.sha256 == sha256(content).hexdigest()
    assert read(message(text("a"), visit=False)).day == date(2026, 1, 6)


def test_a_report_with_named_observations():
    note = read(
        message(
            text("No mass.", "1^Findings^L"),
            text("Scar.", "1^Findings^L"),
            text("Benign.", "2^Impression^L"),
            {"obx_2": "NM", "obx_3": "3^Size^L", "obx_5": "12"},
            text("wrong", obx_11="W"),
            kind="ORU_R01",
            visit=False,
        )
    )
    assert note.text == "Findings\nNo mass.\nScar.\n\nImpression\nBenign."
    assert note.day == date(2026, 1, 4)


def test_escapes():
    written = (
        r"a \T\ b\.br\c \F\ d \S\ e \R\ f \E\ g \H\h\N\ \X41420D0A\i \.sp2\\.in+4\j \Zx\k \? l"
    )
    content = message(text("x")).replace(b"|x|", b"|" + written.encode() + b"|")
    assert written.encode() in content
    assert read(content).text == "a & b\nc | d ^ e ~ f \\ g h AB\n\ni \n\nj k \\? l"
    other = content.replace(b"^~\\&", b"^~#&").replace(written.encode(), b"a #T# b \\T\\")
    assert read(other).text == "a & b \\T\\"
    assert read(message(text("x")).replace(b"|x|", b"|one~two|")).text == "one\ntwo"


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [("UNICODE UTF-8", "utf-8"), ("8859/1", "latin-1"), ("KS X 1001", "cp949"), (None, "utf-8")],
)
def test_character_sets(charset, encoding):
    words = "고혈압" if encoding != "latin-1" else "Übelkeit"
    content = message(text(words), charset=charset).decode().encode(encoding)
    assert read(content).text == words
    escaped = "".join(f"{byte:02X}" for byte in words.encode(encoding))
    content = message(text("x"), charset=charset).replace(b"|x|", f"|\\X{escaped}\\|".encode())
    assert read(content).text == words


def test_a_wrong_character_set_is_named():
    content = message(text("Ü"), charset="KS X 1001").decode().encode("latin-1")
    assert "MSH-18, is 'KS X 1001'" in refused(content)
    assert "MSH-18 names none" in refused(message(text("Ü")).decode().encode("latin-1"))


def test_documents_in_base64():
    data = base64.b64encode(b"<p>Gout</p>").decode()
    document = {"obx_2": "ED", "obx_3": "1^Doc^L", "obx_5": f"^text^html^Base64^{data}"}
    note = read(message(document))
    assert (note.text, note.origin.media_type) == ("Gout", HTML)
    assert note.origin.sha256 == sha256(b"<p>Gout</p>").hexdigest()
    assert read(message(document, text("Fever"))).text == "Fever"
    plain = document | {"obx_5": "^text^plain^A^Gout"}
    assert read(message(plain)).text == "Gout"
    bad = document | {"obx_5": f"^text^html^Base64^{SECRET}!"}
    assert "isn't the 'Base64' that it should be. Export it again." in refused(message(bad))
    address = document | {"obx_2": "RP", "obx_5": "https://h.example/1^x"}
    assert "only the address of its document" in refused(message(address))
    scan = document | {"obx_5": f"^image^tiff^Base64^{data}"}
    assert "is image/tiff, which can't be read" in refused(message(scan))


BATCH = (
    b"FHS|^~\\&|HIS\rBHS|^~\\&|HIS\r"
    + message(text("a"), id="1")
    + b"\r"
    + message(id="2", kind="ADT_A01")
    + b"\r"
    + message(text("c"), id="3", kind="ORU_R01")
    + b"\rBTS|3\rFTS|1\r"
)


@pytest.mark.parametrize("block", [20, 333, 1 << 20])
@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_files_of_messages(tmp_path, monkeypatch, block, end):
    monkeypatch.setattr(hl7, "_BLOCK", block)
    path = tmp_path / "batch.hl7"
    framed = b"".join(b"\x0b" + one + b"\r\x1c\r" for one in read_messages(io.BytesIO(BATCH), "n"))
    for content in (
        BATCH.replace(b"\r", end),
        framed.replace(b"\r", end),
        b"\xef\xbb\xbf" + framed,
    ):
        path.write_bytes(content)
        notes = find_notes([str(path)])
        said = []
        assert check_notes(notes, on_message=said.append) == 2
        assert [(note.id, note.text) for note in notes] == [("1", "a"), ("3", "c")]
        assert said == [f"{path} is read as HL7 v2: 1 MDM, 1 ORU; not read: 1 other messages (ADT)"]
    assert [note.id for note in find_notes(["-"], BATCH)] == ["1", "3"]


def test_files_that_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "n.hl7"

    def problem(content, **options):
        path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            find_notes([str(path)], **options).check()
        assert SECRET not in str(caught.value)
        return str(caught.value)

    assert "n.hl7: isn't an HL7 v2 file" in problem(f"Note of {SECRET}".encode())
    one = message(text(SECRET))
    assert "message 2: has the id (MSH-10) of message 1" in problem(one + b"\r" + one)
    assert "has no id (MSH-10)" in problem(one.replace(b"|7|P", b"||P"))
    assert "isn't an HL7 v2 message" in problem(b"MSH|\r" + SECRET.encode())
    monkeypatch.setattr(hl7, "_LONGEST", 100)
    monkeypatch.setattr(hl7, "_BLOCK", 100)
    assert "has a message of more than" in problem(one)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "n.txt").write_bytes(one)
    with pytest.raises(DataError, match=r"n\.txt: is HL7 v2, not one note.*ends in \.hl7"):
        find_notes([str(tmp_path / "notes")]).check()


def test_a_note_does_not_begin_as_a_message():
    assert begins_as_hl7(b"MSH|^~\\&|") and begins_as_hl7(b"\x0bMSH#^~\\&#")
    for text in (b"MSH1 and MSH2 are stable", b"MSH", b"", b"Seen by MSH|"):
        assert not begins_as_hl7(text)


def test_damaged_messages_never_raise_anything_else():
    for cut in range(0, len(BATCH), 7):
        for content in (BATCH[:cut], BATCH[cut:], BATCH[:cut] + b"\\X0\\^~" + BATCH[cut + 2 :]):
            try:
                for one in read_messages(io.BytesIO(content), "n"):
                    message_note(parse_message(one, "n"), "n")
            except DataError as error:
                assert str(error).startswith("n: ")
