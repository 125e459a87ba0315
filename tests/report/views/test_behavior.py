"""The results of behavioral tests on the terminal and in a page."""

from dataclasses import replace

import pytest

from icdcli.evaluation.behavior.run import BehaviorReport, CapabilityResult
from icdcli.report.views.behavior import behavior_html, behavior_view

FAILED = {"code": "486", "text": "No <b>pneumonia</b>.\nHome.", "predicted": ["486", "V15.82"]}
REPORT = BehaviorReport(
    "en",
    ("486",),
    (
        CapabilityResult("affirmed", "coded", 1200, 1200, 0.9968, 1.0),
        CapabilityResult("negated", "not coded", 40, 10, 0.1419, 0.4019, [FAILED] * 2, 20, 4),
    ),
    {"laterality": "no <side> is a label"},
)


def test_the_table_has_shares_and_intervals(render) -> None:
    lines = [" ".join(line.split()) for line in render(behavior_view(REPORT))]
    assert "1,240 notes about 1 condition" in lines
    assert "affirmed coded 1,200 1.000 0.997–1.000" in lines
    assert "negated not coded 40 0.250 0.142–0.402 0.200" in lines
    assert "laterality: not tested, no <side> is a label" in lines
    assert "pneumonia" not in "".join(lines)


def test_failing_notes_are_shown_on_request(render) -> None:
    text = " ".join(render(behavior_view(REPORT, failures=True)))
    assert "negated: 486 in 'No <b>pneumonia</b>. / Home.': 486, V15.82" in text


def test_the_page_folds_failing_notes_and_escapes_them() -> None:
    page = behavior_html(REPORT)
    assert "<td class=text>negated</td><td class=text>not coded</td><td>40</td>" in page
    assert "<td>0.250</td><td>0.142–0.402</td>" in page
    assert page.count("<details><summary>") == 1  # and it isn't open
    assert "<summary>negated (should not be coded): 2 of 30 failing</summary>" in page
    assert page.count("No &lt;b&gt;pneumonia&lt;/b&gt;.\nHome.") == 2
    assert "486, V15.82" in page
    assert "<p class=quiet>laterality: not tested, no &lt;side&gt; is a label</p>" in page
    assert "<b>" not in page


def test_a_changed_note_is_shown_with_the_codes_before(render) -> None:
    changed = {"code": "486", "text": "___ 486", "predicted": [], "of_base": ["486", "401.9"]}
    one = replace(REPORT.capabilities[1], expect="unchanged", failures=[changed])
    report = replace(REPORT, capabilities=(one,))
    text = " ".join(render(behavior_view(report, failures=True)))
    assert "no code, before the change 486, 401.9" in " ".join(text.split())
    assert "no code, before the change 486, 401.9" in behavior_html(report)


@pytest.mark.parametrize(("failures", "says"), [(2, "2 failing"), (1, "1 of 2 failing")])
def test_it_says_how_many_of_the_failing_notes_are_listed(failures: int, says: str) -> None:
    one = replace(REPORT.capabilities[1], passed=38, failures=[FAILED] * failures)
    assert f"(should not be coded): {says}<" in behavior_html(replace(REPORT, capabilities=(one,)))
