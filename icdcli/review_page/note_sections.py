"""The sections of a note, which the page can fold: a heading, and what follows it."""

import re
from itertools import pairwise
from typing import Any, NamedTuple

_LONGEST = 60
_MOST_WORDS = 8
_LEAST_LETTERS = 3
_LINE = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+)?(\S[^\n]*)$", re.MULTILINE)
_SENTENCE = re.compile(r"[.!?;]\s")
_HEADED = re.compile(rf"([^\W\d_][^:：\n]{{0,{_LONGEST}}}?)[ \t]*[:：]")


class NoteSection(NamedTuple):
    """A part of a note.

    Attributes:
        begin: The first character of its heading.
        end: The character after the section, where the next one begins.
        title: The heading, without its colon.
    """

    begin: int
    end: int
    title: str

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return self._asdict()


def note_sections(text: str) -> list[NoteSection]:
    """Return the sections of a note in their order; what is before the first heading is in none.

    A heading begins a line and ends with a colon (``Past medical history:``), after which the line
    may go on if it is in capitals, or after an empty line; or it is a line in capitals alone.
    """
    found: list[tuple[int, str]] = []
    after_blank = True
    end = 0
    for line in _LINE.finditer(text):
        after_blank = (not found and end == 0) or "\n\n" in _plain(text[end : line.start() + 1])
        if (title := _title_of(line[1], after_blank)) is not None:
            found.append((line.start(), title))
        end = line.end()
    places = [*(begin for begin, _ in found), len(text)]
    return [
        NoteSection(begin, end, title)
        for (begin, end), (_, title) in zip(pairwise(places), found, strict=True)
    ]


def _plain(blank: str) -> str:
    return re.sub(r"[ \t\r]", "", blank)


def _title_of(line: str, after_blank: bool) -> str | None:
    """Return the heading of a line; None: it has none."""
    headed = _HEADED.match(line)
    title = headed[1].strip() if headed else line.strip()
    if len(title) > _LONGEST or len(title.split()) > _MOST_WORDS or _SENTENCE.search(title):
        return None
    if sum(map(str.isalpha, title)) < _LEAST_LETTERS:
        # Korean headings are short: 병력.
        return title if headed and title.isalpha() and not title.isascii() else None
    capitals = title.isupper()
    if headed is None:
        return title if capitals and after_blank and not title.endswith((".", "!", "?")) else None
    rest = line[headed.end() :].strip()
    # Korean letters are neither small nor capital.
    return title if not rest or capitals or (after_blank and not title[0].islower()) else None
