from collections.abc import Callable, Iterator
from functools import lru_cache
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console, RenderableType

from icdcli.report.console import Output

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox
    from playwright.sync_api import Browser, Page


@pytest.fixture(autouse=True)
def _no_wishes_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "FORCE_COLOR",
        "NO_COLOR",
        "TTY_COMPATIBLE",
        "TTY_INTERACTIVE",
        "COLUMNS",
        "LINES",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def render() -> Callable[..., list[str]]:
    def lines(renderable: RenderableType, width: int = 80) -> list[str]:
        file = StringIO()
        Console(file=file, width=width, color_system=None, markup=False).print(renderable)
        return [line.rstrip() for line in file.getvalue().splitlines()]

    return lines


@pytest.fixture
def terminal() -> Output:
    """Return an output on a terminal of 80 columns that records everything printed."""
    output = Output()
    output.console = Console(
        file=StringIO(),
        width=80,
        height=50,
        force_terminal=True,
        force_interactive=True,
        markup=False,
        highlight=False,
    )
    return output


@pytest.fixture
def opened(chromium: "Browser", address: str) -> "Iterator[Callable[..., Page]]":
    """Return a function that opens the page at `address`, which must report no problem."""
    problems: list[str] = []
    contexts = []

    def at(width: int, scheme: str = "light") -> "Page":
        context = chromium.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address)
        return page

    yield at
    for context in contexts:
        context.close()
    assert problems == []


@lru_cache(1)  # drawing a figure takes most of a test
def placed_texts(figure: "Figure") -> "list[tuple[str, Bbox]]":
    """Return the visible texts of a figure with the place that each takes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    beyond = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        for label in (tick.label1, tick.label2)
    }
    return [
        (text.get_text(), text.get_window_extent(renderer))
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text not in beyond
    ]


@pytest.fixture
def texts() -> "Callable[[Figure], list[str]]":
    """Return a function that returns the visible texts of a figure."""
    return lambda figure: [words for words, _ in placed_texts(figure)]


@pytest.fixture
def illegible() -> "Callable[[Figure], list[str]]":
    """Return a function that returns the texts that lie outside a figure or on another text."""

    def problems(figure: "Figure") -> list[str]:
        found, around = placed_texts(figure), figure.bbox.expanded(1.001, 1.001)
        outside = [
            f"{words!r} is outside"
            for words, box in found
            if not all(map(around.containsx, box.intervalx))
            or not all(map(around.containsy, box.intervaly))
        ]
        covered = [
            f"{one!r} is on {other!r}"
            for place, (one, box) in enumerate(found)
            for other, its in found[place + 1 :]
            if box.overlaps(its)
            and box.intersection(box, its).width > 1
            and box.intersection(box, its).height > 1
        ]
        return outside + covered

    return problems
