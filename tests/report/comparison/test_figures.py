"""The figures of a comparison are legible: all text is inside, and no texts cover each other."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from icdcli.evaluation.compare import Contender, compare_models
from icdcli.evaluation.evaluate import Evaluation
from icdcli.report.comparison.figures import comparison_figures
from icdcli.report.comparison.findings import Findings

Make = Callable[..., Evaluation]


@pytest.mark.parametrize("runs", [2, pytest.param(9, marks=pytest.mark.slow)])
def test_every_figure_is_legible(
    made_up_evaluation: Make,
    texts: Callable[[Figure], list[str]],
    illegible: Callable[[Figure], list[str]],
    runs: int,
) -> None:
    evaluations = [made_up_evaluation(seed=seed) for seed in range(runs)]
    comparison = compare_models(
        [Contender.of(f"run {place}", one) for place, one in enumerate(evaluations)]
    )
    comparison = replace(comparison, labels=evaluations[0].labels)
    figures = comparison_figures(
        comparison, Findings(comparison, evaluations[0].labels), "mimic3 · test"
    )
    assert list(figures) == ["differences", "frequencies"]
    for figure in figures.values():
        assert "mimic3 · test" in texts(figure)
        assert illegible(figure) == []
    drawn = [words for words in texts(figures["differences"]) if words.endswith(" - A")]
    assert drawn == [f"{letter} - A" for letter in "BCDEFG"[: min(runs, 7) - 1]]
