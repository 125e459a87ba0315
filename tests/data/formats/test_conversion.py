"""Conversions of documents, which other programs wrote, to text."""

import base64
import gzip
import io
import time
import zipfile
from hashlib import sha256

import docx
import pypdf
import pytest
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject
from striprtf.striprtf import rtf_to_text

from icdcli import extras
from icdcli.data.formats import docx as word
from icdcli.data.formats.conversion import CDA, DOCX, HTML, PDF, RTF, TEXT, converted
from icdcli.errors import ConfigError, DataError

SECRET = "Longfellow"


def text_of(content, declared=None):
    return converted(content, declared, "n").text


def refused(content, declared=None, kind=DataError):
    with pytest.raises(kind) as caught:
        converted(content, declared, "notes/1")
    message = str(caught.value)
    assert message.startswith("notes/1: ") and SECRET not in message
    assert caught.value.__cause__ is None
    return message


def pdf(*pages, password=None, owner=None):
    """Write PDF with a line of text per page."""
    writer = pypdf.PdfWriter()
    for text in pages:
        page = writer.add_blank_page(600, 800)
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET".encode() if text else b"")
        font = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Font"),
                NameObject("/Subtype"): NameObject("/Type1"),
                NameObject("/BaseFont"): NameObject("/Helvetica"),
                NameObject("/Encoding"): NameObject("/WinAnsiEncoding"),
            }
        )
        page[NameObject("/Contents")] = writer._add_object(content)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
    if password is not None:
        writer.encrypt(password, owner, algorithm="RC4-128")
    return written(writer.write)


def written(write):
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def document(*paragraphs):
    made = docx.Document()
    for text in paragraphs:
        made.add_paragraph(text)
    return made


CLINICAL_DOCUMENT = f"""<?xml version="1.0"?>
<ClinicalDocument xmlns="urn:hl7-org:v3"><title>Summary of {SECRET}</title>
 <component><structuredBody><component><section>
  <title>Diagnoses</title>
  <text><paragraph>Pneumonia,<br/>no <content styleCode="Bold">asthma</content>.</paragraph>
   <list><item>Fever</item><item><caption>Cough</caption> 3 days</item></list>
   <table><thead><tr><th>Drug</th><th>Dose</th></tr></thead>
    <tbody><tr><td>Amoxicillin</td><td>1 g</td></tr></tbody></table></text>
  <entry><observation><text>for machines</text><value displayName="x"/></observation></entry>
  <component><section><title>Allergies</title><text>None</text></section></component>
 </section></component></structuredBody></component></ClinicalDocument>"""


def test_html():
    page = (
        "<html><head><title>Form 7</title><style>p {color: red}</style></head><body>"
        "<h1>Admission</h1><p>Fever &amp;\n  cough,<br>37&nbsp;°C</p><script>if (a < b) {}</script>"
        "<ul><li>Asthma<li>Gout</ul><table><tr><th>Drug</th><th>Dose</th></tr>"
        "<tr><td><p>Iron</p></td><td>5<sub>mg</sub></td></tr></table><pre>a  b\n c</pre>end</body>"
    )
    expected = (
        "Admission\n\nFever & cough,\n37 °C\n\nAsthma\nGout\n\nDrug\tDose\nIron\t5mg\n\n"
        "a  b\n c\n\nend"
    )
    assert text_of(page.encode()) == text_of(page.encode(), "text/plain") == expected
    assert text_of(page.encode("utf-16")) == expected


def test_pages_with_what_was_left_open():
    assert text_of(b"<html><head><title>Form</title><p>Gout<p>Fever") == "Gout\n\nFever"
    assert text_of(b"<table><tr><td>a<td>b<tr><td>c<td>d</table>e") == "a\tb\nc\td\n\ne"


def test_marks_are_read_as_browsers_read_them():
    pages = {
        '<p title="x > y" class=a/b>Gout</p>': "Gout",
        "<p>Na <135, K < 4 &lt;b&gt; <b>low</b></p>": "Na <135, K < 4 <b> low",
        "<p>a<!-- <p>b</p> -->c</p>": "ac",
        "<SCRIPT>if (a<b) '</p>'</Script ><P>Gout</P>": "Gout",
        "<svg><title>x</title><text>y</text></svg><p>Gout": "Gout",
        "<p title='never closed>Gout</p><p>Fever": "Gout\n\nFever",
        "<template><template>a</template>b</template>c": "c",
    }
    for page, text in pages.items():
        assert text_of(page.encode(), "text/html") == text


def test_time_is_proportional_to_the_size_of_a_page():
    for mark in ("<a ", "<a title='", "<!--", "<!", "</", "<?", "&#", "<script>", "<", '<a b="'):
        page = f"<p>Gout</p>{mark * 50_000}".encode()
        begun = time.process_time()
        assert text_of(page, "text/html").startswith("Gout")
        assert time.process_time() - begun < 2


@pytest.mark.parametrize("mark", ["<![if !vml]>", "<![CDATS[x]>", "<![", "<!x", "<?xml:a />"])
def test_marks_that_browsers_skip(mark):
    assert text_of(f"<p>Gout</p>{mark}<p>Fever</p>".encode()).startswith("Gout")
    assert text_of(f"<p>Gout</p>{mark}><p>Fever</p>".encode()).endswith("Fever")


def test_pages_in_the_encoding_that_they_name():
    page = '<html><head><meta charset="euc-kr"></head><body>고혈압 환자</body></html>'
    assert text_of(page.encode("cp949")) == "고혈압 환자"
    assert text_of("<p>Übelkeit – 5 €</p>".encode("cp1252"), "text/html; charset=ISO-8859-1") == (
        "Übelkeit – 5 €"
    )
    assert text_of("피부염".encode("cp949"), "text/plain; charset=EUC-KR") == "피부염"
    assert text_of("Übel".encode("utf-16"), "text/plain; charset=latin1") == "Übel"
    assert "isn't in cp949" in refused(b"\xff\x81" + SECRET.encode(), "text/plain;charset=cp949")
    assert "unknown encoding 'klingon'" in refused(b"a", "text/plain; charset=klingon")
    assert "unknown encoding 'base64'" in refused(b"YQ==", "text/plain; charset=base64")
    assert "iconv -f WINDOWS-1252" in refused(b"\xfcber", "text/plain")


def test_cda():
    expected = (
        "Diagnoses\nPneumonia,\nno asthma.\n\nFever\nCough\n3 days\n\nDrug\tDose\nAmoxicillin\t1 g"
        "\n\nAllergies\nNone"
    )
    found = converted(CLINICAL_DOCUMENT.encode(), "text/xml", "n")
    assert (found.text, found.media_type) == (expected, CDA)
    latin = CLINICAL_DOCUMENT.replace('"1.0"', '"1.0" encoding="windows-1252"')
    assert "ß" in text_of(latin.replace("None", "Nuß").encode("cp1252"))


def test_cda_with_another_document_as_its_body():
    def body(content, attributes):
        return (
            '<ClinicalDocument xmlns="urn:hl7-org:v3"><component><nonXMLBody>'
            f"<text {attributes}>{content}</text></nonXMLBody></component></ClinicalDocument>"
        ).encode()

    inside = base64.encodebytes(b"<p>Gout</p>").decode()
    assert text_of(body(inside, 'mediaType="text/html" representation="B64"')) == "Gout"
    assert text_of(body("Gout", 'mediaType="text/plain"')) == "Gout"
    assert "should be. Export it again." in refused(body(f"{SECRET}!", 'representation="B64"'))
    assert "in another file" in refused(body('<reference value="a.pdf"/>', ""))
    deep = body("x", "").decode()
    for _ in range(5):
        deep = body(base64.b64encode(deep.encode()).decode(), 'representation="B64"').decode()
    assert "within documents" in refused(deep.encode())


def test_xml_that_is_refused(tmp_path):
    laughs = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><ClinicalDocument>&b;'
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    outside = f'<!DOCTYPE x [<!ENTITY a SYSTEM "file://{secret}">]><ClinicalDocument>&a;'
    for content in (laughs, outside, '<?xml version="1.0"?>' + laughs):
        assert "declares a document type" in refused(content.encode(), "text/xml")
    assert "isn't CDA (line 1:" in refused(f"<ClinicalDocument>{SECRET}".encode())
    fhir = refused(b'<?xml version="1.0"?><Bundle xmlns="http://hl7.org/fhir"/>')
    assert "isn't" not in fhir and "its root is 'Bundle'). FHIR is read as JSON." in fhir


def test_rtf():
    start = r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0 Arial;}{\f1\fcharset129 Batang;}}"
    picture = rb"{\pict\wmetafile8\bin5 }\{\}}"
    content = (
        start.encode()
        + rb"{\*\generator Word;}{\info{\title Form}}\f0 Fi\'e8vre "
        + "à 39°".encode("cp1252")
        + rb"\par \u-10179?\u-8704? \tab \b gras\b0\par "
        + picture
        + rb"\f1\'b0\'ed\'c7\'f7\'be\'d0\f0\par}"
    )
    found = converted(content, "text/plain", "n")
    assert found.text == "Fièvre à 39°\n😀 \tgras\n고혈압"
    assert (found.media_type, found.sha256) == (RTF, sha256(content).hexdigest())


def test_rtf_as_striprtf_reads_it():
    body = (
        r"\pard Fever \u252\'fc\tab and {\i cough}\line\lquote 3\rquote d\par\endash\emdash\{\\\}"
    )
    content = (
        r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial;}}"
        r"{\colortbl;\red0\green0\blue0;}{\stylesheet{\s0 Normal;}}{\*\listtable{\list}}\f0 "
        rf"{body}\par\f1\'e1\'ee\'eb\'fc\f0  end}}"
    )
    assert text_of(content.encode()) == rtf_to_text(content)
    assert "боль end" in rtf_to_text(content)


def test_rtf_that_is_hidden_deleted_or_cut_short():
    shown = (
        r"{\rtf1 a{\v b}\deleted c\deleted0{\header d}{\*\x e}{\field{\*\fldinst f}{\fldrslt g}}"
    )
    box = r"{\shp{\*\shpinst{\sp{\sn n}{\sv v}}{\shptxt box}}{\shprslt old}}"
    bytes_of_two = r"\uc2\u-21503\'b0\'a1\uc0\u44032"
    content = shown + box + bytes_of_two + "}"
    assert text_of(content.encode()) == "agbox각가"
    assert "ends too early" in refused(f"{{\\rtf1 {SECRET}".encode())
    assert "ends too early" in refused(rb"{\rtf1 {\pict\bin999 a}}")


def test_pdf():
    found = converted(pdf("Pneumonia", "Gout"), "application/octet-stream", "n")
    assert (found.text, found.media_type) == ("Pneumonia\nGout", PDF)
    assert text_of(pdf("Gout", password="", owner="o")) == "Gout"  # may only be printed


def test_pdf_that_cannot_be_read(monkeypatch):
    assert "without text, probably a scan. OCR is needed" in refused(pdf(""))
    assert "protected by a password" in refused(pdf(SECRET, password="p", owner="o"))
    assert "can't be read as PDF" in refused(b"%PDF-1.7\n" + SECRET.encode())
    monkeypatch.setattr("icdcli.data.formats.pdf.LONGEST", 5)
    assert "too many for one note" in refused(pdf("Gout", "Gout"))


def test_pdf_that_would_fill_the_memory():
    writer = pypdf.PdfWriter(io.BytesIO(pdf("Gout")))
    bomb = DecodedStreamObject()
    bomb.set_data(b" " * (80 << 20))
    writer.pages[0][NameObject("/Contents")] = writer._add_object(bomb.flate_encode())
    content = written(writer.write)
    assert len(content) < 1 << 20 and "beyond all bounds" in refused(content)


def test_docx():
    made = document("Admitted with fever.", "")
    made.paragraphs[1].add_run("No\tasthma").add_break()
    made.paragraphs[1].add_run("Gout")
    table = made.add_table(2, 2)
    for cell, text in zip(table._cells, ["Drug", "Dose", "Iron", "5 mg"], strict=True):
        cell.text = text
    made.sections[0].header.paragraphs[0].text = "Ward 3"
    made.add_paragraph("End")
    found = converted(written(made.save), None, "n")
    assert found.media_type == DOCX
    assert found.text == "Admitted with fever.\nNo\tasthma\nGout\nDrug\tDose\nIron\t5 mg\nEnd"


def test_changes_that_are_tracked_in_docx():
    made = document("Fever")
    content = written(made.save)
    start = "xmlns:w="
    xml = zipfile.ZipFile(io.BytesIO(content)).read("word/document.xml").decode()
    assert start in xml
    changed = xml.replace(
        "<w:r><w:t>Fever</w:t></w:r>",
        "<w:pPr><w:tabs><w:tab w:pos='9'/></w:tabs></w:pPr><w:del><w:r><w:delText>Gout</w:delText>"
        "</w:r></w:del><w:ins><w:r><w:t>Asthma </w:t></w:r></w:ins><w:moveFrom><w:r><w:t>x</w:t>"
        "</w:r></w:moveFrom><w:sdt><w:sdtContent><w:r><w:t>today</w:t></w:r></w:sdtContent></w:sdt>",
    )
    assert changed != xml
    assert text_of(archive({"word/document.xml": changed})) == "Asthma today"


def archive(files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in files.items():
            made.writestr(name, text)
    return content.getvalue()


def test_docx_that_is_refused(monkeypatch):
    assert "but not a Word document" in refused(archive({"a.txt": SECRET}))
    assert "damaged Word document" in refused(b"PK\x03\x04" + SECRET.encode())
    laughs = '<!DOCTYPE x [<!ENTITY a "ha">]><document>&a;</document>'
    assert "declares a document type" in refused(archive({"word/document.xml": laughs}))
    locked = bytearray(archive({"word/document.xml": SECRET}))
    locked[6] |= 1
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    assert "protected by a password" in refused(bytes(locked))
    monkeypatch.setattr(word, "_LONGEST", 1 << 20)
    bomb = archive({"word/document.xml": " " * (2 << 20)})
    assert len(bomb) < 5000 and "more than 1 MB when unpacked" in refused(bomb)
    assert "an old Word file" in refused(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    assert "is image/tiff, which can't be read" in refused(b"II*\0", "image/tiff")


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert "is PDF, which needs more packages (pypdf): pip install 'icdcode[formats]'" in refused(
        pdf("a"), kind=ConfigError
    )
    assert text_of(b"<p>Gout</p>") == "Gout"  # needs none


def test_plain_text_is_unchanged():
    text = "  Fever,\r\n\tno cough.\n\n\nEnd \n"
    found = converted(text.encode(), None, "n")
    assert (found.text, found.media_type) == (text, TEXT)
    assert converted(b"<p>a</p>", "text/html; charset=utf-8", "n").media_type == HTML
    assert text_of(b"") == ""


def test_damaged_documents_never_raise_anything_else():
    contents = [pdf("Gout"), written(document("Gout").save), CLINICAL_DOCUMENT.encode()]
    contents += [b"{\\rtf1\\ansi\\ansicpg949 a\\'b0\\u5 {\\bin99999 x}}", gzip.compress(b"x")]
    for content in contents:
        for cut in range(1, len(content), max(1, len(content) // 40)):
            for damaged in (content[:cut], content[:cut] + b"\xff\x00}" + content[cut + 3 :]):
                try:
                    converted(damaged, None, "n")
                except DataError as error:
                    assert str(error).startswith("n: ")
