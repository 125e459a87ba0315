"""XML from strangers, read event by event; entities and document types are refused.

An entity may stand for others, and those for others, until ten of them fill the memory; or for a
file of this machine. No document of a hospital needs one.
"""

import re
from collections.abc import Mapping
from typing import Protocol
from xml.parsers import expat

from icdcli.data.formats.charsets import decoded_as
from icdcli.errors import DataError

_ENCODING = re.compile(rb"^<\?xml[^>]{1,200}?encoding\s*=\s*[\"']([\w.:-]{1,40})")


class XmlReader(Protocol):
    """Receives the content of a document, in order. Names are without their prefix."""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """Begin an element."""

    def end(self, name: str) -> None:
        """End an element."""

    def data(self, text: str) -> None:
        """Receive some of the text of the innermost element."""


def read_xml(content: bytes, reader: XmlReader, where: str, what: str = "XML") -> None:
    """Send a document to a reader.

    Args:
        content: The document.
        reader: Receives its elements.
        where: Its place, for messages.
        what: What it should be, for messages.

    Raises:
        DataError: If it isn't XML, or declares a document type.
    """
    named = _ENCODING.match(content)
    text = decoded_as(content, named[1].decode() if named else None, where)
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = lambda name, attributes: reader.start(_local(name), attributes)
    parser.EndElementHandler = lambda name: reader.end(_local(name))
    parser.CharacterDataHandler = reader.data

    def refuse(*_: object) -> None:
        raise DataError(
            f"{where}: declares a document type, which could let XML grow without limit or read "
            "other files. Remove its <!DOCTYPE …>."
        )

    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise DataError(
            f"{where}: isn't {what} (line {error.lineno}: {expat.ErrorString(error.code)}). "
            "Export it again."
        ) from None


def _local(name: str) -> str:
    return name.rpartition(":")[2]
