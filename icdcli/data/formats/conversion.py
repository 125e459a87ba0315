"""The text of a document in any format that is read: the one place that knows all of them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from icdcli.data.formats.cda import cda_text
from icdcli.data.formats.charsets import decoded_as
from icdcli.data.formats.docx import docx_text
from icdcli.data.formats.html import html_bytes_text
from icdcli.data.formats.pdf import pdf_text
from icdcli.data.formats.rtf import rtf_text
from icdcli.data.markup import markup_of
from icdcli.data.notes.text import LONGEST, too_long
from icdcli.errors import DataError
from icdcli.io.encodings import marked_encoding

TEXT, HTML, CDA = "text/plain", "text/html", "application/hl7-cda+xml"
RTF, PDF = "application/rtf", "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

ENDINGS_OF = {
    ".txt": TEXT,
    ".rtf": RTF,
    ".html": HTML,
    ".htm": HTML,
    ".docx": DOCX,
    ".pdf": PDF,
    ".xml": CDA,
}
"""The endings of the names of documents with one note, and their media types."""

NAMES = {TEXT: "plain text", HTML: "HTML", CDA: "CDA", RTF: "RTF", PDF: "PDF", DOCX: "Word"}
"""What messages call a format."""

_ALIASES = {
    **dict.fromkeys(("text/rtf", "application/x-rtf", "text/richtext"), RTF),
    **dict.fromkeys(("application/xhtml+xml", "text/xhtml"), HTML),
    **dict.fromkeys(("application/xml", "text/xml", "application/cda+xml"), CDA),
    **dict.fromkeys(("text/markdown", "text/x-markdown", "text"), TEXT),
    "application/x-pdf": PDF,
}
_STARTS = (
    (b"%PDF-", PDF),
    (b"{\\rtf", RTF),
    (b"PK\x03\x04", DOCX),
    (b"\xd0\xcf\x11\xe0", "an old Word file, or one with a password"),
)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)
_MOST_DEPTH = 3  # documents within documents, such as a PDF file in CDA
_BEGINNING = 1 << 16  # bytes that show what a document is
_LEADING = b"\xef\xbb\xbf \t\r\n"


@dataclass(frozen=True, slots=True)
class Converted:
    """A document as text.

    Attributes:
        text: The text.
        media_type: The format of the document, such as `HTML`.
        sha256: The hash of the document.
    """

    text: str
    media_type: str
    sha256: str


def converted(content: bytes, declared: str | None, where: str) -> Converted:
    """Convert a document to plain text.

    Args:
        content: The document.
        declared: Its media type, which may name its encoding (``text/plain; charset=cp1252``);
            None: the content shows it. Content that is of another type is read as what it is.
        where: Its place, for messages.

    Raises:
        DataError: If it can't be converted.
        ConfigError: If an optional package for its format isn't installed.
    """
    media_type, text = _convert(content, declared, where, 0)
    if len(text) > LONGEST:
        raise too_long(where)
    return Converted(text, media_type, sha256(content).hexdigest())


def media_type_of(content: bytes, declared: str | None = None) -> str:
    """Return the format of a document, by its beginning and by what it is said to be.

    Args:
        content: The document.
        declared: Its media type; None: unknown.

    Returns:
        `TEXT`, `HTML`, `CDA`, `RTF`, `PDF` or `DOCX`, or a type that isn't read.
    """
    beginning = content[:_BEGINNING].lstrip(_LEADING)
    kind = next((kind for start, kind in _STARTS if beginning.startswith(start)), None)
    if kind is not None:
        return kind
    name = (declared or "").partition(";")[0].strip().lower()
    name = _ALIASES.get(name, name)
    if name and name not in (TEXT, "application/octet-stream", RTF, PDF, DOCX):
        return name
    encoding, mark = marked_encoding(content)
    shown = markup_of(content[mark:_BEGINNING].decode(encoding, "replace"))
    return {"HTML": HTML, "XML": CDA}.get(shown or "", TEXT)


def _convert(content: bytes, declared: str | None, where: str, depth: int) -> tuple[str, str]:
    if depth > _MOST_DEPTH:
        raise DataError(f"{where}: has documents within documents within documents. Unpack it.")
    media_type = media_type_of(content, declared)
    found = _CHARSET.search(declared or "")
    charset = found[1] if found else None

    def inner(body: bytes, body_type: str | None) -> str:
        return _convert(body, body_type, where, depth + 1)[1]

    converters: dict[str, Callable[[], str]] = {
        TEXT: lambda: decoded_as(content, charset, where),
        HTML: lambda: html_bytes_text(content, charset, where),
        CDA: lambda: cda_text(content, where, inner),
        RTF: lambda: rtf_text(content, where),
        PDF: lambda: pdf_text(content, where),
        DOCX: lambda: docx_text(content, where),
    }
    if media_type not in converters:
        raise DataError(
            f"{where}: is {media_type}, which can't be read. Give plain text, HTML, RTF, PDF, CDA "
            "or .docx."
        )
    return media_type, converters[media_type]()
