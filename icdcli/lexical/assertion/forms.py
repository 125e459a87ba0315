"""Forms that were filled in by typing: their marks, rewritten as the boxes and answers of notes.

Every change keeps the length of the text, so that all places stay the same.
"""

import re
from collections.abc import Iterator, Sequence

_TYPED_BOX = re.compile(r"_+(?:[xXvV]_+)?(?![^\W_])")
"""A box drawn with underscores: ``__ gout _x_ asthma``. Alone, ``___`` is a removed name."""
_CHECKED_BOX = re.compile(r"_+[xXvV]_+(?![^\W_])")
_FILLED, _HOLLOW = re.compile("●"), re.compile("[○◯]")
"""Radio buttons; if a line has only one of them, it's a bullet."""
_YES = frozenset("yes y sí si s 예 네 유 있음".split())
_NO = frozenset("no n 아니오 아니요 무 없음".split())
_NO_COLUMN = re.compile(rf"[|\t] *(?:{'|'.join(_NO)}) *(?=[|\t\r\n]|\Z)", re.IGNORECASE)
_BOX = r"(?:\[[ xXvV_✓]{0,3}\]|\([ xXvV_✓]{0,3}\)|[☐□▢⬜☑☒✓✔■▣])"
_ANSWER = "|".join(_YES | _NO)
_CHOICE = rf"(?:{_BOX}\s?(?:{_ANSWER})\b|\b(?:{_ANSWER})\s?{_BOX})"
_GAP = re.compile(rf"({_CHOICE})(\t+| {{3,}})(?={_CHOICE})", re.IGNORECASE)
"""A gap between two choices of one answer; elsewhere, it's between a label and its value."""
_MARK = re.compile(r"\s*([xXvV✓✔√☑☒●■])\s*")
_RULE = re.compile(r"[\s|:+-]*")
_BOXES = ("[ ]", "[]", "( )", "()", "☐", "□", "▢", "⬜")


def read_forms(text: str) -> str:
    """Return a text with ``[x]`` for typed boxes, and answers for marks in columns."""
    if any(sign in text for sign in _BOXES):
        text = _GAP.sub(lambda match: match[1] + " " + "_" * (len(match[2]) - 1), text)
    columns = "|" in text or "\t" in text
    typed = ("_" in text and _CHECKED_BOX.search(text)) or ("●" in text and _HOLLOW.search(text))
    if not typed and not (columns and _NO_COLUMN.search(text)):
        return text
    return "".join(_answered([_with_boxes(line) for line in text.splitlines(keepends=True)]))


def _with_boxes(line: str) -> str:
    if _CHECKED_BOX.search(line):
        line = _TYPED_BOX.sub(lambda match: _box(match.group()), line)
    if _FILLED.search(line) and _HOLLOW.search(line):
        line = _HOLLOW.sub("☐", _FILLED.sub("☑", line))
    return line


def _box(typed: str) -> str:
    if typed.strip("_"):
        return "[" + typed[1:-1].replace("_", " ") + "]"
    return "☐" if len(typed) == 1 else "[" + "_" * min(len(typed) - 2, 3) + "]" + typed[5:]


def _answered(lines: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a note, with an N for each mark in the column of a header ``no``."""
    sign, yes, no = "", -1, -1
    for line in lines:
        own = "|" if "|" in line else "\t"
        cells = line.split(own)
        answers = [cell.strip().lower() for cell in cells]
        begins_yes = [place for place, answer in enumerate(answers) if answer in _YES]
        begins_no = [place for place, answer in enumerate(answers) if answer in _NO]
        if begins_yes and begins_no and (answers[0] not in _YES | _NO or not answers[0]):
            sign, yes, no = own, begins_yes[0], begins_no[0]
        elif own != sign or len(cells) <= min(yes, no):
            sign = sign if _RULE.fullmatch(line) and line.strip() else ""
        else:
            for place, answer in ((yes, " "), (no, "N")):
                mark = _MARK.fullmatch(cells[place]) if place < len(cells) else None
                if mark:
                    begin = mark.start(1)
                    cells[place] = cells[place][:begin] + answer + cells[place][begin + 1 :]
            line = own.join(cells)
        yield line
