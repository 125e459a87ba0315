"""The audit benchmark plants the errors that it looks for."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CODES = ("j18.9", "j18.1", "i10", "e11.9", "n17.9")


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("audit")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for folder in ("train", "dev"):
        part = tmp_path / "codiesp" / folder
        for texts in ("text_files", "text_files_en"):
            (part / texts).mkdir(parents=True)
        rows = [(f"{folder}{n}", code) for n in range(40) for code in CODES[n % 3 : n % 3 + 3]]
        lines = {
            "D": [f"{case}\t{code}" for case, code in rows],
            "P": [f"{rows[0][0]}\tbw03zzz"],
            "X": [f"{case}\tDIAGNOSTICO\t{code}\tpalabra\t0 7" for case, code in rows],
        }
        for letter, content in lines.items():
            (part / f"{folder}{letter}.tsv").write_text("\n".join(content) + "\n", "utf-8")
    return tmp_path / "codiesp"


def pairs(folder: Path, letter: str, code: int) -> set[tuple[str, str]]:
    lines = [
        line.split("\t")
        for name in ("train", "dev")
        for line in (folder / name / f"{name}{letter}.tsv").read_text("utf-8").splitlines()
    ]
    return {(line[0], line[code].replace(".", "")) for line in lines}


def test_the_tables_have_the_planted_errors(
    benchmark: ModuleType, data: Path, tmp_path: Path
) -> None:
    planted = benchmark.plant(data, tmp_path / "planted", 0)
    assert (len(planted.removed), len(planted.swapped)) == (6, 6)  # a twentieth of 240
    before, after = pairs(data, "D", 1), pairs(tmp_path / "planted", "D", 1)
    assert before - after == planted.missing
    assert after - before == planted.swapped.keys()
    assert pairs(tmp_path / "planted", "X", 2) == after
    assert pairs(tmp_path / "planted", "P", 1) == pairs(data, "P", 1)
    assert (tmp_path / "planted" / "train" / "text_files").resolve() == (
        data / "train" / "text_files"
    )


def test_a_swap_is_for_a_sibling_if_there_is_one(
    benchmark: ModuleType, data: Path, tmp_path: Path
) -> None:
    planted = [benchmark.plant(data, tmp_path / str(seed), seed) for seed in range(5)]
    siblings = [
        wrong[:3] == right[:3] for one in planted for (_, wrong), right in one.swapped.items()
    ]
    assert sum(siblings) == sum(one.siblings for one in planted) > 0
    assert not all(siblings)


def test_an_error_is_found_by_either_code(benchmark: ModuleType) -> None:
    swapped = {("a", "j181"): "j189"}
    planted = benchmark.Planted(frozenset({("a", "i10")}), swapped, 1)

    def finding(kind: str, code: str, instead: str | None = None) -> object:
        values = (1, "a", "train", kind, code, None, instead, None, 0.9, 0.1, None, "", ())
        return benchmark.AuditFinding(*values)

    right = [
        finding("missing", "I10"),
        finding("unsupported", "J18.1"),
        finding("missing", "J18.9"),
    ]
    wrong = [
        finding("unsupported", "I10"),
        finding("missing", "J18.1"),
        finding("missing", "E11.9"),
    ]
    assert [planted.is_right(one) for one in right + wrong] == [True] * 3 + [False] * 3
    assert planted.found_by(right[:2]) == 2
    assert planted.found_by([finding("missing", "J18.9")]) == 1
    assert planted.found_by(wrong[2:]) == 0
