import zipfile
from datetime import date
from xml.sax.saxutils import escape

import pytest

from icdcli.data.benchmarks.protocols import PATIENT
from icdcli.data.notes.files import find_notes
from icdcli.data.sources.admission import Code
from icdcli.data.sources.table import TableSource
from icdcli.errors import DataError
from icdcli.io.csv_reader import Reading
from icdcli.io.tables import spreadsheet
from icdcli.io.tables.spreadsheet import sheet_header, sheet_rows

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/spreadsheetml/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
STRICT_OFFICE = "http://purl.oclc.org/ooxml/officeDocument/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
NOTE = 'Fever, "39" <b> & cough\nsecond line'


def workbook(path, sheet, shared="", *, sheets=None, main=MAIN, office=OFFICE, settings=""):
    """Write a workbook by hand, as the format is documented."""
    sheets = sheets or '<sheet name="data" sheetId="1" r:id="rId1"/>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", "<Types/>")
        file.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{office}">{settings}<sheets>{sheets}</sheets>'
            "</workbook>",
        )
        file.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{PACKAGE}">'
            '<Relationship Id="rId1" Target="worksheets/sheet1.xml"/>'
            '<Relationship Id="rId2" Target="/xl/worksheets/sheet2.xml"/></Relationships>',
        )
        for name in ("sheet1", "sheet2"):
            rows = sheet if name == "sheet1" else '<row r="1"><c t="str"><v>other</v></c></row>'
            file.writestr(
                f"xl/worksheets/{name}.xml",
                f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>',
            )
        if shared:
            file.writestr("xl/sharedStrings.xml", f'<sst xmlns="{main}">{shared}</sst>')
    return path


def inline(*values, row):
    cells = []
    for letter, value in zip("ABCDEFG", values, strict=False):
        if isinstance(value, str):
            text = f'<is><t xml:space="preserve">{escape(value)}</t></is>'
            cells.append(f'<c r="{letter}{row}" t="inlineStr">{text}</c>')
        elif value is not None:
            cells.append(f'<c r="{letter}{row}"><v>{value!r}</v></c>')
    return f'<row r="{row}">{"".join(cells)}</row>'


def table(path, *rows):
    header = inline("id", "text", "codes", row=1)
    return workbook(
        path, header + "".join(inline(*row, row=n) for n, row in enumerate(rows, start=2))
    )


@pytest.mark.parametrize(("main", "office"), [(MAIN, OFFICE), (STRICT, STRICT_OFFICE)])
def test_every_kind_of_cell(tmp_path, main, office):
    shared = (
        f"<si><t>text</t></si><si><t>{escape(NOTE)}</t></si>"
        "<si><r><t>two </t></r><r><rPr/><t>runs</t></r><rPh><t>no</t></rPh></si>"
        "<si><t>a_x000D_b _x41_ _x005F_x000D_</t></si><si><t/></si>"
    )
    sheet = (
        '<row r="3"><c r="B3" t="s"><v>0</v></c>'
        '<c r="C3" t="inlineStr"><is><t> n </t></is></c></row>'
        '<row r="4"><c r="B4" t="s"><v>1</v></c><c r="C4"><v>0331</v></c></row>'
        '<row r="5"/>'
        '<row r="6"><c r="B6" t="s"><v>2</v></c><c r="C6"><v>250.09999999999999</v></c></row>'
        '<row r="7"><c r="B7" t="s"><v>3</v></c><c r="C7" t="b"><v>1</v></c></row>'
        '<row r="8"><c r="B8" t="s"><v>4</v></c><c r="C8" t="str"><f>A1</f><v>x</v></c></row>'
        '<row r="9"><c r="C9"><v>1E+2</v></c><c r="AB9"><v>7</v></c></row>'
        '<row><c t="inlineStr"><is><t>k</t></is></c><c t="s"><v>0</v></c></row>'
    )
    path = workbook(tmp_path / "n.xlsx", sheet, shared, main=main, office=office)
    assert sheet_header(path) == ["", "text", " n "]
    assert list(sheet_rows(path, ["text", " n "])) == [
        [NOTE, 331],
        ["two runs", 250.1],
        ["a\rb _x41_ _x000D_", True],
        [None, "x"],
        [None, 100.0],
        ["text", None],
    ]


def test_a_workbook_is_a_table_of_documents_and_of_notes(tmp_path):
    path = table(tmp_path / "n.xlsx", (17, NOTE, "I10;E11.9"), ("a", "Pain", "M54.50"))
    source = TableSource(path, reading=Reading(), system="icd10")
    found = list(source.admissions(PATIENT, tmp_path))
    assert [(a.id, a.text) for a in found] == [("17", NOTE), ("a", "Pain")]
    assert found[0].codes == {Code("I10", "diagnosis"), Code("E11.9", "diagnosis")}
    notes = find_notes([str(path)])
    assert [(note.id, note.text) for note in notes] == [("17", NOTE), ("a", "Pain")]
    assert notes.remarks == []
    piped = find_notes(["-"], path.read_bytes())
    assert [(note.id, note.text) for note in piped] == [("17", NOTE), ("a", "Pain")]


@pytest.mark.parametrize("code", [486, 250.1, 1])
def test_a_code_that_excel_took_for_a_number_is_refused(tmp_path, code):
    path = table(tmp_path / "n.xlsx", ("1", "Pain", "I10"), ("2", "Fever", code))
    source = TableSource(path, reading=Reading(), system="icd9")
    with pytest.raises(
        DataError, match=r"row 2, column 'codes': is a number\. Excel drops the zero"
    ):
        list(source.admissions(PATIENT, tmp_path))


@pytest.mark.parametrize(
    ("settings", "number"),
    [("", 46173), ("<workbookPr/>", 46173.375), ('<workbookPr date1904="1"/>', 44711)],
)
def test_dates_of_a_workbook_are_days(tmp_path, settings, number):
    header = inline("a", "b", "text", "codes", row=1)
    row = inline(number, "2026-05-31", "Pain", "I10", row=2)
    path = workbook(tmp_path / "n.xlsx", header + row, settings=settings)
    for column in ("a", "b"):
        source = TableSource(path, date_column=column, reading=Reading(), system="icd10")
        (admission,) = source.admissions(PATIENT, tmp_path)
        assert admission.day == source.last_day() == date(2026, 5, 31)


def test_the_first_visible_sheet_is_read_and_said(tmp_path):
    rows = inline("text", row=1) + inline("Pain", row=2)
    sheets = (
        '<sheet name="old" sheetId="2" state="hidden" r:id="rId2"/>'
        '<sheet name="data" sheetId="1" r:id="rId1"/>'
    )
    notes = find_notes([str(workbook(tmp_path / "n.xlsx", rows, sheets=sheets))])
    assert [note.text for note in notes] == ["Pain"]
    assert notes.remarks == []
    sheets = sheets.replace(' state="hidden"', "")
    with pytest.raises(DataError, match=r"no column 'text'\. Its columns are: other"):
        find_notes([str(workbook(tmp_path / "n.xlsx", rows, sheets=sheets))])
    sheets = "".join(reversed(sheets.partition("/>")[::2])) + "/>"
    notes = find_notes([str(workbook(tmp_path / "n.xlsx", rows, sheets=sheets))])
    assert [note.text for note in notes] == ["Pain"]
    assert notes.remarks == ["rows of n.xlsx: the first of 2 sheets"]


def test_workbooks_that_cannot_be_read(tmp_path, monkeypatch):
    def refused(path):
        with pytest.raises(DataError) as caught:
            find_notes([str(path)]).check()
        assert str(caught.value).startswith(str(path))
        return str(caught.value)

    path = tmp_path / "n.xlsx"
    path.write_bytes(b"PK\x03\x04" + bytes(60))
    assert "isn't an Excel workbook, or is damaged" in refused(path)
    path.write_bytes(b"text\na\n")
    assert "isn't an Excel workbook" in refused(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("word/document.xml", "<x/>")
    assert "isn't an Excel workbook" in refused(path)
    assert "its first sheet is empty" in refused(workbook(path, ""))
    assert "damaged" in refused(workbook(path, "<row><c t='s'><v>7</v></c></row>"))
    assert "damaged" in refused(workbook(path, "<row><c>"))
    whole = table(path, ("1", "Pain" * 1000, "I10")).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "damaged" in refused(path)
    error = '<row r="2"><c r="A2"><v>1</v></c><c r="B2" t="e"><v>#REF!</v></c></row>'
    rows = inline("id", "text", row=1) + error
    assert "line 2: cell B2 has an error of Excel (#REF!)" in refused(workbook(path, rows))
    table(path, ("1", "Pain", "I10"), ("2", "x" * 32_767, "I10"))
    assert "row 2: has a text of 32,767 characters, the most that Excel keeps" in refused(path)
    monkeypatch.setattr(spreadsheet, "_MOST_BYTES", 100)
    assert "is too large unpacked" in refused(path)
