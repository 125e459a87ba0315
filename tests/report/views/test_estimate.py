import pytest
from rich.console import Console

from icdcli.profiling.memory import MemoryEstimate
from icdcli.report.views.estimate import PARTS, estimate_view

MEGABYTE = 10**6


def estimate(**changes):
    known = {
        "device": "cpu",
        "parts": {part: (number + 1) * 1000 * MEGABYTE for number, part in enumerate(PARTS)},
        "documents": 8,
        "tokens": 12_345,
        "cached": False,
    }
    return MemoryEstimate(**known | changes, operations=1.0, scoring=1.0, reading=0.0)


def test_every_part_has_its_size_and_meaning(render):
    lines = render(estimate_view(estimate(), free=40_000 * MEGABYTE, seconds=3_700))
    for number, (name, meaning) in enumerate(PARTS.values()):
        assert any(
            line.split()[:3] == [name, f"{number + 1}.0", "GB"] and meaning in line
            for line in lines
        ), name
    assert any(
        "total, on cpu" in line and "36.0 GB" in line and "40.0 GB free" in line for line in lines
    )
    assert lines[-3:] == [
        "largest micro-batch: 8 documents, 12,345 tokens",
        "recomputation: no layer is recomputed",
        "time: about 1:01:40",
    ]
    assert max(map(len, lines)) <= 80


def test_empty_parts_are_left_out_and_one_document_is_singular(render):
    lines = render(estimate_view(estimate(parts={"weights": 5, "adapters": 0}, documents=1)))
    assert not any("adapters" in line for line in lines)
    assert lines[-2:] == [  # no time if it is unknown
        "largest micro-batch: 1 document, 12,345 tokens",
        "recomputation: no layer is recomputed",
    ]


@pytest.mark.parametrize("cached", [True, False])
def test_hidden_states_computed_once_are_mentioned(render, cached):
    shown = [
        line for line in render(estimate_view(estimate(cached=cached))) if "computed once" in line
    ]
    assert len(shown) == cached


@pytest.mark.parametrize(("free", "red"), [(1, True), (36_000 * MEGABYTE, False), (None, False)])
def test_too_much_memory_is_red(free, red):
    console = Console(width=80, force_terminal=True, color_system="standard")
    with console.capture() as capture:
        console.print(estimate_view(estimate(), free))
    assert ("\x1b[1;31m" in capture.get()) is red
