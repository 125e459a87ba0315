"""Notes that aren't plain text: RTF, HTML, XML and base64, as databases of hospitals store them.

Read as words, they would give codes for the names of fonts and the titles of forms. And notes whose
quotes and dashes were lost when another program read them in the wrong encoding.
"""

import base64
import binascii
import re

_BEGINNING = 4096  # characters in which the kind of a text shows
_HTML = re.compile(
    r"<(!doctype html|html|head|body|div|p|span|table|font|pre|center|style|meta|ul|ol|b|i|u|br"
    r"|h[1-6])\b[^<>]*>",
    re.IGNORECASE,
)
_ANY_TAG = re.compile(
    r"</?(html|body|div|p|span|table|tr|td|font|pre|center|ul|ol|li|b|i|u|br|strong|em|h[1-6])\b"
    r"[^<>]{0,200}>",
    re.IGNORECASE,
)
_MANY_TAGS = 5
_TAG = re.compile(r"</[a-z][a-z0-9]*\s*>|<br\s*/?>", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{40}")  # a word of this length is rarely a word
_DATA_ADDRESS = re.compile(r"data:[\w.+/;=-]*;base64,")
_FILES = (
    b"%PDF",
    b"{\\rtf",
    b"PK\x03\x04",
    b"\xd0\xcf\x11\xe0",
    b"\x1f\x8b",
    b"\x89PNG",
    b"\xff\xd8",
)
_MOSTLY = 0.9

# Windows-1252 has quotes, dashes and the euro sign where Latin-1 has control characters. U+0085 is
# a line end in texts of mainframes.
_MISREAD = re.compile("[\x80-\x84\x86-\x9f]")
MISREAD = (
    "control characters where Windows-1252 has quotes and dashes, as if the text was read as "
    "Latin-1. Export it again in UTF-8"
)
"""What is wrong with misread notes, as the end of a sentence."""

REMEDY = "Convert the notes to plain text first, for example with pandoc (-t plain)"
"""What to do with such notes, as a sentence of a message."""


def markup_of(text: str) -> str | None:
    """Return the format of a text that isn't plain: ``RTF``, ``HTML`` …; None for plain text."""
    start = text[:_BEGINNING].lstrip("\ufeff\u200b \t\r\n\v\f")
    if start.startswith("{\\rtf"):
        return "RTF"
    if start.startswith("%PDF-"):
        return "PDF"
    if start.startswith("<"):
        if start.startswith(("<?xml", "<ClinicalDocument")):
            return "XML"
        if _HTML.match(start) and (_TAG.search(text) or start.lower().startswith(("<!d", "<html"))):
            return "HTML"
    if start.count(">") >= _MANY_TAGS and len(_ANY_TAG.findall(start)) >= _MANY_TAGS:
        return "HTML"
    if _DATA_ADDRESS.match(start) or (_BASE64.match(start) and _is_base64(text)):
        return "base64"
    return None


def is_misread(text: str) -> bool:
    """Return whether a text has control characters that no note has."""
    return not text.isascii() and _MISREAD.search(text) is not None


def _is_base64(text: str) -> bool:
    """Return whether a text is a file or another text in base64."""
    if re.search(r"[^\S\r\n]", text.strip()):
        return False
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    if content.startswith(_FILES):
        return True
    try:
        decoded = content.decode("utf-8")
    except UnicodeDecodeError:
        decoded = content.decode("latin-1")
        return sum(map(str.isascii, decoded)) >= _MOSTLY * len(decoded) and decoded.isprintable()
    return all(letter.isprintable() or letter.isspace() for letter in decoded)
