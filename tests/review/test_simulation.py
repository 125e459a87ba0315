"""A simulation plays the real loop: store, export, preparation, training; it can be continued."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import LEXICAL, WORDINGS, simulated, write_notes

from icdcli.cli import main
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import Corpus, open_corpus
from icdcli.errors import ConfigError, DataError
from icdcli.review.queue import list_tasks
from icdcli.review.simulation import rounds as rounds_module
from icdcli.review.simulation import run as run_module
from icdcli.review.simulation.curves import curve_differences, mean_curves, notes_for
from icdcli.review.simulation.run import LearningCurve, simulate
from icdcli.review.simulation.settings import SimulatedArm, SimulationSettings
from icdcli.review.store import open_store
from icdcli.review.suggestions import suggestions_of

SHORT = SimulationSettings(10, 15, 2)
UNCERTAINTY, RANDOM = (SimulatedArm(order, False, 0) for order in ("uncertainty", "random"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_notes(tmp_path_factory.mktemp("made-up") / "notes.jsonl")


@pytest.fixture(scope="module")
def played(table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LearningCurve]:
    folder = tmp_path_factory.mktemp("simulation") / "out"
    return folder, simulate(simulated(table), folder, SHORT)


def values(curve: LearningCurve) -> dict[str, list[dict]]:
    """Return the rounds of a curve without what differs from call to call."""
    return {
        arm.name: [one.to_json() | {"seconds": 0} for one in rounds]
        for arm, rounds in curve.rounds.items()
    }


def content(corpus: Corpus, split: str) -> dict[str, tuple]:
    documents, evidence = corpus.documents(split), corpus.evidence(split)
    codes = corpus.labels.codes
    return {
        documents.ids[row]: (
            text,
            [codes[label] for label in documents.targets[row].tolist()],
            sorted((codes[one.label], one.begin, one.end) for one in evidence.of(row)),
        )
        for row, text in enumerate(corpus.texts(split))
    }


def test_rounds_grow_and_both_orders_begin_with_the_same_notes(
    played: tuple[Path, LearningCurve],
) -> None:
    _, curve = played
    assert curve.measured == ["test", "validation"]
    assert [one.notes for one in curve.rounds[UNCERTAINTY]] == [10, 25]
    for rounds in curve.rounds.values():
        assert [one.train + one.validation for one in rounds] == [10, 25]
        assert rounds[0].decisions.accepted == 0 < rounds[0].decisions.added
        assert rounds[1].decisions.accepted > 0
    first, second = zip(curve.rounds[UNCERTAINTY], curve.rounds[RANDOM], strict=True)
    assert first[0].model == first[1].model
    assert second[0].model != second[1].model


def test_the_uncertain_notes_are_those_that_the_queue_has_first(
    played: tuple[Path, LearningCurve],
) -> None:
    folder, _ = played
    with open_store(folder / UNCERTAINTY.name / "review.db") as store:
        seen: dict[bool, list[float]] = {True: [], False: []}

        for task in list_tasks(store, limit=100):
            shown = suggestions_of(store, task.id)
            if shown is not None:  # not of the first round
                seen[task.status == "submitted"].append(shown.uncertainty)
    assert (len(seen[True]), len(seen[False])) == (15, 15)
    assert min(seen[True]) >= max(seen[False])


def test_a_finished_simulation_is_read_and_more_can_be_played(
    played: tuple[Path, LearningCurve],
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = shutil.copytree(played[0], tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(run_module.RoundPlayer, "learn", None)  # nothing is trained
        assert values(simulate(simulated(table), folder, SHORT)) == values(played[1])
    longer = simulate(simulated(table), folder, SimulationSettings(10, 15, 3, ("uncertainty",)))
    assert values(longer)[UNCERTAINTY.name][:2] == values(played[1])[UNCERTAINTY.name]
    assert longer.rounds[UNCERTAINTY][2].notes == 40


@pytest.mark.slow
def test_a_killed_round_is_continued_with_exactly_the_same_result(
    played: tuple[Path, LearningCurve],
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped in the middle of the reviews, then when the model is trained but not measured."""
    folder, play, reviewed = tmp_path / "out", rounds_module.play_review, []

    def play_some(store: object, note: object, **options: object) -> None:
        if len(reviewed) == 17:  # seven notes into the second round
            raise KeyboardInterrupt
        reviewed.append(note)
        play(store, note, **options)

    config = simulated(table)
    with monkeypatch.context() as patch:
        patch.setattr(rounds_module, "play_review", play_some)
        with pytest.raises(KeyboardInterrupt):
            simulate(config, folder, SimulationSettings(10, 15, 2, ("uncertainty",)))
    with monkeypatch.context() as patch:
        patch.setattr(rounds_module, "measure_model", None)
        with pytest.raises(TypeError):
            simulate(config, folder, SimulationSettings(10, 15, 2, ("uncertainty",)))
    continued = simulate(config, folder, SHORT)
    assert values(continued) == values(played[1])


def test_files_are_private(played: tuple[Path, LearningCurve]) -> None:
    folder = played[0]
    assert folder.stat().st_mode & 0o77 == 0
    assert (folder / UNCERTAINTY.name / "review.db").stat().st_mode & 0o77 == 0
    tables = list(folder.glob("models/*/reviewed.parquet"))
    assert tables and all(path.stat().st_mode & 0o77 == 0 for path in tables)


def test_models_of_earlier_rounds_are_removed(played: tuple[Path, LearningCurve]) -> None:
    folder, curve = played
    last = {rounds[-1].model for rounds in curve.rounds.values()}
    assert {path.name for path in (folder / "models").iterdir()} == last


def test_curves_are_means_of_seeds(played: tuple[Path, LearningCurve]) -> None:
    curve = played[1]
    both = LearningCurve(
        "corpus",
        40,
        curve.measured,
        {
            SimulatedArm("random", False, 0): curve.rounds[RANDOM],
            SimulatedArm("random", False, 1): curve.rounds[UNCERTAINTY],
        },
    )
    (points,) = mean_curves(both, "test").values()
    maps = [rounds[1].splits["test"]["map"] for rounds in both.rounds.values()]
    assert points[1].means["map"] == pytest.approx(sum(maps) / 2)
    assert (points[1].lowest["map"], points[1].highest["map"]) == (min(maps), max(maps))
    assert "accepted" not in points[0].means and points[1].means["accepted"] == 1
    (found,) = curve_differences(curve, "test")
    assert (found.rounds, found.other) == (1, RANDOM.curve)  # not the round that both begin with
    assert found.means["map"] == pytest.approx(maps[1] - maps[0])
    assert notes_for(points, "map", 0.01) == 10
    assert notes_for(points, "map", 1) == 25


def test_another_simulation_in_the_folder_is_refused(
    played: tuple[Path, LearningCurve], table: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="another simulation, with another step, word_ngrams"):
        simulate(simulated(table, word_ngrams=2), played[0], SimulationSettings(10, 10))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="has other files"):
        simulate(simulated(table), tmp_path, SHORT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt"]


def test_evidence_needs_annotated_words_and_a_model_that_learns_from_them(
    table: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="doesn't learn from marked words"):
        simulate(simulated(table), tmp_path / "a", SimulationSettings(10, evidence=(True,)))
    with pytest.raises(DataError, match="no annotated words that a reviewer could mark"):
        config = simulated(table, evidence_column="null")
        simulate(config, tmp_path / "b", SimulationSettings(10, evidence=(True,)))
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_without_codes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    row = {"text": "No codes here", "codes": [], "evidence": []}
    lines = [json.dumps({**row, "id": str(number)}) for number in range(40)]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match="40 rows without codes"):
        simulate(simulated(path), tmp_path / "out", SHORT)
    assert not (tmp_path / "out").exists()


# The command


@pytest.fixture
def icdcode(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command in this process: exit code, output, errors."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["icdcode", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return call


def of_command(out: Path, table: Path, rounds: int = 1) -> list[object]:
    """Return the words of a quick simulation of a table."""
    options = simulated(table)
    keys = ("evidence_column", "code_system", "positive_threshold", "monitor", "workers")
    given = [f"{key}={options.flat()[key]}" for key in keys]
    sizes = ["--start", "10", "--step", "15", "--rounds", rounds, "--order", "random"]
    return [
        *("review", "simulate", table, *given, "device=cpu", "metrics=[map, f1_micro]"),
        *("prediction_print_n=0", "--config", "tfidf.yaml", "--output", out, *sizes),
    ]


def test_bad_input_has_a_message_and_leaves_nothing(
    icdcode: Callable[..., tuple[int, str, str]], table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = of_command(out, table)
    for change, expected, message in (
        (["--start", "100"], 2, "has 40 training notes, and the simulation starts with 100"),
        (["--config", "no.yaml"], 2, "no.yaml"),
        (["--evidence", "marked"], 2, "doesn't learn from marked words"),
        (["--validation-share", "0"], 2, "share must be between 0 and 1"),
    ):
        code, _, errors = icdcode(*words, *change)
        assert code == expected and message in errors and "Traceback" not in errors, errors
    code, _, errors = icdcode("review", "simulate", tmp_path / "none", "--output", out)
    assert code in (2, 3) and "none" in errors and "Traceback" not in errors
    assert not out.exists()


def test_the_command_plays_shows_and_returns_the_curve_and_continues_if_stopped(
    icdcode: Callable[..., tuple[int, str, str]],
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after Ctrl-C: the second training returns with the signal, and its round isn't done."""
    out = tmp_path / "out"
    train, trained = rounds_module.run_training, []

    def train_and_stop(*given: object, **options: object) -> object:
        trained.append(train(*given, **options))
        return replace(trained[-1], signal=2) if len(trained) == 2 else trained[-1]

    def written() -> dict:
        return json.loads((out / "learning_curve.json").read_text(encoding="utf-8"))

    monkeypatch.setattr(rounds_module, "run_training", train_and_stop)
    code, shown, errors = icdcode(*of_command(out, table, 2))
    assert code == 130, errors
    assert "random, codes only, seed 0: 10 notes reviewed, test MAP " in shown
    assert "MAP on test" in shown and "The same command continues it" in shown
    assert not written()["complete"] and len(written()["arms"][0]["rounds"]) == 1

    code, shown, errors = icdcode(*of_command(out, table, 2), "--json")
    assert code == 0, errors
    assert json.loads(shown) == written()
    (arm,) = written()["arms"]
    assert [one["notes"] for one in arm["rounds"]] == [10, 25] and len(trained) == 3
    assert (out / "learning_curve.png").read_bytes().startswith(b"\x89PNG")


# The loop with evidence: slow, since networks are trained


@pytest.mark.slow
def test_more_notes_and_marked_words_make_better_models(tmp_path: Path) -> None:
    """Rare wordings are learned from marked words, and the words shown are those marked."""
    table = write_notes(tmp_path / "notes.jsonl", train=60, others=40)
    folder = tmp_path / "out"
    config = simulated(table, **LEXICAL, name="lexical")
    curve = simulate(config, folder, SimulationSettings(10, 25, orders=("random",)))
    with_words, without = (curve.rounds[SimulatedArm("random", one, 0)] for one in (True, False))
    assert [one.notes for one in with_words] == [10, 35, 60]
    assert without[-1].splits["test"]["f1_micro"] > without[0].splits["test"]["f1_micro"] + 0.1
    first, other = with_words[0].splits["test"], without[0].splits["test"]
    assert first["f1_micro"] > other["f1_micro"] + 0.1
    assert first["evidence_f1"] > other["evidence_f1"]

    # All notes are reviewed now: what the loop trained on is what the corpus has.
    original = open_corpus(prepare(config.data).folder)
    gold = content(original, "train")
    for arm, rounds in curve.rounds.items():
        (home,) = (folder / "models" / rounds[-1].model / "corpus").glob("table-*")
        reviewed = open_corpus(home)
        found = content(reviewed, "train") | content(reviewed, "validation")
        if not arm.evidence:
            assert all(not evidence for _, _, evidence in found.values())
            found = {id: (*value[:2], gold[id][2]) for id, value in found.items()}
        assert found == gold
    assert set(original.labels.codes) == set(WORDINGS)


@pytest.mark.slow
def test_a_killed_command_is_continued_by_the_same_command(
    played: tuple[Path, LearningCurve], table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = [str(word) for word in of_command(out, table, 2)]
    command = [sys.executable, "-m", "icdcli", *words, "--seeds", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while not list(out.glob("*/round-01.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert process.returncode != 0
    again = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    result = json.loads((out / "learning_curve.json").read_text(encoding="utf-8"))
    assert result["complete"] and len(result["arms"]) == 2
    rounds = [one | {"seconds": 0} for one in result["arms"][0]["rounds"]]
    assert json.loads(json.dumps(values(played[1])[RANDOM.name])) == rounds
