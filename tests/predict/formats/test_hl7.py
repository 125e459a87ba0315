"""What is written as HL7 v2, after hl7apy has checked and read it."""

import pytest
from hl7apy.parser import parse_message
from hl7apy.validation import Validator

from icdcli.data.notes.files import find_notes
from icdcli.predict.formats.hl7 import _identifier, escaped


@pytest.fixture
def messages(write):
    content = write("dg1", "codes.hl7").read_bytes().decode()
    starts = ["MSH" + part for part in content.split("MSH")[1:]]
    return [parse_message(text, find_groups=True) for text in starts]


def unescaped(text):
    signs = {"F": "|", "S": "^", "R": "~", "T": "&", "E": "\\"}
    for sign, meant in signs.items():
        text = text.replace(f"\\{sign}\\", meant) if sign != "E" else text
    return text.replace("\\E\\", "\\")


def segments(message, name):
    return [one for one in message.to_er7().split("\r") if one.startswith(name)]


def test_messages_are_valid(messages):
    assert len(messages) == 3
    for message in messages:
        assert Validator.validate(message)
        assert message.msh.msh_9.to_er7() == "ADT^A08^ADT_A01"
        assert message.msh.msh_12.to_er7() == "2.5.1"


def test_the_patient_and_the_visit_are_those_of_the_note(messages):
    assert [one.pid.pid_3.to_er7() for one in messages] == ["1", "12^^^HOSP^MR", '""']
    assert [one.pv1.pv1_19.to_er7() for one in messages] == ["3", "V7", ""]


def test_predicted_codes_come_back(messages, coded_notes):
    notes, coded = coded_notes
    found = []
    for message in messages:
        codes = []
        for name, identifier in (("DG1", 20), ("PR1", 19)):
            for segment in segments(message, name):
                fields = segment.split("|")
                code, title, system = fields[3].split("^")
                note, _, again = unescaped(fields[identifier].split("^")[0]).rpartition("#")
                assert again == code and fields[identifier + 1] == "A"
                codes.append((note, code, unescaped(title), system))
        found.append(codes)
    assert found[2][0][0] == "10|^~\\&"
    expected = {
        note.id: {one.code: one.title or "" for one in codes.codes if one.predicted}
        for note, codes in zip(notes, coded, strict=True)
        if codes.codes
    }
    assert {codes[0][0]: {code: title for _, code, title, _ in codes} for codes in found} == (
        expected
    )
    assert [(code, system) for _, code, _, system in found[0]] == [
        ("M10.9", "I10C"),
        ("R05.9", "I10C"),
        ("X1", "L"),
        ("0BJ08ZZ", "I10P"),
    ]
    assert {one.split("|")[6] for one in segments(messages[0], "DG1")} == {"W"}


def test_our_own_messages_have_no_notes(write):
    output = write("dg1", "codes.hl7")
    notes = find_notes([str(output)])
    assert list(notes) == []
    assert "not read: 3 other messages (ADT)" in notes.remarks[0]


def test_ids_of_other_systems_are_whole():
    assert [_identifier(id) for id in ("Patient/1", "12/345", "1^^^H^MR", "a&b", None)] == [
        "1",
        "12/345",
        "1^^^H^MR",
        "a\\T\\b",
        "",
    ]


def test_signs_of_messages_are_escaped():
    assert escaped("a|b^c~d&e\\f\r\ng") == r"a\F\b\S\c\R\d\T\e\E\f\.br\g"
