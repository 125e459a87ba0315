"""Evidence on the terminal and in HTML: the sentences that contain it, its words emphasized."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from icdcli.explain.spans import EvidenceSpan, EvidenceSpans, without_affirmed
from icdcli.report.formatting import plain

# A line that begins in lower case continues the sentence of the line before it.
_END = re.compile(r"(?<=[.!?])\s+|\s*\n[^\S\n]*\n\s*|\s*\n\s*+(?![a-z])")
_LONGEST, _AROUND = 300, 100
"""The longest sentence shown completely; of a longer one, the characters around the evidence."""

_STYLE, _SIGN, _CUT = "bold reverse", "**", "…"

Marked = tuple[str, str | None, EvidenceSpans]
"""A code, its title and its evidence."""


Passage = list[tuple[str, EvidenceSpan | None]]
"""Consecutive text of a note in pieces; those that are evidence with their span. Blanks are
collapsed."""

SAID_OF_IT = {
    "historical": "history",
    "negated": "denied",
    "hypothetical": "possible",
    "other": "no finding",
    "family": "family",
    "resolved": "resolved",
}
"""What a note says of evidence that it doesn't affirm: the class of the assertion, in a word."""

NOT_AFFIRMED = "no affirmed evidence"


def passages(text: str, spans: EvidenceSpans) -> Iterator[Passage]:
    """Yield the sentences that contain spans; of a long sentence, the text around the spans.

    A sentence ends at the end of a line unless the next one begins in lower case, or after a
    period, question mark or exclamation mark that a blank follows.

    Args:
        text: The note.
        spans: Spans of the note, in its order.
    """
    ends = [match.span() for match in _END.finditer(text)]
    begins, stops = [0, *(end for _, end in ends)], [*(begin for begin, _ in ends), len(text)]
    around: list[tuple[int, int, list[EvidenceSpan]]] = []
    for span in spans:
        begin, end = span.begin, span.end
        first, last = begins[bisect_right(begins, begin) - 1], stops[bisect_left(stops, end)]
        if last - first > _LONGEST:
            first, last = max(first, _word_begins(text, begin)), min(last, _word_ends(text, end))
        if around and first <= around[-1][1]:
            first, reached, together = around.pop()
            around.append((first, max(reached, last), [*together, span]))
        else:
            around.append((first, last, [span]))
    for first, last, marked in around:
        cut_before, cut_behind = (
            place not in places for place, places in ((first, begins), (last, stops))
        )
        yield [*_pieces(text, first, last, marked, cut_before, cut_behind)]


def evidence_view(
    text: str, codes: Sequence[Marked], signs: bool, name_notes: bool = False
) -> RenderableType:
    """Render the evidence for the codes of a note.

    Beside evidence that isn't affirmed stands what the note says of it: ``denied``, ``family``.

    Args:
        text: The note.
        codes: Its codes.
        signs: Put asterisks around the evidence, for output that can't show styles.
        name_notes: Name the note of each passage, since several are joined.

    Returns:
        A rich renderable that fits any width: a heading per code, and below it the passages.
    """
    parts: list[RenderableType] = []
    for code, title, spans in codes:
        heading = plain(f"{code}  {title}" if title else code, "bold")
        if without_affirmed(code, spans):
            heading += plain(f"  ({NOT_AFFIRMED})", "yellow")
        parts.append(heading)
        for passage in passages(text, spans):
            line = Text()
            for piece, span in passage:
                line += plain(
                    f"{_SIGN}{piece}{_SIGN}" if span and signs else piece, _STYLE if span else ""
                )
                if span and (said := SAID_OF_IT.get(span.assertion or "")):
                    line += plain(f" ({said})", "yellow")
            if name_notes:
                places = (span.place for _, span in passage if span and span.place)
                ids = dict.fromkeys(place.note_id for place in places)
                line += plain("".join(f" [{id}]" for id in ids), "dim")
            parts.append(Padding(line, (0, 0, 0, 2)))
    return Group(*parts, plain(""))


def _pieces(
    text: str,
    first: int,
    last: int,
    marked: Sequence[EvidenceSpan],
    cut_before: bool,
    cut_behind: bool,
) -> Iterator[tuple[str, EvidenceSpan | None]]:
    if cut_before:
        yield _CUT, None
    place = first
    for span in marked:
        yield re.sub(r"\s+", " ", text[place : span.begin]), None
        yield re.sub(r"\s+", " ", text[span.begin : span.end]), span
        place = span.end
    yield re.sub(r"\s+", " ", text[place:last]) + (_CUT if cut_behind else ""), None


def _word_begins(text: str, span: int) -> int:
    """Return the start of a word some way before a span, or of the span if there is none."""
    place = max(span - _AROUND, 0)
    while place and place < span and not text[place - 1].isspace():
        place += 1
    return place


def _word_ends(text: str, span: int) -> int:
    """Return the end of a word some way after a span, or of the span if there is none."""
    place = min(span + _AROUND, len(text))
    while place < len(text) and place > span and not text[place].isspace():
        place -= 1
    return place
