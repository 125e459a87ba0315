r"""Notes in HL7 v2 messages: documents (MDM) and observations (ORU) with text in OBX segments.

    MSH|^~\&|…      delimiters, kind, id and character set of the message
    PID, PV1        the patient and the visit
    TXA or OBR      the document or report
    OBX|1|FT|…      text, line by line, or a document in base64

Separators in text are escaped: ``\T\`` is ``&``, ``\.br\`` a line end, ``\X0D\`` a byte.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from icdcli.data.encounters.times import read_time
from icdcli.data.formats.charsets import decoded_as
from icdcli.data.formats.conversion import converted
from icdcli.data.notes.text import Note, Origin, checked
from icdcli.errors import DataError

HL7 = "application/hl7-v2"
"""The media type of a note whose text is in the segments of a message."""

HL7_ENDING = ".hl7"
"""The ending of the names of files with messages."""

HL7_KINDS = ("MDM", "ORU")
"""The kinds of messages that have notes."""

_PEEKED = 64  # bytes that show that a file has messages
_BLOCK = 1 << 20
_LONGEST = 256 << 20  # bytes of a message, which may have a scan in it
_START = re.compile(rb"(?:\A|[\r\n\x0b\x1c])[\r\n\x0b\x1c \xef\xbb\xbf]*(?=MSH[^\w\s])")
_SEGMENT_END = re.compile("[\r\n\x0b\x1c]+")
_BATCH = (b"FHS", b"BHS", b"MSH")
_LEADING = b"\xef\xbb\xbf\x0b \t\r\n"
# The names of HL7's table 0211, and what Python calls the same.
_CHARSETS = {
    "ASCII": "utf-8",  # which ASCII is a part of
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "8859/1": "iso-8859-1",
    **{f"8859/{part}": f"iso-8859-{part}" for part in (*range(2, 12), 13, 14, 15, 16)},
    "KS X 1001": "cp949",
    "GB 18030-2000": "gb18030",
    "BIG-5": "big5",
    "ISO IR87": "iso2022_jp",
}
_TEXTS = ("TX", "FT", "ST")
_DOCUMENT, _ADDRESS = "ED", "RP"
_NOT_SENT = ("D", "W", "X")  # OBX-11: deleted, wrong, not obtained
_DAY = 8


@dataclass(frozen=True)
class Hl7Message:
    """A message.

    Attributes:
        segments: The fields of each segment; the first field is its name, and in MSH the second is
            the separator of fields.
        separators: Those of components, repetitions and subcomponents, and the sign of escapes.
        charset: Its character set, as Python calls it.
        content: Its bytes.
    """

    segments: list[list[str]]
    separators: str
    charset: str
    content: bytes

    @property
    def kind(self) -> str:
        """Return the kind of message, such as ``MDM``."""
        return self.components(self.field("MSH", 9))[0]

    @property
    def id(self) -> str:
        """Return the id that its sender gave it."""
        return self.field("MSH", 10)

    def field(self, segment: str, number: int) -> str:
        """Return a field of the first segment of a name; nothing if it isn't there."""
        return next((field_of(one, number) for one in self.segments if one[0] == segment), "")

    def components(self, value: str) -> list[str]:
        """Return the components of the first repetition of a field; escapes are kept."""
        return value.split(self.separators[1])[0].split(self.separators[0])


def begins_as_hl7(start: bytes) -> bool:
    """Return whether the beginning of a file has an HL7 v2 message or a batch of them."""
    text = start.lstrip(_LEADING)
    return text[:3] in _BATCH and len(text) > 3 and not text[3:4].isalnum() and text[3:4] != b" "


def is_hl7(path: Path) -> bool:
    """Return whether a file has HL7 v2 messages, by its name or its beginning."""
    if path.suffix.lower() == HL7_ENDING:
        return path.is_file()
    try:
        with path.open("rb") as file:
            return begins_as_hl7(file.read(_PEEKED))
    except OSError:
        return False  # reading it reports the problem


def read_messages(file: BinaryIO, where: str) -> Iterator[bytes]:
    """Yield the messages of a file, one at a time; segments around a batch aren't yielded.

    Args:
        file: The file.
        where: Its name in messages.

    Raises:
        DataError: If it doesn't begin with a message or a batch, or has too long a message.
    """
    block = file.read(_BLOCK)
    if not begins_as_hl7(block):
        raise DataError(f"{where}: isn't an HL7 v2 file, which begins with MSH, FHS or BHS.")
    place, inside, ended = 0, False, False
    while True:
        following = _START.search(block, place + inside)
        if following is None and not ended:
            rest = block[place:]
            if len(rest) > _LONGEST:
                raise DataError(f"{where}: has a message of more than {_LONGEST >> 20} MB.")
            more = file.read(max(_BLOCK, len(rest)))
            block, place, ended = rest + more, 0, not more
            continue
        if inside:
            yield block[place : len(block) if following is None else following.start()]
        if following is None:
            return
        place, inside = following.end(), True


def parse_message(content: bytes, where: str) -> Hl7Message:
    """Split a message into segments and fields.

    Args:
        content: The message.
        where: Its place, for messages.

    Raises:
        DataError: If it isn't a message, or isn't in its character set.
    """
    header = _SEGMENT_END.split(content[:4096].decode("latin-1"))[0]
    separator, separators = header[3:4], header[4:8].split(header[3:4])[0]
    if not header.startswith("MSH") or len(separators) < 2 or not separator.strip():
        raise DataError(f"{where}: isn't an HL7 v2 message. Export it again.")
    named = field_of(_fields(header, separator), 18).split(separators[1])[0].strip()
    charset = _CHARSETS.get(named.upper(), named.lower()) or "utf-8"
    try:
        text = decoded_as(content, charset, where)
    except DataError as error:
        wrong = f"its character set, MSH-18, is {named[:40]!r}" if named else "MSH-18 names none"
        raise DataError(f"{error} ({wrong}.)") from None
    segments = [
        _fields(line, separator) for line in _SEGMENT_END.split(text.lstrip("\ufeff")) if line
    ]
    usual = "^~\\&"
    return Hl7Message(segments, separators + usual[len(separators) :], charset, content)


def message_note(message: Hl7Message, where: str) -> Note:
    """Return the note of an MDM or ORU message; its id is that of the message (MSH-10).

    Args:
        message: The message.
        where: Its place, for messages.

    Raises:
        DataError: If its text can't be read.
        ConfigError: If an optional package for its format isn't installed.
    """
    observations = [
        one
        for one in message.segments
        if one[0] == "OBX" and field_of(one, 11) not in _NOT_SENT and field_of(one, 5)
    ]
    documents = [one for one in observations if field_of(one, 2) == _DOCUMENT]
    texts = [one for one in observations if field_of(one, 2) in _TEXTS]
    if documents and not texts:
        found = [_document(message, one, where) for one in documents]
        text, (media_type, digest) = "\n\n".join(part[0] for part in found), found[0][1:]
    elif not texts and any(field_of(one, 2) == _ADDRESS for one in observations):
        raise DataError(
            f"{where}: has only the address of its document (OBX of type RP), from which nothing "
            "is fetched. Send the document itself."
        )
    else:
        text = _text(message, texts)
        media_type, digest = HL7, sha256(message.content).hexdigest()
    patient = message.field("PID", 3).split(message.separators[1])[0]
    visit = message.field("PV1", 19).split(message.separators[1])[0]
    origin = Origin(media_type, digest, None, patient or None, visit or None)
    text = checked(text, where)
    return Note(message.id, text, _day(message), origin, _type(message), _time(message))


def unescaped(text: str, message: Hl7Message) -> str:
    """Return text with its escapes replaced by what they mean."""
    field, escape = message.segments[0][1], message.separators[2]
    component, repetition, part = (message.separators[place] for place in (0, 1, 3))
    if escape not in text:
        return text
    signs = {"F": field, "S": component, "R": repetition, "T": part, "E": escape, "H": "", "N": ""}
    sign = re.escape(escape)
    pattern = re.compile(f"((?:{sign}X(?:[0-9A-Fa-f]{{2}})+{sign})+)|{sign}([^{sign}\r\n]*){sign}")

    def meaning(found: re.Match[str]) -> str:
        if found[1]:
            digits = re.sub(f"{sign}X?", "", found[1])
            return bytes.fromhex(digits).decode(message.charset, "replace").replace("\r", "\n")
        name = found[2]
        if name in signs:
            return signs[name]
        if name.startswith((".br", ".sp", ".ce")):
            return "\n" * int(name[3:] if name.startswith(".sp") and name[3:].isdecimal() else 1)
        if name.startswith((".", "C", "M", "Z")):
            return ""  # an indentation, another character set, or the sender's own
        return found[0]

    return pattern.sub(meaning, text)


def _text(message: Hl7Message, observations: Sequence[Sequence[str]]) -> str:
    """Return the lines of text, below the names of observations if there are several."""
    names = [message.components(field_of(one, 3)) for one in observations]
    several = len({tuple(name) for name in names}) > 1
    lines: list[str] = []
    previous: list[str] | None = None
    for name, one in zip(names, observations, strict=True):
        if several and name != previous:
            title = unescaped(name[1] if len(name) > 1 and name[1] else name[0], message)
            lines += [*([""] if lines else []), *([title] if title else [])]
        previous = name
        values = field_of(one, 5).split(message.separators[1])
        lines += [unescaped(value, message).rstrip() for value in values]
    return "\n".join(lines)


def _document(message: Hl7Message, observation: Sequence[str], where: str) -> tuple[str, str, str]:
    """Return the text, the format and the hash of an encapsulated document."""
    parts = [*message.components(field_of(observation, 5)), *[""] * 5][:5]
    _, kind, subtype, encoding, data = parts
    data = unescaped(data, message)
    try:
        decode = _DECODERS.get(encoding.strip().upper())
        content = data.encode() if decode is None else decode("".join(data.split()))
    except (binascii.Error, ValueError):
        raise DataError(
            f"{where}: its document (OBX of type ED) isn't the {encoding[:20]!r} that it should "
            "be. Export it again."
        ) from None
    declared = f"{kind}/{subtype}".lower() if "/" not in subtype else subtype.lower()
    known = {"rtf": "application/rtf", "pdf": "application/pdf", "html": "text/html"}
    guess = next((media for name, media in known.items() if name in subtype.lower()), None)
    media = guess or (declared if declared.startswith(("text/", "image/")) else None)
    found = converted(content, media, where)
    return found.text, found.media_type, found.sha256


_DECODERS: dict[str, Callable[[str], bytes]] = {
    "BASE64": partial(base64.b64decode, validate=True),
    "HEX": bytes.fromhex,
}


def _day(message: Hl7Message) -> date | None:
    """Return the day of the discharge, else of the document or the report."""
    for segment, number in (("PV1", 45), ("TXA", 4), ("OBR", 7)):
        written = message.field(segment, number)[:_DAY]
        if len(written) == _DAY and written.isdecimal():
            try:
                return date.fromisoformat(f"{written[:4]}-{written[4:6]}-{written[6:]}")
            except ValueError:
                continue
    return None


def _type(message: Hl7Message) -> str | None:
    """Return the type of the document in words, or else its code; else the report's."""
    for segment, number in (("TXA", 2), ("OBR", 4)):
        code, *words = message.components(message.field(segment, number))
        if found := next(filter(None, [*words[:1], code]), None):
            return unescaped(found, message).strip() or None
    return None


def _time(message: Hl7Message) -> datetime | None:
    """Return when the document was written or the report observed."""
    for segment, number in (("TXA", 4), ("OBR", 7)):
        try:
            time = read_time(message.components(message.field(segment, number))[0])
            if time is not None:
                return time
        except ValueError:
            continue  # a year, or a month
    return None


def _fields(line: str, separator: str) -> list[str]:
    fields = line.split(separator)
    return ["MSH", separator, *fields[1:]] if fields[0] == "MSH" else fields


def field_of(segment: Sequence[str], number: int) -> str:
    """Return a field of a segment; nothing if it isn't there."""
    return segment[number] if number < len(segment) else ""
