"""Plain text of a document with paragraphs, lines and tables, built from left to right."""

import re

_SPACES = re.compile(r"[ \t\r\n\f\v\xa0\u200b\ufeff]+")
_BLANK_END = re.compile(r"[ \t]+(?=\n|$)")
_STRENGTH = {"": 0, " ": 1, "\t": 2, "\n": 3, "\n\n": 4}


class TextLayout:
    """The text of a document.

    White space is decided by the structure: one blank between words, a line per paragraph, a tab
    between the cells of a row, an empty line between blocks that are apart.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._before = ""  # the white space before the next word
        self._first_cell = True
        self._begun = False  # whether blocks that begin here need no more white space

    def words(self, text: str) -> None:
        """Add text whose white space has no meaning."""
        joined = _SPACES.sub(" ", text)
        if joined.startswith(" "):
            self._at_least(" ")
        if inner := joined.strip(" "):
            self._add(inner)
            if joined.endswith(" "):
                self._at_least(" ")

    def exactly(self, text: str) -> None:
        """Add text whose white space has a meaning, such as that of a typewriter."""
        if text:
            self._add(text.replace("\r\n", "\n").replace("\r", "\n"))

    def line(self) -> None:
        """Continue on a new line, unless this is the beginning of a line or of a cell."""
        if not self._begun:
            self._at_least("\n")

    def paragraph(self) -> None:
        """Continue after an empty line, unless this is the beginning of a cell."""
        if not self._begun:
            self._at_least("\n\n")

    def text_of_title(self) -> None:
        """Continue on the line after a title, without an empty line."""
        self.line()
        self._begun = True

    def line_break(self) -> None:
        """Continue on a new line; the second one in succession leaves a line empty."""
        self._before = "\n\n" if self._before.startswith("\n") else "\n"

    def row(self) -> None:
        """Begin a row of a table, or continue after its last one."""
        self._before = "\n\n" if self._before == "\n\n" else "\n"
        self._first_cell, self._begun = True, False

    def cell(self) -> None:
        """Begin a cell of a table."""
        if not self._first_cell:
            self._before = "\t"
        self._first_cell, self._begun = False, True

    def text(self) -> str:
        """Return all text, without white space at the end of lines."""
        return _BLANK_END.sub("", "".join(self._parts))

    def _at_least(self, space: str) -> None:
        if _STRENGTH[space] > _STRENGTH[self._before]:
            self._before = space

    def _add(self, text: str) -> None:
        if self._parts:
            self._parts.append(self._before)
        self._parts.append(text)
        self._before, self._begun = "", False
