"""What `benchmarks/scaling.py` makes of cells: those missing, exponents, the table, the plot."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import scaling  # noqa: E402
from scaling_documents import labels_of, made_up_notes  # noqa: E402


def cell(stage, documents, labels, **found):
    return {"stage": stage, "documents": documents, "labels": labels, **found}


def took(seconds):
    return {"seconds": seconds, "cpu_seconds": seconds, "megabytes": 100.0}


def test_a_stage_has_a_cell_for_each_number_that_matters():
    found = scaling.cells(["tokens", "step", "metrics"], [10, 20], [3, 4])
    assert [tuple(each.values()) for each in found if each["stage"] == "tokens"] == [
        ("tokens", 10, None),
        ("tokens", 20, None),
    ]
    assert [tuple(each.values()) for each in found if each["stage"] == "step"] == [
        ("step", None, 3),
        ("step", None, 4),
    ]
    assert len([each for each in found if each["stage"] == "metrics"]) == 4


def test_exponents_are_those_of_the_cost():
    measured = [
        cell("lexical", documents, labels, **took(1e-6 * documents**1.5 * labels**0.25))
        for documents in (100, 1_000, 10_000)
        for labels in (10, 1_000)
    ]
    assert scaling.exponents(measured) == (pytest.approx(1.5), pytest.approx(0.25))
    stopped = cell("lexical", 50_000, 10, more_than=1.0)
    assert scaling.exponents([*measured, stopped]) == scaling.exponents(measured)
    only_documents = [cell("tokens", number, None, **took(number)) for number in (1, 10)]
    assert scaling.exponents(only_documents) == (pytest.approx(1.0), None)
    assert scaling.exponents(only_documents[:1]) == (None, None)
    assert scaling.exponents([]) == (None, None)


def test_the_table_says_what_was_measured_and_what_was_not():
    measured = [
        cell("metrics", 1_000, 10, **took(0.123)),
        cell("metrics", 50_000, 10, more_than=840.0),
        cell("metrics", 1_000, 20, error=1),
        cell("tokens", 1_000, None, **took(12.3)),
    ]
    rows = scaling.table(measured, [1_000, 50_000], [10, 20]).splitlines()
    assert "| metrics, intervals | 10 | 0.12 s, 100 MB | more than 840 s |  |  |" in rows
    assert "|  | 20 | ended with an error | not measured |  |  |" in rows
    assert "| tokens | any | 12 s, 100 MB | not measured |  |  |" in rows


def test_a_cell_stopped_early_is_measured_again_with_a_longer_limit():
    missing, stopped = cell("tokens", 1, None), cell("tokens", 1, None, more_than=10.0)
    assert not scaling.known(missing, [], 10)
    assert scaling.known(missing, [stopped], 10)
    assert not scaling.known(missing, [stopped], 20)
    assert scaling.known(missing, [cell("tokens", 1, None, **took(1))], 20)
    assert not scaling.known(missing, [cell("tokens", 1, None, error=1)], 10)


def test_notes_are_the_same_for_any_number_and_have_ten_to_sixteen_codes():
    few, more = list(made_up_notes(3, 0, 50)), list(made_up_notes(6, 0, 50))
    assert [note.text for note in more[:3]] == [note.text for note in few]
    for note in more:
        assert 10 <= len(note.codes) <= 16
        assert labels_of(note.codes, 50).max() < 50


def test_measured_cells_are_drawn(tmp_path):
    measured = [cell("tokens", number, None, **took(number)) for number in (1, 10)]
    scaling.plot(measured, tmp_path / "one.svg")
    scaling.plot(measured, tmp_path / "other.svg")
    assert b"tokens" in (tmp_path / "one.svg").read_bytes()
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "other.svg").read_bytes()


def run(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "benchmarks/scaling.py", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


def test_another_file_is_not_overwritten(tmp_path):
    path = tmp_path / "other.json"
    path.write_text('{"name": "something else"}')
    done = run(path, "--quick", "--stages", "metrics")
    assert done.returncode == 1
    assert "is not a measurement of scaling.py" in done.stderr
    assert "Traceback" not in done.stderr
    assert path.read_text() == '{"name": "something else"}'


@pytest.mark.slow
def test_cells_are_measured_once(tmp_path):
    path = tmp_path / "scaling.json"
    options = ("--quick", "--work", tmp_path / "work", "--stages")
    done = run(path, *options, "metrics")
    assert done.returncode == 0, done.stderr
    before = json.loads(path.read_text())["cells"]
    assert [each["megabytes"] > 10 for each in before] == [True] * 4
    done = run(path, *options, "metrics", "tfidf", "prepare", "step")
    assert done.returncode == 0, done.stderr
    after = json.loads(path.read_text())["cells"]
    assert after[: len(before)] == before
    assert len(after) == 4 + 4 + 2 + 2
    done = run(path, *options, "tokens", "--limit", "0.01")
    assert json.loads(path.read_text())["cells"][-1]["more_than"] == 0.01
    assert "more than 0 s" in done.stdout
