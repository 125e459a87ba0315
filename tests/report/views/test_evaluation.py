from collections.abc import Callable

import pytest

from icdcli.evaluation.compare import Contender, compare_models
from icdcli.evaluation.evaluate import Evaluation
from icdcli.evaluation.published_results import Comparable, comparable
from icdcli.model.threshold import Threshold
from icdcli.report.views.comparison import comparison_view
from icdcli.report.views.evaluation import HEADLINE, evaluation_view

Render = Callable[..., list[str]]
Make = Callable[..., Evaluation]
CARD = {
    "dataset": "mimic3",
    "protocol": "mimic3-full-caml",
    "benchmark": {"is_benchmark": True, "reason": ""},
}


def test_it_fits_80_columns_and_names_its_documents(
    render: Render, made_up_evaluation: Make
) -> None:
    evaluation = made_up_evaluation(threshold=Threshold(0.4, "auto", "validation"))
    lines = render(evaluation_view(evaluation, comparable(CARD, "test")))
    assert max(map(len, lines)) <= 80
    assert lines[:2] == [
        "test: 40 documents, 12 codes (1 without a positive)",
        "threshold 0.4 (auto, tuned on the validation split)",
    ]


def test_headline_metrics_have_intervals(render: Render, made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation()
    lines = render(evaluation_view(evaluation))
    assert evaluation.metrics["recall_at_15"] == 1
    assert "recall_at_15" not in evaluation.intervals
    for name in (name for name in HEADLINE if name in evaluation.intervals):
        low, high = evaluation.intervals[name]
        words = next(line.split() for line in lines if line.startswith(f"{name} "))
        if name != "loss":
            assert words[1:3] == [f"{evaluation.metrics[name]:.4f}", f"{low:.4f}–{high:.4f}"]
    assert not any("…" in line for line in lines if line.startswith(tuple(HEADLINE)))


def test_rare_and_common_codes_have_rows_of_their_own(
    render: Render, made_up_evaluation: Make
) -> None:
    evaluation = made_up_evaluation()
    lines = render(evaluation_view(evaluation))
    for name, values in evaluation.by_training_frequency.items():
        row = next(line.split() for line in lines if line.startswith(f"{name} "))
        assert row[1:3] == [str(values["labels"]), str(values["gold"])]
    # An undefined value, here the areas of a code that is never gold, is empty rather than 0.
    assert any(line.startswith("procedure ") for line in lines)


def test_best_and_worst_codes_are_named_once_with_titles(
    render: Render, made_up_evaluation: Make
) -> None:
    evaluation = made_up_evaluation()
    lines = render(evaluation_view(evaluation))
    start = next(
        number for number, line in enumerate(lines) if line.startswith("best and worst codes")
    )
    rows = [line.split() for line in lines[start + 3 :] if line[:1].isalnum()]
    shown = [row[0] for row in rows]
    assert 2 <= len(shown) == len(set(shown)) <= 10
    assert "999.99" not in shown
    assert all("Title" in row for row in rows)
    scores = [float(row[-1]) for row in rows]
    assert scores == sorted(scores, reverse=True)


def test_caveats_come_first(render: Render, made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation(threshold=Threshold(0.4, "auto", "test"))
    assert render(evaluation_view(evaluation))[2].startswith(
        "note: The threshold was tuned on this split"
    )


def test_published_results_have_source_and_caveat(render: Render, made_up_evaluation: Make) -> None:
    text = "\n".join(render(evaluation_view(made_up_evaluation(), comparable(CARD, "test"))))
    assert "PLM-ICD: Huang et al. 2022" in text
    assert "this run" in text
    assert "0.598" in text
    assert "GKI-ICD: GKI-ICD 2025 (the threshold was chosen on the test split" in text


def test_without_comparable_results_the_reason_is_shown(
    render: Render, made_up_evaluation: Make
) -> None:
    text = "\n".join(
        render(evaluation_view(made_up_evaluation(), Comparable((), "they are of another split")))
    )
    assert "none comparable: they are of another split" in text
    assert "published" not in "\n".join(render(evaluation_view(made_up_evaluation())))


@pytest.mark.parametrize("documents", [1, 3])
def test_few_documents_are_shown_too(
    render: Render, made_up_evaluation: Make, documents: int
) -> None:
    lines = render(evaluation_view(made_up_evaluation(documents=documents)))
    assert max(map(len, lines)) <= 80


def contenders(make: Make, *skills: float) -> list[Contender]:
    return [
        Contender(
            f"outputs/run{number}",
            "0.5",
            tuple(e.scored.documents.ids),
            e.labels.codes,
            e.statistics,
        )
        for number, e in enumerate((make(skill=skill) for skill in skills), 1)
    ]


def test_a_comparison_fits_80_columns(render: Render, made_up_evaluation: Make) -> None:
    comparison = compare_models(contenders(made_up_evaluation, 1.0, 3.0, 1.0))
    lines = render(comparison_view(comparison, "test"))
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert lines[:4] == [
        "test: 40 documents, 12 codes",
        *(
            f"{letter}  outputs/run{number}, threshold 0.5"
            for number, letter in enumerate("ABC", 1)
        ),
    ]
    rows = [line.split() for line in lines if line.startswith("map ")]
    difference = comparison.differences[0]["map"]
    bounds = [f"{difference.low:+.4f}", "to", f"{difference.high:+.4f}"]
    assert rows[0][3:] == [f"{difference.value:+.4f}", *bounds, "sure"]
    assert rows[1][3:] == ["+0.0000", "+0.0000", "to", "+0.0000"]


def test_a_comparison_in_json(made_up_evaluation: Make) -> None:
    comparison = compare_models(contenders(made_up_evaluation, 1.0, 3.0))
    values = comparison.to_json()
    assert (values["documents"], values["codes"], len(values["runs"])) == (40, 12, 2)
    assert "differences" not in values["runs"][0]
    assert set(values["runs"][1]["differences"]["map"]) == {"value", "low", "high", "sure"}
