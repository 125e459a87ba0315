"""The acceptance table on the terminal and on the page."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from icdcli.evaluation.evaluate import Evaluation
from icdcli.icd.code_system import open_code_system
from icdcli.report.html import evaluation_page
from icdcli.report.plots.evaluation import evaluation_figures
from icdcli.report.views.evaluation import evaluation_view

Render = Callable[..., list[str]]
Make = Callable[..., Evaluation]
Add = Callable[[Evaluation], Evaluation]


@pytest.fixture
def precise(made_up_evaluation: Make, with_acceptance: Add) -> Evaluation:
    """Return an evaluation on validation in which some scores reach precisions."""
    return with_acceptance(made_up_evaluation(documents=400, skill=5.0, split="validation"))


def test_the_terminal_shows_three_precisions_in_80_columns(
    render: Render, precise: Evaluation
) -> None:
    lines = render(evaluation_view(precise))
    assert max(map(len, lines)) <= 80
    at = lines.index("codes to accept without review (predict --accept-at)")
    assert (
        lines[at + 1].split() == "precision score from codes notes observed 95 % interval".split()
    )
    rows = [line.split() for line in lines[at + 3 : at + 6]]
    assert [row[0] for row in rows] == ["0.90", "0.95", "0.99"]
    assert precise.acceptance is not None
    row = precise.acceptance.shown[1]
    low, high = row.interval or (0, 0)
    shown = [f"{row.score:.4f}", f"{row.codes:.1%}", f"{row.notes:.1%}", f"{row.observed:.3f}"]
    assert rows[1][1:] == [*shown, f"{low:.3f}–{high:.3f}"]
    words = " ".join(lines[at:])
    assert "Chosen on 400 documents (validation); observed by cross-fitting" in words
    assert "calibration error" in words and "Brier score" in words


def test_it_is_said_if_no_score_reaches_the_precisions_or_there_is_no_table(
    render: Render, made_up_evaluation: Make, with_acceptance: Add
) -> None:
    poor = with_acceptance(made_up_evaluation(documents=100, skill=0.1, split="validation"))
    words = " ".join(render(evaluation_view(poor)))
    assert "No score reaches any of the precisions 0.90, 0.95, 0.99 on 100 documents" in words
    assert "score from" not in words
    few = with_acceptance(made_up_evaluation(documents=3, split="validation"))
    assert "Too few codes are predicted" in " ".join(render(evaluation_view(few)))
    without = with_acceptance(made_up_evaluation())
    assert "has no table. Evaluate it with --split validation" in " ".join(
        render(evaluation_view(without))
    )


def test_another_split_shows_what_was_observed_there(
    render: Render, made_up_evaluation: Make, precise: Evaluation
) -> None:
    other = replace(made_up_evaluation(documents=400, skill=5.0), acceptance=precise.acceptance)
    assert "observed on this split" in " ".join(render(evaluation_view(other)))


def test_the_page_has_the_table_and_the_curve(precise: Evaluation) -> None:
    page = evaluation_page(precise, evaluation_figures(precise), open_code_system("icd9"))
    assert "<h2 id=acceptance>" in page and "#acceptance" in page
    assert precise.acceptance is not None
    for row in precise.acceptance.shown:
        assert f"<td>{row.precision:.2f}</td>" in page
    assert "Codes accepted without review: risk and coverage" in page
    assert page.index("<h2 id=acceptance>") < page.index(
        '<h2 id="errors">'
    )  # what a reader decides
    assert page.index('<h2 id="errors">') < page.index('<h2 id="metrics">')
    assert "may still lack codes that the model missed" in page
