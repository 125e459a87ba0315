import base64

import pytest

from icdcli.data.markup import is_misread, markup_of

PLAIN = "Admitted with fever. High blood pressure. Type 2 diabetes."
RTF = r"{\rtf1\ansi\deff0{\fonttbl{\f0 Arial;}}\f0\fs20 Admitted with fever.\par}"
PAGE = "<html><head><title>form</title></head><body><p>Pneumonia</p></body></html>"


@pytest.mark.parametrize("text", ["Pneumonia – patient’s fever, 3 € …", "“quoted”"])
def test_text_of_windows_that_was_read_as_latin1_is_noticed(text):
    assert is_misread(text.encode("cp1252").decode("latin-1"))
    assert not is_misread(text)


@pytest.mark.parametrize("text", ["", "fever\n", "Übelkeit, é", "line\x85end", "고혈압"])
def test_other_text_is_not_misread(text):
    assert not is_misread(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (RTF, "RTF"),
        ("\ufeff" + RTF, "RTF"),
        ("\r\n  " + RTF, "RTF"),
        (PAGE, "HTML"),
        ("<!DOCTYPE html>\n" + PAGE, "HTML"),
        ("<DIV class='note'>Fever<br>cough</DIV>", "HTML"),
        ("<p>Fever</p>", "HTML"),
        ("<b>Fever</b><br/>cough", "HTML"),
        ("Progress note: <b>Fever</b><br>and <i>cough</i>", "HTML"),
        ("A <b and > c, K <i> 4, <u> 3, x > 1 > 2", None),
        ('<?xml version="1.0"?><ClinicalDocument/>', "XML"),
        ("<ClinicalDocument xmlns='urn:hl7-org:v3'>", "XML"),
        (base64.b64encode(PLAIN.encode()).decode(), "base64"),
        (base64.encodebytes("고혈압 환자가 기침과 열로 내원하였다.".encode()).decode(), "base64"),
        (base64.b64encode(RTF.encode()).decode(), "base64"),
        (base64.b64encode(b"%PDF-1.7" + bytes(range(256))).decode(), "base64"),
        ("data:text/plain;base64,QQ==", "base64"),
        ("%PDF-1.7 ...", "PDF"),
        (PLAIN, None),
        ("", None),
        ("<p 0.05 was found", None),
        ("<3 days of fever, K <3.5 </= 4", None),
        ("Temp <b 39", None),
        ("{note} \\rtf", None),
        ("x" * 64, None),
        ("A" * 64, None),
        ("Donaudampfschifffahrtsgesellschaftskapitaen", None),
        ("depression", None),
        (base64.b64encode(PLAIN.encode()).decode() + " was sent", None),
    ],
)
def test_markup_is_known_by_its_beginning(text, kind):
    assert markup_of(text) == kind
