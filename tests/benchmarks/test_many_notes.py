"""The hours of ten million notes."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def many_notes():
    path = ROOT / "benchmarks" / "many_notes.py"
    spec = importlib.util.spec_from_file_location("many_notes", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_the_table(many_notes, capsys):
    many_notes.main([])
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out in page


def test_the_speeds_are_those_of_the_page_on_costs(many_notes):
    page = (ROOT / "docs" / "what-it-costs.md").read_text(encoding="utf-8")
    assert f"{many_notes.CPU_SECONDS * 1000:.0f} CPU ms per note" in page
    assert f"{many_notes.GPU_NOTES} notes per second | one H100" in page


def test_twice_the_machines_take_half_the_hours_and_cost_the_same(many_notes, capsys):
    many_notes.main(["--notes", "3600", "--core-hour", "100", "--gpu-hour", "310"])
    rows = [line.split("|")[2:7] for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows[0] == [" 1 core ", " 8.7 ", " 0.1 ", " 0 ", " 12 "]
    assert [row[4] for row in rows] == [" 12 "] * 4 + [" 20 "] * 2
