from collections.abc import Callable
from dataclasses import replace

from icdcli.config.metric_names import METRICS
from icdcli.evaluation.error_groups import error_groups
from icdcli.evaluation.evaluate import Evaluation
from icdcli.model.threshold import Threshold
from icdcli.report.views.verdict import errors_html, headline_html, metric_groups, verdict

Make = Callable[..., Evaluation]


def test_four_numbers_come_with_their_intervals(made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation()
    html = headline_html(evaluation)
    assert html.count("<div>") == 4
    low, high = evaluation.intervals["f1_micro"]
    assert f"{evaluation.metrics['f1_micro']:.3f}" in html
    assert f"95 % interval <span class=whole>{low:.3f}–{high:.3f}</span>" in html
    assert "how far up in the model" in html


def test_the_verdict_counts_codes_per_note(made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation()
    sentences = list(verdict(evaluation, error_groups(evaluation)))
    predicted = evaluation.statistics.predicted_NL.sum() / 40
    gold = evaluation.targets_NL.sum() / 40
    assert sentences[0] == (
        f"At this threshold a reviewer sees {predicted:.1f} codes per note; the gold standard (the "
        f"codes recorded for these notes) has {gold:.1f}."
    )
    right = 100 * evaluation.metrics["precision_micro"]
    found = 100 * evaluation.metrics["recall_micro"]
    assert sentences[1] == (
        f"Of 100 predicted codes, {right:.0f} are right. Of 100 gold codes, {found:.0f} are found."
    )


def test_a_model_that_predicts_nothing_is_told(made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation(threshold=Threshold(1.0))
    sentences = list(verdict(evaluation, error_groups(evaluation)))
    assert sentences[1:] == ["No code is predicted. A lower threshold would show some."]


def test_all_metrics_are_in_one_group(made_up_evaluation: Make) -> None:
    groups = metric_groups(dict.fromkeys(("loss", *METRICS), 0.5))
    assert sorted(name for names in groups.values() for name in names) == sorted(("loss", *METRICS))
    assert "map_codiesp" in groups["Ranking"]
    assert groups["Loss and calibration"] == ["loss", "calibration_error"]


def test_errors_are_counted_in_a_table(made_up_evaluation: Make) -> None:
    errors = error_groups(made_up_evaluation())
    html = errors_html(errors)
    for count in (*errors.missed.values(), *errors.extra.values()):
        assert f"<td>{count:,}</td>" in html


def test_the_verdict_says_how_many_codes_need_no_review(
    made_up_evaluation: Make, with_acceptance: Callable[[Evaluation], Evaluation]
) -> None:
    good = with_acceptance(made_up_evaluation(documents=400, skill=5.0, split="validation"))
    assert good.acceptance is not None
    row = good.acceptance.shown[1]
    assert row.observed is not None and row.interval is not None
    low, high = (100 * bound for bound in row.interval)
    said = " ".join(verdict(good, error_groups(good)))
    assert f"{100 * row.codes:.0f} of 100 predicted codes have so high a score" in said
    assert f"{100 * row.observed:.0f} are right (95 % interval {low:.0f}–{high:.0f})" in said
    assert f"In {100 * row.notes:.1f} % of the notes" in said
    poor = with_acceptance(made_up_evaluation(documents=100, skill=0.1, split="validation"))
    assert "review all codes" in " ".join(verdict(poor, error_groups(poor)))
    without = made_up_evaluation()
    assert "without review" not in " ".join(verdict(without, error_groups(without)))


def test_the_verdict_says_how_many_rare_codes_are_found(made_up_evaluation: Make) -> None:
    made = made_up_evaluation(documents=400)
    bands = {
        "never": {"gold": 30.0, "recall_micro": 0.17},
        "1-10": {"gold": 30.0, "recall_micro": 0.4},
        "51-500": {"gold": 30.0, "recall_micro": 0.692},
    }
    said = [*verdict(replace(made, by_training_frequency=bands), error_groups(made))]
    assert (
        "Of 100 gold codes with 51-500 training documents, 69 are found; of 100 with no training "
        "documents, 17." in said
    )
