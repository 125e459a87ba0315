"""Text of Word documents (.docx): the XML in their archive, without any library.

Read are the paragraphs and tables of the body, in order, with text boxes and accepted insertions;
not deleted text, headers, footers, footnotes and comments.
"""

import struct
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO

from icdcli.data.formats.layout import TextLayout
from icdcli.data.formats.xml_events import read_xml
from icdcli.errors import DataError

_RELATIONS = "_rels/.rels"
_USUAL_BODY = "word/document.xml"
_LONGEST = 256 << 20  # bytes of the XML of the longest note, with much formatting
# What zipfile raises for damaged archives.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, KeyError, NotImplementedError),
    *(OSError, ValueError),
)
# What is only for older programs, was deleted or moved away, or is a property.
_SKIPPED = frozenset(("Fallback", "del", "moveFrom", "pPr", "rPr", "tblPr"))


def docx_text(content: bytes, where: str) -> str:
    """Return the text of a Word document.

    Raises:
        DataError: If it isn't one, is damaged, or would grow beyond all bounds when unpacked.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            names = set(archive.namelist())
            body = _USUAL_BODY
            if body not in names and _RELATIONS in names:
                relations = _Relations()
                read_xml(_unpacked(archive, _RELATIONS, where), relations, where, "a Word document")
                body = relations.body
            if body not in names:
                raise DataError(
                    f"{where}: is an archive, but not a Word document (.docx). Give text, HTML, "
                    "RTF, PDF, CDA or .docx."
                )
            xml = _unpacked(archive, body, where)
    except _DAMAGED as error:
        raise DataError(
            f"{where}: is a damaged Word document or archive ({type(error).__name__}). Save it "
            "again."
        ) from None
    document = _Document()
    read_xml(xml, document, where, "a Word document")
    return document.layout.text()


def _unpacked(archive: zipfile.ZipFile, name: str, where: str) -> bytes:
    """Return a file of an archive; its real size counts, since the archive may lie about it."""
    try:
        with archive.open(name) as file:
            content = file.read(_LONGEST + 1)
    # zipfile's error for an unknown compression, which is a RuntimeError, as that for a password.
    except NotImplementedError:
        raise zipfile.BadZipFile from None
    except RuntimeError:  # of zipfile
        raise DataError(f"{where}: is protected by a password. Save it without one.") from None
    if len(content) > _LONGEST:
        raise DataError(
            f"{where}: has more than {_LONGEST >> 20} MB when unpacked, too much for one note."
        )
    return content


class _Relations:
    """Receives the list of an archive's parts."""

    def __init__(self) -> None:
        self.body = ""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "Relationship" and attributes.get("Type", "").endswith("/officeDocument"):
            self.body = attributes.get("Target", "").lstrip("/")

    def end(self, name: str) -> None: ...

    def data(self, text: str) -> None: ...


class _Document:
    """Receives the XML of a document's body."""

    def __init__(self) -> None:
        self.layout = TextLayout()
        self._skipped = 0  # the number of open elements from the outermost skipped one on
        self._in_text = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if self._skipped or name in _SKIPPED:
            self._skipped += 1
        elif name == "t":
            self._in_text = True
        elif name == "tr":
            self.layout.row()
        elif name == "tc":
            self.layout.cell()
        elif name == "p":
            self.layout.line()
        elif name in ("br", "cr"):
            self.layout.line_break()
        elif name == "tab":
            self.layout.exactly("\t")
        elif name == "noBreakHyphen":
            self.layout.exactly("-")

    def end(self, name: str) -> None:
        if self._skipped:
            self._skipped -= 1
        elif name == "t":
            self._in_text = False
        elif name == "p":
            self.layout.line()
        elif name == "tr":
            self.layout.row()

    def data(self, text: str) -> None:
        if self._in_text:
            self.layout.exactly(text)
