r"""Text of RTF documents, in the encodings of their fonts.

RTF is groups in braces, control words (``\par``, ``\b0``) and bytes of text. A group may be of a
kind that isn't text, such as ``{\fonttbl …}``; one that begins with ``\*`` is for programs that
know it. ``\u20320?`` is a character and a substitute for old programs. Text that is hidden or
marked as deleted isn't read, nor are headers and footers.
"""

import codecs
import re
from dataclasses import dataclass, replace

from icdcli.errors import DataError

_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?"  # a control word with its number
    rb"|\\'([0-9a-fA-F]{2})"  # a byte of text
    rb"|\\(.)"  # a control symbol
    rb"|([{}])"
    rb"|[\r\n]+"
    rb"|([^\\{}\r\n]+)",  # text
    re.DOTALL,
)
_NO_TEXT = frozenset(
    b"fonttbl colortbl stylesheet info pict header headerl headerr headerf footer footerl footerr "
    b"footerf ftnsep ftnsepc ftncn aftnsep aftnsepc aftncn nonshppict sp shprslt filetbl "
    b"listname".split()
)
_STARRED_TEXT = frozenset((b"shpinst",))  # a text box
_SIGNS = {
    b"par": "\n",
    b"sect": "\n\n",
    b"page": "\n\n",
    b"line": "\n",
    b"row": "\n",
    b"nestrow": "\n",
    b"tab": "\t",
    b"cell": "\t",
    b"nestcell": "\t",
    b"emdash": "—",
    b"endash": "–",
    b"emspace": " ",
    b"enspace": " ",
    b"qmspace": " ",
    b"bullet": "•",
    b"lquote": "‘",
    b"rquote": "’",
    b"ldblquote": "“",
    b"rdblquote": "”",
}
_SYMBOLS = {b"~": " ", b"_": "-", b"\\": "\\", b"{": "{", b"}": "}", b"\n": "\n", b"\r": "\n"}
_CODE_PAGES = {b"mac": "mac_roman", b"pc": "cp437", b"pca": "cp850"}
_FONTS = {
    0: "cp1252",
    77: "mac_roman",
    128: "cp932",
    129: "cp949",
    130: "johab",
    134: "gbk",
    136: "cp950",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
    254: "cp437",
}
_WINDOWS = "cp1252"
_LINE_END = re.compile(r"[ \t]+(?=\n|$)")


def rtf_text(content: bytes, where: str) -> str:
    """Return the text of an RTF document.

    Bytes that the encoding of their font doesn't have become U+FFFD.

    Raises:
        DataError: If it ends too early.
    """
    document = _Document()
    place = 0
    while (found := _TOKEN.match(content, place)) is not None:
        skipped = document.read(found)
        place = found.end() + skipped
        if document.ended:
            break
    if not document.ended:
        raise DataError(f"{where}: the RTF document ends too early. Copy or export it again.")
    return document.text()


@dataclass(frozen=True, slots=True)
class _State:
    """What holds within a group."""

    is_text: bool = True
    hidden: bool = False
    deleted: bool = False
    fonts: bool = False  # the table of fonts
    substitutes: int = 1  # characters after each \u
    font: int | None = None


class _Document:
    def __init__(self) -> None:
        self.ended = False
        self._parts: list[str] = []
        self._bytes = bytearray()  # of text, in the encoding of the present font
        self._state = _State()
        self._outer: list[_State] = []
        self._encoding_of: dict[int, str] = {}
        self._code_page = _WINDOWS
        self._usual_font: int | None = None
        self._skip = 0  # substitutes that are still to be left out
        self._starred = False

    def read(self, found: re.Match[bytes]) -> int:
        """Read a token; return the number of bytes after it that are no tokens."""
        word, number, byte, symbol, brace, text = found.groups()
        if text is not None:
            self._add(text)
        elif byte is not None:
            self._add(bytes.fromhex(byte.decode()))
        elif brace is not None:
            self._skip = 0
            self._flush()
            if brace == b"{":
                self._outer.append(self._state)
            else:
                self._state = self._outer.pop() if self._outer else self._state
                self.ended = not self._outer
            self._starred = False
        elif symbol is not None:
            self._symbol(symbol)
        elif word is not None:
            return self._word(word, None if number is None else int(number))
        return 0

    def text(self) -> str:
        """Return all text."""
        self._flush()
        # Characters beyond U+FFFF are written as the two halves of UTF-16.
        whole = "".join(self._parts).encode("utf-16-le", "surrogatepass")
        return _LINE_END.sub("", whole.decode("utf-16-le", "replace")).strip("\n")

    @property
    def _shown(self) -> bool:
        return self._state.is_text and not self._state.hidden and not self._state.deleted

    def _add(self, text: bytes) -> None:
        if self._skip:
            left_out = min(self._skip, len(text))
            self._skip -= left_out
            text = text[left_out:]
        if self._shown:
            self._bytes += text

    def _sign(self, sign: str) -> None:
        if self._shown:
            self._flush()
            self._parts.append(sign)

    def _flush(self) -> None:
        if self._bytes:
            font = self._usual_font if self._state.font is None else self._state.font
            encoding = self._encoding_of.get(-1 if font is None else font, self._code_page)
            self._parts.append(self._bytes.decode(encoding, "replace"))
            self._bytes.clear()

    def _symbol(self, symbol: bytes) -> None:
        if symbol == b"*":
            self._starred = True
        elif self._skip:
            self._skip -= 1
        elif symbol in _SYMBOLS:
            self._sign(_SYMBOLS[symbol])

    def _word(self, word: bytes, number: int | None) -> int:
        self._flush()
        starred, self._starred = self._starred, False
        if word == b"bin":
            return max(0, number or 0)
        if word in _NO_TEXT or (starred and word not in _STARRED_TEXT):
            self._state = replace(self._state, is_text=False, fonts=word == b"fonttbl")
        elif self._state.fonts:
            self._font(word, number)
        elif word == b"u" and number is not None:
            self._sign(chr(number % 0x10000))
            self._skip = self._state.substitutes
        elif word in _SIGNS:
            self._skip = 0
            self._sign(_SIGNS[word])
        else:
            self._property(word, number)
        return 0

    def _font(self, word: bytes, number: int | None) -> None:
        """Read a control word of the table of fonts."""
        if word == b"f":
            self._state = replace(self._state, font=number)
        elif word == b"fcharset" and number in _FONTS and self._state.font is not None:
            self._encoding_of[self._state.font] = _FONTS[number]
        elif word == b"cpg" and self._state.font is not None:
            self._encoding_of[self._state.font] = _code_page(number)

    def _property(self, word: bytes, number: int | None) -> None:
        on = number != 0
        if word == b"f":
            self._state = replace(self._state, font=number)
        elif word == b"plain":
            self._state = replace(self._state, font=None, hidden=False)
        elif word == b"uc":
            self._state = replace(self._state, substitutes=max(0, min(number or 0, 9)))
        elif word in (b"v", b"htmlrtf"):
            self._state = replace(self._state, hidden=on)
        elif word == b"deleted":
            self._state = replace(self._state, deleted=on)
        elif word == b"ansicpg":
            self._code_page = _code_page(number)
        elif word in _CODE_PAGES:
            self._code_page = _CODE_PAGES[word]
        elif word == b"deff":
            self._usual_font = number


def _code_page(number: int | None) -> str:
    name = {65001: "utf-8", 10000: "mac_roman"}.get(number or 0, f"cp{number}")
    try:
        codecs.lookup(name)
    except LookupError:
        return _WINDOWS
    return name
