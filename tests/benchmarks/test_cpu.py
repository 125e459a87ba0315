"""The benchmark of CPUs: its arguments, and its table."""

import importlib
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
STORED = Path(__file__).parents[1] / "stored" / "1b2e631"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("cpu")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "args.yaml").touch()
    return tmp_path


def test_by_default_both_precisions_are_measured(benchmark: ModuleType, run: Path) -> None:
    options = benchmark.arguments([str(run)])
    assert tuple(options.precision) == ("float32", "bfloat16")
    assert (options.split, options.notes, options.measure) == ("validation", 250, None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "isn't the folder of a run"),
        (["RUN", "--notes", "8"], "give more than 8"),
        (["RUN", "--threads", "0"], "give 1 or more"),
        (["RUN", "--rounds", "0"], "give 1 or more"),
        (["RUN", "--precision", "float16"], "invalid choice"),
        (["RUN", "--measure", "train"], "invalid choice"),
        ([], "required: run"),
    ],
)
def test_bad_arguments_are_refused(
    benchmark: ModuleType,
    run: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    with pytest.raises(SystemExit) as stopped:
        benchmark.arguments([str(run) if word == "RUN" else word for word in words])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_every_measurement_has_a_process_and_a_row(
    benchmark: ModuleType,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = []

    def measured(what: str, precision: str, options: object) -> dict[str, float]:
        asked.append((what, precision))
        return {"wall": 2.0, "cpu": 1.0, "notes": 100}

    monkeypatch.setattr(benchmark, "in_own_process", measured)
    words = [str(run), "--measure", "predict", "again", "--precision", "bfloat16"]
    monkeypatch.setattr(sys, "argv", ["cpu.py", *words, "--json", str(run / "cpu.json")])
    benchmark.main()
    assert asked == [("predict", "bfloat16"), ("again", "bfloat16")]
    assert "| predict | bfloat16 | 50.0 | 10 |" in capsys.readouterr().out
    assert (run / "cpu.json").read_text().count('"cpu": 1.0') == 2


@pytest.mark.slow
def test_the_seconds_until_the_first_note_are_those_of_predict(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "stored"
    shutil.copytree(STORED, folder, symlinks=True)
    monkeypatch.chdir(folder)
    found = benchmark.first_note(Path("runs/neural"), "float32", ["hypertension"])
    assert found.keys() == {"wall", "cpu"}
    assert found["cpu"] > 0.5  # importing PyTorch alone takes more
    with pytest.raises(SystemExit, match=r"predict .*failed"):
        benchmark.first_note(Path("runs/missing"), "float32", ["hypertension"])
