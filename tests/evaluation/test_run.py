"""Runs are evaluated and compared from Python as by the commands."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

import icdcli
from icdcli.config.loading import load_config
from icdcli.config.schema import Config
from icdcli.data.synthetic.generator import write_demo_data
from icdcli.errors import ConfigError
from icdcli.evaluation.run import compare_runs, evaluate_run, open_run
from icdcli.evaluation.sample import sample_run
from icdcli.training.run import run_training


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the folders of two TF-IDF runs on the same documents."""
    root = tmp_path_factory.mktemp("runs")
    write_demo_data(root / "tables", 60)
    options = [
        "model=tfidf",
        "device=cpu",
        f"data_path={root / 'tables'}",
        f"project={root / 'runs'}",
        "label_pruning=True",
    ]
    return [
        run_training(load_config(None, [*options, f"name={name}", f"seed={seed}"])).run.root
        for seed, name in enumerate(("first", "second"))
    ]


def test_an_evaluation_is_returned_and_written(runs: list[Path]) -> None:
    evaluation = evaluate_run(runs[0], "validation")
    assert evaluation.split == "validation"
    assert evaluation.about["run"] == str(runs[0])
    written = json.loads((runs[0] / "evaluation" / "validation" / "metrics.json").read_text())
    assert written == json.loads(json.dumps(evaluation.to_json()))


def test_the_default_split_is_test(runs: list[Path]) -> None:
    stages: set[str] = set()

    def on_progress(
        stage: str, done: int, total: int, unit: str = "documents", note: str = ""
    ) -> None:
        stages.add(stage)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert evaluate_run(runs[1], on_progress=on_progress).split == "test"
    assert stages == {"scoring the test split"}


def test_a_comparison_evaluates_what_is_missing(runs: list[Path]) -> None:
    evaluate_run(runs[0], "test")
    (runs[1] / "evaluation" / "test" / "statistics.npz").unlink(missing_ok=True)
    comparison = compare_runs(runs)
    assert comparison.evaluated == (runs[1] / "evaluation" / "test",)
    assert [contender.name for contender in comparison.contenders] == [*map(str, runs)]
    assert compare_runs(runs).evaluated == ()
    common = compare_runs(runs, intersection=True)
    assert common.contenders[0].codes == comparison.contenders[0].codes


def test_a_comparison_warns_of_other_notes(runs: list[Path]) -> None:
    compare_runs(runs)
    args, messages = runs[1] / "args.yaml", []
    written = args.read_text()
    args.write_text(written.replace("language: en", "language: es"))
    try:
        compare_runs(runs, on_warning=messages.append)
    finally:
        args.write_text(written)
    assert [one for one in messages if "read other notes" in one] == [
        f"{runs[1]}: read other notes than {runs[0]} (language: es instead of en). The difference "
        "between these runs may be that of the notes."
    ]


def test_the_number_of_runs_is_checked(runs: list[Path]) -> None:
    with pytest.raises(ConfigError, match="needs 2 to 26 runs; 1 given"):
        compare_runs(runs[:1])


def test_a_warning_reports_changed_data(runs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = {"corpus": "another", "files": {}, "step": 1}
    monkeypatch.setattr("icdcli.model.checkpoint.read_manifest", lambda _: manifest)
    messages: list[str] = []
    open_run(runs[0], on_warning=messages.append)
    assert len(messages) == 1
    assert "was trained on the corpus another" in messages[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:leakage")  # the notes are too short to differ
@pytest.mark.parametrize("gigabytes", [0, 20])
def test_hidden_states_are_stored_only_as_far_as_the_run_allows(
    config: Callable[..., Config], tmp_path: Path, gigabytes: int
) -> None:
    options = {
        "freeze_backbone": True,
        "steps": 2,
        "warmup_steps": 1,
        "state_cache_gb": gigabytes,
        "cache_dir": tmp_path / "cache",
        "lexical": True,
        "code_system": "icd10",
        "metrics": "[f1_micro]",
    }
    runs = [
        run_training(config(**options, name=name, seed=seed)).run.root
        for seed, name in enumerate(("first", "second"))
    ]
    evaluate_run(runs[0], "train", ablate=True)
    compare_runs(runs, "validation")
    compare_runs(runs, "test", intersection=True)
    stored = {path.name.split("-")[1] for path in (tmp_path / "cache").rglob("states-*")}
    assert stored == ({"train", "validation", "test"} if gigabytes else set())


def test_samples_are_the_same_documents_for_one_seed(runs: list[Path]) -> None:
    opened = open_run(runs[0])
    first, again = (sample_run(opened, "test", 2, seed=1, with_text=True) for _ in range(2))
    assert first == again
    assert all(sample.text and not sample.evidence for sample in first)


def test_a_model_with_one_part_cannot_be_ablated(runs: list[Path]) -> None:
    with pytest.raises(ConfigError, match="no parts to leave out"):
        evaluate_run(runs[0], "test", ablate=True)


def test_the_functions_are_public() -> None:
    assert icdcli.evaluate_run is evaluate_run
    assert icdcli.compare_runs is compare_runs
