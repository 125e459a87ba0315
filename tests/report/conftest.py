from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console, RenderableType

from icdcli.report.console import Output


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
