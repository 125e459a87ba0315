"""Text of HL7 CDA documents: the titles and the narrative text of their sections."""

import base64
import binascii
from collections.abc import Callable, Mapping

from icdcli.data.formats.layout import TextLayout
from icdcli.data.formats.xml_events import read_xml
from icdcli.errors import DataError

_LINES = frozenset("list item caption footnote tbody thead tfoot".split())
_PARAGRAPHS = frozenset("paragraph table".split())


def cda_text(content: bytes, where: str, convert: Callable[[bytes, str | None], str]) -> str:
    """Return the text of a CDA document; entries for machines aren't read.

    Args:
        content: The document.
        where: Its place, for messages.
        convert: Returns the text of a body that isn't XML, by its media type.

    Raises:
        DataError: If it isn't CDA, or if its body can't be converted.
    """
    document = _Document()
    read_xml(content, document, where, "CDA")
    if document.root != "ClinicalDocument":
        fhir = " FHIR is read as JSON." if document.has_fhir else ""
        raise DataError(
            f"{where}: is XML, but not a CDA document (its root is {document.root[:40]!r}).{fhir} "
            "Convert it to plain text, HTML or CDA."
        )
    if document.body is None:
        return document.layout.text()
    media_type, encoded, referenced = document.body
    if not encoded and referenced:
        raise DataError(
            f"{where}: its body is in another file, which isn't fetched. Give that file instead."
        )
    if not document.in_base64:
        return convert(encoded.encode(), media_type)
    try:
        body = base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        raise DataError(
            f"{where}: its body isn't the base64 that it should be. Export it again."
        ) from None
    return convert(body, media_type)


class _Document:
    """Receives a CDA document."""

    def __init__(self) -> None:
        self.layout = TextLayout()
        self.root = ""
        self.has_fhir = False
        self.in_base64 = False
        self._path: list[str] = []
        self._narrative = 0  # the depth of the open <text> of a section; 0: none
        self._other_body = 0
        self._media_type: str | None = None
        self._encoded: list[str] = []
        self._referenced = self._has_other_body = False

    @property
    def body(self) -> tuple[str | None, str, bool] | None:
        """Return the media type and the content of a body that isn't XML, and whether it is a link.

        None: the body is XML.
        """
        if not self._has_other_body:
            return None
        return self._media_type, "".join(self._encoded), self._referenced

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """Begin an element."""
        if not self._path:
            self.root = name
            self.has_fhir = attributes.get("xmlns") == "http://hl7.org/fhir"
        parent = self._path[-1] if self._path else ""
        self._path.append(name)
        if self._narrative:
            self._break(name)
        elif name == "text" and parent == "section":
            self._narrative = len(self._path)
            self.layout.text_of_title()
        elif name == "title" and parent == "section":
            self.layout.paragraph()
        elif name == "text" and parent == "nonXMLBody":
            self._other_body = len(self._path)
            self._has_other_body = True
            self._media_type = attributes.get("mediaType")
            self.in_base64 = attributes.get("representation") == "B64"
        elif name == "reference" and self._other_body:
            self._referenced = True

    def end(self, name: str) -> None:
        """End an element."""
        depth = len(self._path)
        self._path.pop()
        if depth == self._narrative:
            self._narrative = 0
            self.layout.paragraph()
        elif depth == self._other_body:
            self._other_body = 0
        elif self._narrative and name not in ("br", "td", "th"):
            self._break(name)

    def data(self, text: str) -> None:
        """Receive text."""
        if self._narrative or self._path[-2:] == ["section", "title"]:
            self.layout.words(text)
        elif len(self._path) == self._other_body:
            self._encoded.append(text)

    def _break(self, name: str) -> None:
        if name == "br":
            self.layout.line_break()
        elif name == "tr":
            self.layout.row()
        elif name in ("td", "th"):
            self.layout.cell()
        elif name in _PARAGRAPHS:
            self.layout.paragraph()
        elif name in _LINES:
            self.layout.line()
