"""Excel workbooks (.xlsx): the rows of the first sheet, as a table.

A workbook is a ZIP archive of XML files, which the standard library reads. Cells that Excel stores
as text are strings, unchanged. Whole numbers, such as ids, are ints; all other numbers are floats,
and a code among them is refused, because Excel dropped its zeros when it was typed.
"""

import re
import zipfile
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from posixpath import join, normpath
from typing import IO, Any
from xml.etree import ElementTree

from icdcli.errors import DataError

_COLUMN = re.compile(r"([A-Z]+)\d*")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_WHOLE = re.compile(r"[-+]?\d{1,15}")  # Excel keeps 15 digits
_MOST_BYTES = 4 << 30  # of the unpacked texts; a small file may unpack to any size
_LONGEST_CELL = 32_767  # characters that Excel keeps of a longer text
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, ElementTree.ParseError),
    *(KeyError, ValueError, IndexError),  # a part, a cell's text or a number is missing
)
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_STRICT_RELATION = "{http://purl.oclc.org/ooxml/officeDocument/relationships}id"


def sheet_header(path: Path) -> list[str]:
    """Return the names of the columns: the first row that isn't empty.

    Raises:
        DataError: If the workbook can't be read or is empty.
    """
    with _opened(path) as workbook, closing(_rows(path, workbook)) as rows:
        header = next(rows, None)
    if header is None:
        raise DataError(f"{path}: its first sheet is empty. Move the table to the first sheet.")
    return ["" if value is None else str(value) for value in header]


def sheet_rows(path: Path, columns: Sequence[str]) -> Iterator[list[Any]]:
    """Yield the rows below the header as values of `columns`; empty rows are skipped.

    Args:
        path: The workbook.
        columns: Names of columns, as `sheet_header` returns them.

    Raises:
        DataError: If the workbook can't be read, or a cell has an error of Excel.
    """
    with _opened(path) as workbook, closing(_rows(path, workbook)) as rows:
        header = ["" if value is None else str(value) for value in next(rows, [])]
        places = [header.index(column) for column in columns]
        for number, row in enumerate(rows, start=1):
            values = [row[place] if place < len(row) else None for place in places]
            if any(isinstance(value, str) and len(value) >= _LONGEST_CELL for value in values):
                raise DataError(
                    f"{path}, row {number}: has a text of {_LONGEST_CELL:,} characters, the most "
                    "that Excel keeps in a cell. It was probably cut off: export the table from "
                    "its source as CSV, JSONL or Parquet."
                )
            yield values


def sheet_choice(path: Path) -> str | None:
    """Return which sheet is read, in words; None if there is only one.

    Raises:
        DataError: If the workbook can't be read.
    """
    with _opened(path) as workbook:
        sheets = _sheets(workbook)
    return f"the first of {len(sheets)} sheets" if len(sheets) > 1 else None


def sheet_epoch(path: Path) -> date:
    """Return the day from which a workbook's numbers count days: Excel stores dates so.

    Raises:
        DataError: If it can't be read.
    """
    with _opened(path) as workbook:
        book = ElementTree.fromstring(workbook.read("xl/workbook.xml"))
        settings = next((one for one in book.iter() if _name(one) == "workbookPr"), None)
        from_1904 = settings is not None and settings.get("date1904", "0") in ("1", "true")
        return date(1904, 1, 1) if from_1904 else date(1899, 12, 30)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as workbook:
            yield workbook
    except _DAMAGE:
        problem = (
            "isn't an Excel workbook, or is damaged. Save it again as .xlsx or as CSV in UTF-8"
        )
    except RuntimeError:  # zipfile: for a password, or NotImplementedError for other packings
        problem = "is encrypted, or packed in an unusual way. Save it without a password"
    except OSError as error:
        problem = f"can't be read ({error.strerror or type(error).__name__})"
    else:
        return
    raise DataError(f"{path}: {problem}.")


def _rows(path: Path, workbook: zipfile.ZipFile) -> Generator[list[Any], None, None]:
    """Yield the rows of the first sheet that aren't empty, the header first."""
    texts = _shared_texts(path, workbook)
    with _part(path, workbook, _first_sheet(workbook)) as file:
        number = 0
        for row in _elements(file, "row"):
            number = int(row.get("r") or number + 1)
            values: list[Any] = []
            for cell in row:
                found = _COLUMN.match(cell.get("r") or "")
                place = _column_number(found[1]) if found else len(values)
                values.extend([None] * (place - len(values)))
                values.append(_value(path, number, cell, texts))
            if any(value is not None for value in values):
                yield values


def _value(path: Path, number: int, cell: ElementTree.Element, texts: Sequence[str]) -> Any:
    """Return the value of a cell: a string, a number, a bool or None."""
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        return _text_of(cell) or None
    content = next((child.text for child in cell if _name(child) == "v"), None)
    if content is None:
        return None
    if kind == "s":
        return texts[int(content)] or None
    if kind in ("str", "d"):
        return _unescaped(content) or None
    if kind == "b":
        return content == "1"
    if kind == "e":
        raise DataError(
            f"{path}, line {number}: cell {cell.get('r')} has an error of Excel ({content}). "
            "Correct the cell."
        )
    return int(content) if _WHOLE.fullmatch(content) else float(content)


def _shared_texts(path: Path, workbook: zipfile.ZipFile) -> list[str]:
    """Return the texts that cells refer to by number."""
    name = "xl/sharedStrings.xml"
    if name not in workbook.namelist():
        return []
    with _part(path, workbook, name) as file:
        return [_text_of(element) for element in _elements(file, "si")]


def _first_sheet(workbook: zipfile.ZipFile) -> str:
    """Return the name of the file of the first visible sheet."""
    links = ElementTree.fromstring(workbook.read("xl/_rels/workbook.xml.rels"))
    targets = {link.get("Id"): link.get("Target", "") for link in links}
    sheet = _sheets(workbook)[0]
    target = targets[sheet.get(_RELATION) or sheet.get(_STRICT_RELATION)]
    return target.lstrip("/") if target.startswith("/") else normpath(join("xl", target))


def _sheets(workbook: zipfile.ZipFile) -> list[ElementTree.Element]:
    """Return the visible sheets in their order, or all of them if none is visible."""
    book = ElementTree.fromstring(workbook.read("xl/workbook.xml"))
    sheets = [element for element in book.iter() if _name(element) == "sheet"]
    return [one for one in sheets if one.get("state", "visible") == "visible"] or sheets


@contextmanager
def _part(path: Path, workbook: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    if workbook.getinfo(name).file_size > _MOST_BYTES:
        raise DataError(f"{path}: is too large unpacked. Save it as CSV in UTF-8.")
    with workbook.open(name) as file:
        yield file


def _elements(file: IO[bytes], name: str) -> Iterator[ElementTree.Element]:
    """Yield the elements of one name, and forget each afterwards."""
    parents: list[ElementTree.Element] = []
    for event, element in ElementTree.iterparse(file, ("start", "end")):
        if event == "start":
            parents.append(element)
            continue
        parents.pop()
        if _name(element) == name:
            yield element
            element.clear()
            if parents:
                parents[-1].remove(element)


def _text_of(element: ElementTree.Element) -> str:
    """Return the text of a cell of several runs, without hints for pronunciation."""
    pieces: list[str] = []
    for child in element:
        if _name(child) == "t":
            pieces.append(child.text or "")
        elif _name(child) in ("r", "is"):
            pieces.append(_text_of(child))
    return _unescaped("".join(pieces))


def _unescaped(text: str) -> str:
    """Return a text with the characters that XML can't have, such as ``_x000D_``."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


def _column_number(letters: str) -> int:
    """Return the number of a column, from 0: 2 for ``C``."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _name(element: ElementTree.Element) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]
