"""The sections of notes: which lines are headings."""

import pytest
from made_up_store import long_note

from icdcli.review_page.note_sections import note_sections


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("", []),
        ("Only a sentence. Another one: with a colon in it.", []),
        ("PLAN: rest\nMore.\nALLERGIES: none\n", ["PLAN", "ALLERGIES"]),
        ("Past medical history:\nAsthma\n\nPlan:\n- rest\n", ["Past medical history", "Plan"]),
        ("Intro.\n\nPlan: rest.\nDose: two tablets\n", ["Plan"]),  # values of a list are none
        ("FAMILY HISTORY\nnone\n\nASSESSMENT\nfine\n", ["FAMILY HISTORY", "ASSESSMENT"]),
        ("## Verlauf\r\nText\r\n\r\n## DIAGNOSEN:\r\nText", ["DIAGNOSEN"]),
        ("병력:\n고혈압\n\n평가:\n폐렴\n", ["병력", "평가"]),
        ("현병력: 3일간의 기침.\n\n퇴원진단: 폐렴.\n", ["현병력", "퇴원진단"]),
        ("Intro.\n\nplan: rest.\n", []),
        ("JUICIO CLÍNICO:\nAsma\n", ["JUICIO CLÍNICO"]),
        ("DID NOT COME!\n\nOK\n", []),
        ("12:30 seen\n08:00 asleep\n", []),
        (
            "This line is much too long to be a heading of a section in any note that I know of:\n",
            [],
        ),
    ],
)
def test_headings_begin_sections(text: str, titles: list[str]) -> None:
    found = note_sections(text)
    assert [one.title for one in found] == titles
    ends = [*(one.begin for one in found[1:]), len(text)]
    for one, end in zip(found, ends, strict=False):
        assert one.end == end and one.title in text[one.begin : end]


def test_a_long_note_is_read_quickly() -> None:
    text = long_note()
    found = note_sections(text)
    assert found[0].begin == 0 and found[-1].end == len(text)
    assert [one.title for one in found[:2]] == ["DAY 1", "DAY 2"] and len(found) > 100
