"""Text of HTML pages and of XHTML in FHIR, by Python's own parser."""

import re
from html.parser import HTMLParser

from icdcli.data.formats.charsets import decoded_as
from icdcli.data.formats.layout import TextLayout

_SKIPPED = frozenset("title script style template noscript svg".split())
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
    page.feed(markup)
    page.close()
    return page.layout.text()


def html_bytes_text(content: bytes, charset: str | None, where: str) -> str:
    """Return the text of a page, in the encoding that it names if ``charset`` is None.

    Raises:
        DataError: If it isn't in its encoding.
    """
    if charset is None and (named := _CHARSET.search(content[:_BEGINNING])):
        charset = named[1].decode()
    return html_text(decoded_as(content, charset, where))


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.layout = TextLayout()
        self._skipped: list[str] = []  # open elements without text
        self._exact = 0  # open elements whose white space has a meaning

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "body":  # ends what was left open before it
            self._skipped.clear()
        if self._skipped:
            if tag == self._skipped[-1]:
                self._skipped.append(tag)
        elif tag in _SKIPPED:
            self._skipped.append(tag)
        else:
            self._exact += tag == "pre"
            self._break(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self._skipped:  # <br/>, and in XHTML an empty <td/>
            self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            if tag == self._skipped[-1]:
                self._skipped.pop()
            return
        if tag == "pre":
            self._exact = max(0, self._exact - 1)
        if tag in _LINES or tag in _PARAGRAPHS or tag == "tr":
            self._break(tag)

    def handle_data(self, data: str) -> None:
        if self._skipped:
            return
        if self._exact:
            self.layout.exactly(data)
        else:
            self.layout.words(data)

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
