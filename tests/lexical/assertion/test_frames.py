"""What the affirmed text keeps and leaves out of short statements about any condition.

Each row of ``frames_en.tsv`` has a statement about a condition ``{X}``, and if the affirmed text
keeps the condition. The English cues were mended by these statements: they show what is known to
work, and `test_passages` how well it works for others.
"""

from pathlib import Path

import pytest

from icdcli.lexical.assertion.classes import Assertion
from icdcli.lexical.assertion.cues import built_in_cues
from icdcli.lexical.assertion.reader import reader_of

_KEPT = {Assertion.AFFIRMED, Assertion.HISTORICAL}
_MISREAD = {
    "Had {X} in college; resolved.",
    "Negative troponin, {X} on chest film.",
    "Fall without LOC, {X}.",
    "{X}  No",
    "{X} was looked for but not found.",
    "{X} vs. abscess",
    "{X} O Yes X No",
    "___ {X}  _x_ asthma",
    "Previously had {X}; resolved.",
    "Recovered from {X} in 2001.",
}


@pytest.mark.parametrize(
    "condition", ["Pneumonia", "Type 2 diabetes mellitus", "Fracture of the left femur"]
)
def test_statements_about_a_condition_are_kept_or_left_out(condition: str) -> None:
    table = Path(__file__).with_name("frames_en.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in table.splitlines()[1:]]
    assert len(rows) > 500
    reader = reader_of(built_in_cues("en"))
    misread = set()
    for expected, frame in rows:
        begin = frame.replace("\\n", "\n").index("{X}")
        name = condition if begin == 0 else condition.lower()
        text = frame.replace("\\n", "\n").replace("{X}", name)
        kept = reader.read(text).of_span(begin, begin + len(name)) in _KEPT
        if kept != (expected == "kept"):
            misread.add(frame)
    assert misread <= _MISREAD
