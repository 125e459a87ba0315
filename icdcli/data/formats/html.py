"""Text of HTML pages and of XHTML in FHIR.

Marks are read as browsers read them. Python's own parser takes hours for a megabyte of marks that
never end; here, the time is proportional to the size of the page.
"""

import re
from html import unescape

from icdcli.data.formats.charsets import decoded_as
from icdcli.data.formats.layout import TextLayout

# A tag, whose values may have > in quotes; and one as it is read if quotes never end.
_TAG = re.compile(r"""<(/?)([a-zA-Z][^\s/>]*+)((?:[^>"']++|"[^"]*+"|'[^']*+')*+)>""")
_SIMPLE_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/<>]*+)([^<>]*+)>")
_MOST_ENDLESS = 16  # tags that may be searched for their end in vain
_RAW = frozenset("script style title iframe".split())
_SKIPPED = frozenset("template noscript svg".split())
_LINES = frozenset(
    "address article aside blockquote body center dd div dl dt fieldset figcaption figure footer "
    "form header hr html legend li main nav ol section ul caption thead tbody tfoot".split()
)
_PARAGRAPHS = frozenset("p h1 h2 h3 h4 h5 h6 table pre".split())
_CHARSET = re.compile(rb"<meta[^>]{1,200}?charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)
_BEGINNING = 4096  # bytes, in which a page names its encoding


def html_text(markup: str) -> str:
    """Return the text that a page shows, without its title, scripts and styles."""
    page = _Page()
    page.read(markup)
    return page.layout.text()


def html_bytes_text(content: bytes, charset: str | None, where: str) -> str:
    """Return the text of a page, in the encoding that it names if ``charset`` is None.

    Raises:
        DataError: If it isn't in its encoding.
    """
    if charset is None and (named := _CHARSET.search(content[:_BEGINNING])):
        charset = named[1].decode()
    return html_text(decoded_as(content, charset, where))


class _Page:
    def __init__(self) -> None:
        self.layout = TextLayout()
        self._skipped: list[str] = []  # open elements without text
        self._exact = 0  # open elements whose white space has a meaning
        self._endless = 0

    def read(self, page: str) -> None:
        """Read a page."""
        place = 0
        while place < len(page):
            mark = page.find("<", place)
            mark = len(page) if mark < 0 else mark
            if mark > place:
                self._text(page[place:mark])
            place = self._mark(page, mark) if mark < len(page) else mark

    def _mark(self, page: str, place: int) -> int:
        """Read what begins with ``<``; return the place after it."""
        following = page[place + 1 : place + 2]
        if following in ("!", "?"):
            is_comment = page.startswith("<!--", place)
            end = page.find("-->" if is_comment else ">", place + 2)
            if end >= 0:
                return end + (3 if is_comment else 1)
            return len(page)  # the rest is a comment, for browsers too
        found = None
        if following.isalpha() or following == "/":
            if self._endless < _MOST_ENDLESS:
                found = _TAG.match(page, place)
                self._endless += found is None
            found = found or _SIMPLE_TAG.match(page, place)
        if found is None:
            self._text("<")
            return place + 1
        closing, name, empty = found[1], found[2].lower(), found[3].endswith("/")
        if closing:
            self._end(name)
        elif name in _RAW:
            return _after_raw(page, found.end(), name)
        else:
            self._start(name, empty)
        return found.end()

    def _start(self, name: str, is_empty: bool) -> None:
        if name == "body":  # ends what was left open before it
            self._skipped.clear()
        if self._skipped or name in _SKIPPED:
            if not is_empty and (not self._skipped or name == self._skipped[-1]):
                self._skipped.append(name)
            return
        self._exact += name == "pre"
        self._break(name)

    def _end(self, name: str) -> None:
        if self._skipped:
            if name == self._skipped[-1]:
                self._skipped.pop()
            return
        if name == "pre":
            self._exact = max(0, self._exact - 1)
        if name in _LINES or name in _PARAGRAPHS or name == "tr":
            self._break(name)

    def _text(self, text: str) -> None:
        if self._skipped:
            return
        text = unescape(text)
        if self._exact:
            self.layout.exactly(text)
        else:
            self.layout.words(text)

    def _break(self, tag: str) -> None:
        if tag == "br":
            self.layout.line_break()
        elif tag == "tr":
            self.layout.row()
        elif tag in ("td", "th"):
            self.layout.cell()
        elif tag in _PARAGRAPHS:
            self.layout.paragraph()
        elif tag in _LINES:
            self.layout.line()


def _after_raw(page: str, place: int, name: str) -> int:
    """Return the place after an element without marks in it, whose text isn't shown."""
    end = re.compile(f"</{name}", re.IGNORECASE).search(page, place)
    closed = page.find(">", end.end()) if end is not None else -1
    return closed + 1 if closed >= 0 else len(page)
