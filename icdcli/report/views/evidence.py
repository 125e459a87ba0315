"""Evidence as a person reads it: the sentences that it stands in, its words emphasised."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from html import escape

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from icdcli.explain.spans import EvidenceSpans
from icdcli.report.formatting import plain

_END = re.compile(r"(?<=[.!?])\s+|\s*\n\s*")
_LONGEST, _AROUND = 300, 100
"""Of a sentence of more characters than that, so many on either side of the evidence are shown."""

_STYLE, _SIGN, _CUT = "bold reverse", "**", "…"

Marked = tuple[str, str | None, EvidenceSpans]
"""A code, its title and the words that it was chosen by."""


Passage = list[tuple[str, bool]]
"""Some of a note's text, shown together: in pieces, each with whether it is evidence; runs of blanks are one."""


def passages(text: str, spans: EvidenceSpans) -> Iterator[Passage]:
    """The sentences that spans stand in; or, of a long one, what is around them.

    A sentence ends where a line does, or behind a full stop, a question or exclamation mark that a blank follows.

    Args:
        text: The note.
        spans: In its order.
    """
    ends = [match.span() for match in _END.finditer(text)]
    begins, stops = [0, *(end for _, end in ends)], [*(begin for begin, _ in ends), len(text)]
    around: list[tuple[int, int, list[tuple[int, int]]]] = []
    for begin, end, _ in spans:
        first, last = begins[bisect_right(begins, begin) - 1], stops[bisect_left(stops, end)]
        if last - first > _LONGEST:
            first, last = max(first, _word_begins(text, begin)), min(last, _word_ends(text, end))
        if around and first <= around[-1][1]:
            first, reached, together = around.pop()
            around.append((first, max(reached, last), [*together, (begin, end)]))
        else:
            around.append((first, last, [(begin, end)]))
    for first, last, marked in around:
        cut_before, cut_behind = (
            place not in places for place, places in ((first, begins), (last, stops))
        )
        yield [*_pieces(text, first, last, marked, cut_before, cut_behind)]


def evidence_view(text: str, codes: Sequence[Marked], signs: bool) -> RenderableType:
    """Render the evidence of a note's codes.

    Args:
        text: The note.
        codes: Its codes.
        signs: Whether stars stand around the words, for where a style can't be seen.

    Returns:
        A rich renderable that fits any width: a heading a code, and below it the passages.
    """
    parts: list[RenderableType] = []
    for code, title, spans in codes:
        parts.append(plain(f"{code}  {title}" if title else code, "bold"))
        for passage in passages(text, spans):
            line = Text()
            for piece, marked in passage:
                line += plain(
                    f"{_SIGN}{piece}{_SIGN}" if marked and signs else piece,
                    _STYLE if marked else "",
                )
            parts.append(Padding(line, (0, 0, 0, 2)))
    return Group(*parts, plain(""))


def evidence_html(text: str, codes: Sequence[Marked]) -> str:
    """The same as HTML."""
    parts = []
    for code, title, spans in codes:
        parts.append(f"<dt>{escape(code)}</dt><dd>{escape(title or '')}")
        for passage in passages(text, spans):
            told = (
                f"<mark>{escape(piece)}</mark>" if marked else escape(piece)
                for piece, marked in passage
            )
            parts.append(f"<p>{''.join(told)}</p>")
        parts.append("</dd>")
    return f"<dl>{''.join(parts)}</dl>"


def _pieces(
    text: str,
    first: int,
    last: int,
    marked: Sequence[tuple[int, int]],
    cut_before: bool,
    cut_behind: bool,
) -> Iterator[tuple[str, bool]]:
    if cut_before:
        yield _CUT, False
    place = first
    for begin, end in marked:
        yield re.sub(r"\s+", " ", text[place:begin]), False
        yield re.sub(r"\s+", " ", text[begin:end]), True
        place = end
    yield re.sub(r"\s+", " ", text[place:last]) + (_CUT if cut_behind else ""), False


def _word_begins(text: str, span: int) -> int:
    """Where a word begins that is some way before a span, or the span where none does."""
    place = max(span - _AROUND, 0)
    while place and place < span and not text[place - 1].isspace():
        place += 1
    return place


def _word_ends(text: str, span: int) -> int:
    """Where a word ends that is some way behind a span, or the span where none does."""
    place = min(span + _AROUND, len(text))
    while place < len(text) and place > span and not text[place].isspace():
        place -= 1
    return place
