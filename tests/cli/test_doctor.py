"""The doctor's report on a machine and a configuration, and what it must not do."""

from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from icdcli.data.corpus.reader import open_corpus
from icdcli.model.hub import TINY_SIZES
from icdcli.profiling import check_config


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """Change to an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def known_speed(monkeypatch):
    """Don't measure the machine's speed for each report; tests/profiling measures it."""
    monkeypatch.setattr(check_config, "operations_per_second", lambda device, bit: 1e9)


def test_a_machine_alone(icdcode, empty):
    answer = icdcode("doctor")
    assert (answer.code, answer.err) == (0, "")
    for heading in ("This machine", "Packages", "Features"):
        assert heading in answer.out.splitlines()
    assert f"torch {version('torch')}" in answer.out
    assert "Configuration" not in answer.out
    assert list(empty.iterdir()) == []


@pytest.mark.slow
def test_it_fits_80_columns(icdcode, place, monkeypatch):
    monkeypatch.setattr("icdcli.report.console.Console", _narrow)
    lines = icdcode("doctor", place.config).out.splitlines()
    assert len(lines) > 30
    assert max(map(len, lines)) <= 80


def _narrow(**options):
    from rich.console import Console

    return Console(**{**options, "width": 80})


def test_json_is_one_object_and_the_rest_goes_to_standard_error(icdcode, empty):
    answer = icdcode("doctor", "--json")
    assert answer.code == 0
    assert set(answer.json) == {"machine", "packages", "works", "disk", "split_lists"}
    assert answer.json["machine"]["cores"] >= 1
    assert answer.json["packages"]["torch"] == version("torch")
    assert all(
        set(ability) == {"name", "works", "note"} and ability["note"]
        for ability in answer.json["works"]
    )
    assert "This machine" in answer.err


def test_a_configuration_that_can_run(icdcode, place, files):
    before = files(place.root)
    answer = icdcode("doctor", place.config, "--json")
    assert answer.code == 0, answer
    found = answer.json["config"]
    assert found["problems"] == []
    assert found["model"] == {
        "name": "tiny",
        "architecture": "llama",
        "layers": 1,
        "width": TINY_SIZES["hidden_size"],
        "base": None,
        "here": True,
    }
    assert (found["data"]["dataset"], found["data"]["protocol"]) == ("mimic3", "patient")
    memory = found["memory"]
    assert (
        memory["estimate"]["total"] == sum(memory["estimate"]["parts"].values()) <= memory["free"]
    )
    assert found["seconds"] > 0
    assert files(place.root) == before


def test_a_prepared_corpus_is_known_with_its_labels(icdcode, place, trained):
    found = icdcode("doctor", place.config, "--json").json["config"]
    assert found["data"]["corpus"].startswith(str(place.tables / ".icdcode"))
    assert found["data"]["documents"]["train"] > found["data"]["documents"]["validation"] > 0
    labels = len(open_corpus(Path(found["data"]["corpus"])).labels)
    assert found["memory"]["labels"] == found["data"]["labels"] == labels


def test_all_problems_are_reported_at_once(icdcode, place, empty):
    answer = icdcode(
        "doctor",
        place.config,
        "device=[7]",
        "data_path=nowhere",
        "model=somebody/nothing",
        f"project={place.config}",
    )
    assert answer.code == 2
    assert answer.err.startswith(f"error: {place.config} can't run here:")
    assert answer.err.count("error: ") == 1
    for reported in (
        "device: [7]:",
        "nowhere",
        "model: somebody/nothing: can't be reached",
        str(place.config),
    ):
        assert reported in answer.err
    assert "This configuration can run here." not in answer.out
    assert "This machine" in answer.out
    assert list(empty.iterdir()) == []


def test_json_contains_problems_too(icdcode, place):
    answer = icdcode("doctor", place.config, "data_path=nowhere", "--json")
    assert answer.code == 2
    [problem] = answer.json["config"]["problems"]
    assert problem in answer.err
    assert "icdcode demo-data" in problem
    assert answer.json["config"]["data"] is None
    assert answer.json["config"]["memory"]["labels"] == 10_000


@pytest.mark.slow
def test_too_little_memory_comes_with_keys_that_help(icdcode, place, monkeypatch):
    monkeypatch.setattr("icdcli.profiling.memory.resident_memory", lambda: 10**8)
    total = icdcode("doctor", place.config, "max_len=512", "--json").json["config"]["memory"][
        "estimate"
    ]["total"]
    monkeypatch.setattr("icdcli.profiling.check_config.room", lambda device: total - 1)
    answer = icdcode("doctor", place.config, "max_len=512", "--json")
    assert answer.code == 2
    pairs = [f"{key}={value}" for key, value in answer.json["config"]["memory"]["changes"].items()]
    assert pairs
    assert "max_len=256" not in pairs
    assert f"it would fit with {' '.join(pairs)}" in answer.err
    assert icdcode("doctor", place.config, "max_len=512", *pairs).code == 0


@pytest.mark.slow
def test_memory_that_nothing_makes_enough(icdcode, place, monkeypatch):
    monkeypatch.setattr("icdcli.profiling.check_config.room", lambda device: 1000)
    answer = icdcode("doctor", place.config)
    assert answer.code == 2
    assert "take a smaller model or another machine" in answer.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the requested GPU")
def test_a_newcomer_without_gpu_and_data(icdcode, empty):
    (empty / "mine.yaml").write_text("model: tiny\nbit: 32\n")
    answer = icdcode("doctor", "mine.yaml")
    assert answer.code == 2
    assert (
        "device: [0]: this machine has no GPU that PyTorch can use. Run with device=cpu"
        in answer.err
    )
    assert "`icdcode demo-data data`" in answer.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere.yaml"], "nowhere.yaml: there is no such configuration file"),
        (
            ["device=cpu"],
            "device=cpu: a key without a configuration. Give the file first: config.yaml",
        ),
        (["."], "is a folder, not a YAML file"),
    ],
)
def test_no_configuration(refused, empty, words, says):
    refused(2, "doctor", *words, says=says)


def test_wrong_keys_are_reported_before_any_check(refused, place):
    refused(
        2,
        "doctor",
        place.config,
        "stps=3",
        "bit=5",
        says=["(did you mean 'steps'?)", "bit: should be 4, 8, 16 or 32"],
    )
