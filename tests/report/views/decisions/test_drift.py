"""The terminal view of a drift says what differs, and what it means."""

from collections.abc import Callable
from pathlib import Path

from icdcli.drift.comparison import CODES, MeasureShift
from icdcli.drift.run import DriftReport
from icdcli.evaluation.reference.scores import SCORE_MEASURES
from icdcli.evaluation.reference.texts import TEXT_MEASURES
from icdcli.report.views.decisions.drift import drift_view

Render = Callable[..., list[str]]
SAME = tuple(MeasureShift(name, 0.5, 0.5, 0.01, 1.0) for name in (*TEXT_MEASURES, *SCORE_MEASURES))
GROUP = MeasureShift(CODES, 0.1234, 0.5, 0.9, 0.0001, "diagnosis C")


def report(*differences: MeasureShift, documents: tuple[int, int] = (1000, 1200)) -> DriftReport:
    return DriftReport(Path("checkpoint"), 1234, 1, documents, differences)


def test_without_an_alarm_the_table_holds(render: Render) -> None:
    lines = render(drift_view(report(*SAME)))
    words = " ".join(lines)
    assert lines[0] == "1,234 notes, compared with 1,000 training texts and 1,200 scored documents"
    assert "1 note without words or codes left out." in words
    assert "No drift found: as far as this number of notes can show" in words
    assert "differs" not in words and "Few documents" not in words
    assert max(map(len, lines)) <= 80


def test_an_alarm_names_what_differs(render: Render) -> None:
    lines = render(drift_view(report(*SAME, GROUP, documents=(1000, 40))))
    (row,) = (line.split() for line in lines if line.startswith("with a diagnosis C…"))
    assert row[-5:] == ["12.3%", "50.0%", "0.90", "<.001", "differs"]
    words = " ".join(lines)
    assert (
        "Drift: with a diagnosis C…. The acceptance table was chosen on other notes and no "
        "longer holds" in words
    )
    assert "The summary has few documents (1,000 texts, 40 scored)" in words
