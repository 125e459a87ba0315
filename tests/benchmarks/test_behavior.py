"""The behavior benchmark compares each capability with what is required of it."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("behavior")
    trained = SimpleNamespace(run="outputs/facts", seconds=60.0)
    monkeypatch.setattr(module, "trained_run", lambda *_: trained)
    return module


def capability(name: str, expect: str, passed: int) -> dict[str, object]:
    notes = {"notes": 1000, "passed": passed, "rate": passed / 1000, "held_out_rate": None}
    return {"name": name, "expect": expect, **notes, "low": 0.1, "high": 0.99, "failures": []}


@pytest.mark.parametrize(("held_out", "enough"), [(0.94, False), (0.95, True), (None, True)])
def test_held_out_notes_must_pass_too(
    benchmark: ModuleType, held_out: float | None, enough: bool
) -> None:
    one = capability("negated", "not coded", 980) | {"held_out_rate": held_out}
    assert benchmark.reached(one, 0.95) == enough


@pytest.mark.parametrize(
    ("row", "changed", "status"),
    [
        ("en", {}, 0),
        ("en", {"negated": 949}, 1),
        ("en", {"affirmed": 949}, 1),
        ("en", {"abbreviation": 799}, 1),
        ("en", {"synonym": 699}, 1),
        ("en", {"typo (one letter missing)": 849}, 1),
        ("en", {"line breaks": 0}, 0),
        ("es", {"affirmed": 0, "abbreviation": 600, "synonym": 600}, 0),
        ("es", {"synonym": 599}, 1),
        ("es", {"negated": 949}, 1),
    ],
)
def test_a_capability_below_what_is_required_fails(
    benchmark: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    row: str,
    changed: dict[str, int],
    status: int,
) -> None:
    passed = {"affirmed": 950, "abbreviation": 800, "synonym": 700}
    passed |= {"typo (one letter missing)": 850} | changed
    expected = {"negated": "not coded", "line breaks": "unchanged"}
    passed = {"negated": 950, "line breaks": 500} | passed
    report = {
        "codes": ["I10"],
        "notes": 6000,
        "capabilities": [
            capability(name, expected.get(name, "coded"), count) for name, count in passed.items()
        ],
    }
    monkeypatch.setattr(benchmark, "icdcode", lambda *_: report)
    written = tmp_path / "behavior.json"
    monkeypatch.setattr(
        sys, "argv", ["behavior.py", "data", str(tmp_path), "--rows", row, "--json", str(written)]
    )
    assert benchmark.main() == status
    out = capsys.readouterr().out
    assert ("| NO |\n" in out) == bool(status)
    found = json.loads(written.read_text(encoding="utf-8"))[row]["capabilities"]
    least = {one["name"]: one["required"] for one in found}
    assert least["negated"] == 0.95
    assert least["line breaks"] is None
