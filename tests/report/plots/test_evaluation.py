"""Every figure is legible: all text is inside, and no two texts cover each other."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from icdcli.evaluation.evaluate import Evaluation
from icdcli.report.plots.evaluation import as_svg, evaluation_figures

Make = Callable[..., Evaluation]
NAMES = ("precision_recall", "calibration", "f1_by_frequency")


def texts(figure: Figure) -> Iterator[tuple[str, Bbox]]:
    """Yield the visible texts of a figure with the place that each takes."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    beyond = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        for label in (tick.label1, tick.label2)
    }
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and text not in beyond:
            yield text.get_text(), text.get_window_extent(renderer)


@pytest.mark.parametrize("documents", [40, 3])
@pytest.mark.parametrize("name", NAMES)
def test_no_text_is_outside_or_covers_another(
    made_up_evaluation: Make, name: str, documents: int
) -> None:
    figure = evaluation_figures(made_up_evaluation(documents=documents))[name]
    found = list(texts(figure))
    assert len(found) > 8
    around = figure.bbox.expanded(1.001, 1.001)
    for words, box in found:
        assert around.containsx(box.x0) and around.containsx(box.x1), words
        assert around.containsy(box.y0) and around.containsy(box.y1), words
    covered = [
        (one, other)
        for place, (one, box) in enumerate(found)
        for other, its in found[place + 1 :]
        if box.overlaps(its)
        and box.intersection(box, its).width > 1
        and box.intersection(box, its).height > 1
    ]
    assert covered == []


def test_every_band_has_its_mean(made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation()
    figure = evaluation_figures(evaluation)["f1_by_frequency"]
    shown = {words for words, _ in texts(figure)}
    for values in evaluation.by_training_frequency.values():
        assert f"{values['f1_macro']:.2f}" in shown


def test_figures_say_what_they_show(made_up_evaluation: Make) -> None:
    evaluation = replace(made_up_evaluation(), about={"dataset": "mimic3"})
    figures = evaluation_figures(evaluation)
    for figure in figures.values():
        assert any("mimic3 · test" in words for words, _ in texts(figure))
    curves = " ".join(words for words, _ in texts(figures["precision_recall"]))
    assert "(12 codes, AP 0." in curves
    assert "above 0.07" in " ".join(words for words, _ in texts(figures["calibration"]))


def test_texts_of_an_svg_stay_texts(made_up_evaluation: Make) -> None:
    svg = as_svg(evaluation_figures(made_up_evaluation())["calibration"], "calibration", 'a "b"')
    assert svg.startswith('<svg role="img" aria-label="a &quot;b&quot;"')
    assert ">share of gold codes</text>" in svg
