"""Every figure is legible: all text is inside, and no two texts cover each other."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from icdcli.evaluation.evaluate import Evaluation
from icdcli.report.plots.evaluation import as_svg, evaluation_figures

Make = Callable[..., Evaluation]
Texts = Callable[[Figure], list[str]]
Illegible = Callable[[Figure], list[str]]
NAMES = ("precision_recall", "calibration", "f1_by_frequency")


@pytest.mark.parametrize("documents", [40, 3])
@pytest.mark.parametrize("name", NAMES)
def test_no_text_is_outside_or_covers_another(
    made_up_evaluation: Make, texts: Texts, illegible: Illegible, name: str, documents: int
) -> None:
    figure = evaluation_figures(made_up_evaluation(documents=documents))[name]
    assert len(texts(figure)) > 8
    assert illegible(figure) == []


@pytest.mark.parametrize(("documents", "skill"), [(400, 5.0), (40, 2.0), (3, 2.0)])
def test_the_risk_is_legible(
    made_up_evaluation: Make,
    with_acceptance: Callable[[Evaluation], Evaluation],
    texts: Texts,
    illegible: Illegible,
    documents: int,
    skill: float,
) -> None:
    made = made_up_evaluation(documents=documents, skill=skill, split="validation")
    evaluation = with_acceptance(made)
    figure = evaluation_figures(evaluation)["risk_coverage"]
    assert illegible(figure) == []
    shown = " ".join(texts(figure))
    assert "validation · run" in shown and "mean risk 0." in shown
    assert evaluation.acceptance is not None
    reached = sum(row.score is not None for row in evaluation.acceptance.shown)
    assert shown.count("score from 0.") == reached
    assert (reached == 3) == (documents == 400)


def test_every_band_has_its_mean(made_up_evaluation: Make, texts: Texts) -> None:
    evaluation = made_up_evaluation()
    figure = evaluation_figures(evaluation)["f1_by_frequency"]
    shown = set(texts(figure))
    for values in evaluation.by_training_frequency.values():
        assert f"{values['f1_macro']:.2f}" in shown


def test_figures_say_what_they_show(made_up_evaluation: Make, texts: Texts) -> None:
    evaluation = replace(made_up_evaluation(), about={"dataset": "mimic3"})
    figures = evaluation_figures(evaluation)
    for figure in figures.values():
        assert any("mimic3 · test" in words for words in texts(figure))
    curves = " ".join(words for words in texts(figures["precision_recall"]))
    assert "(12 codes, AP 0." in curves
    assert "above 0.07" in " ".join(words for words in texts(figures["calibration"]))


def test_texts_of_an_svg_stay_texts(made_up_evaluation: Make) -> None:
    svg = as_svg(evaluation_figures(made_up_evaluation())["calibration"], "calibration", 'a "b"')
    assert svg.startswith('<svg role="img" aria-label="a &quot;b&quot;"')
    assert ">share of gold codes</text>" in svg
