"""What the affirmed text keeps and leaves out of short statements about any condition.

Each row of ``frames_LANGUAGE.tsv`` has a statement about a condition ``{X}``, and if the affirmed
text keeps the condition. The cues were mended by these statements: they show what is known to work,
and `test_passages` how well it works for others.
"""

from pathlib import Path

import pytest

from icdcli.lexical.assertion.classes import Assertion
from icdcli.lexical.assertion.cues import built_in_cues
from icdcli.lexical.assertion.reader import reader_of

_KEPT = {Assertion.AFFIRMED, Assertion.HISTORICAL}
_MISREAD = {
    "Negative troponin, {X} on chest film.",
    "Fall without LOC, {X}.",
    "{X} O Yes X No",
    "발열/{X}/기침: 모두 없음",
    "{X}일 수 있어 검사 진행.",
}
_CONDITIONS = {
    "en": ("Pneumonia", "Type 2 diabetes mellitus", "Fracture of the left femur"),
    "es": ("Neumonía", "Diabetes mellitus tipo 2", "Fractura del fémur izquierdo"),
    "ko": ("폐렴", "제2형 당뇨병", "대퇴골 골절"),
}
_FRAMES = {"en": 800, "es": 1_250, "ko": 430}


@pytest.mark.parametrize(
    ("language", "condition"),
    [(language, condition) for language in _CONDITIONS for condition in _CONDITIONS[language]],
)
def test_statements_about_a_condition_are_kept_or_left_out(language: str, condition: str) -> None:
    table = Path(__file__).with_name(f"frames_{language}.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in table.splitlines()[1:]]
    assert len(rows) > _FRAMES[language]
    reader = reader_of(built_in_cues(language))
    misread = set()
    for expected, frame in rows:
        begin = frame.replace("\\n", "\n").index("{X}")
        name = condition if begin == 0 else condition.lower()
        text = frame.replace("\\n", "\n").replace("{X}", name)
        kept = reader.read(text).of_span(begin, begin + len(name)) in _KEPT
        if kept != (expected == "kept"):
            misread.add(frame)
    assert misread <= _MISREAD
