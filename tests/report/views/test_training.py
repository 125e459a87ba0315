import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from icdcli.config.loading import load_config
from icdcli.report.console import Output
from icdcli.report.views.training import TrainingView
from icdcli.training.events import (
    Evaluated,
    Evaluating,
    Prepared,
    ResumedFrom,
    SamplePrediction,
    Saved,
    Started,
    StepDone,
    Stopped,
    TrainingSummary,
)

Render = Callable[..., list[str]]
SAMPLE = SamplePrediction("17", ("428.0",), ("428.0",), {"428.0": 0.98})
VALIDATION = Evaluated(
    epoch=1,
    step=100,
    seconds=60.0,
    train_loss=0.5,
    validation_loss=0.6,
    lr=1e-4,
    metrics={"f1_micro": 0.7, "map": 0.8},
    monitored=0.75,
    best_metric=True,
    best_loss=False,
    patience_left=5,
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def view_of(
    output: Output,
    *settings: str,
    titles: dict[str, str] | None = None,
    memory: Callable[[], int | None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
) -> TrainingView:
    """Return a view of a prepared run with these settings; its summary isn't printed."""
    view = TrainingView(output, memory=memory, clock=clock)
    summary = TrainingSummary("corpus", 8, 2, 3, 3, "cpu", 5.0, 9, 10, 10, 200, 100)
    config = load_config(None, [*settings])
    console, output.console = output.console, Console(file=StringIO())
    view.handle(Prepared(summary, Path("run"), config, titles or {}))
    output.console = console
    return view


def step(number: int) -> StepDone:
    return StepDone(number, 1, 1e-4, train_loss=0.5, tokens_per_second=12345.6)


def test_a_line_at_most_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with closing(view_of(Output(), "patience=5", "metrics=[f1_micro]", clock=clock)) as view:
        view.handle(Started(step=100, total_steps=200, steps_per_epoch=100))
        for now, number in ((5, 110), (9, 120), (15, 130), (24, 140), (26, 150)):
            clock.now = now
            view.handle(StepDone(number - 1, 1, 1e-4))  # Not logged: no line.
            view.handle(step(number))
    assert capsys.readouterr().out.splitlines() == [
        "step 110/200  0:00:45 left  epoch 1  train_loss 0.5000  lr 1.00e-04  12,346 tokens/s",
        "step 130/200  0:00:35 left  epoch 1  train_loss 0.5000  lr 1.00e-04  12,346 tokens/s",
        "step 150/200  0:00:26 left  epoch 1  train_loss 0.5000  lr 1.00e-04  12,346 tokens/s",
    ]


def test_a_logged_step_shows_the_memory(capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[int] = []

    def memory() -> int:
        asked.append(1)
        return 12_345_678_901

    with closing(view_of(Output(), "patience=5", memory=memory)) as view:
        view.handle(Started(step=0, total_steps=200, steps_per_epoch=100))
        view.handle(StepDone(9, 1, 1e-4))
        assert not asked  # Between logged steps, nothing may wait for the device.
        view.handle(step(10))
    assert capsys.readouterr().out.endswith("  12,346 tokens/s  memory 12.3 GB\n")


def test_the_note_of_a_step_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(view_of(Output(), "patience=5")) as view:
        view.handle(replace(StepDone(7, 1, 1e-4), note="out of memory; continuing with less"))
    assert capsys.readouterr().err == "warning: step 7: out of memory; continuing with less\n"


def test_validation_lines(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    settings = ("patience=5", "common=[validation_loss]", "metrics=[map, f1_micro]")
    with closing(view_of(Output(), *settings, clock=clock)) as view:
        view.handle(Started(0, 200, 100))
        for now in (1, 5, 12, 15, 23):
            clock.now = now
            view.handle(Evaluating(now * 10, 1000))
        view.handle(VALIDATION)
        view.handle(Saved("metric", 100))
        view.handle(Stopped("no progress for 5 validations", 100, True))
    assert capsys.readouterr().out.splitlines() == [
        "validation  120/1,000 documents",
        "validation  230/1,000 documents",
        "validation  epoch 1  step 100  validation_loss 0.6000  map 0.8000  f1_micro 0.7000  "
        "best metric so far  patience left 5",
        "Training finished: no progress for 5 validations (step 100)",
    ]


def test_the_note_of_the_validations_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(view_of(Output(), "patience=5", "metrics=[map]")) as view:
        for _ in range(3):
            view.handle(replace(VALIDATION, note="map: undefined"))
    assert capsys.readouterr().err == "warning: map: undefined\n"


def test_without_patience_none_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(view_of(Output(), "patience=0")) as view:
        view.handle(VALIDATION)
    assert "patience" not in capsys.readouterr().out


def test_each_sample_prediction_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = replace(SAMPLE, gold=("428.0", "401.9"), predicted=("428.0", "486"))
    samples = (SAMPLE, replace(wrong, id="18"), replace(wrong, id="19"))
    with closing(view_of(Output(), "patience=5")) as view:
        for epoch in (1, 2):
            view.handle(replace(VALIDATION, epoch=epoch, samples=samples))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * (1 + 1 + len(samples))  # with the line of the validation
    more = "(with titles: icdcode show-predictions run)"
    assert lines[1:4] == [
        f"Sample predictions after epoch 1 {more}",
        "17: 1 right",
        "18: 1 right; 1 missed: 401.9; 1 extra: 486",
    ]
    assert lines[6] == "Sample predictions after epoch 2"


def test_the_live_view_shows_the_state_of_the_run(terminal: Output, render: Render) -> None:
    clock = Clock()
    view = view_of(terminal, "patience=5", "metrics=[f1_micro]", clock=clock)
    assert render(view)[0].startswith("Training")
    view.handle(Started(0, 1000, 100))
    clock.now = 10
    view.handle(step(100))
    view.handle(Evaluating(30, 90))
    lines = render(view)
    assert lines[0].endswith("step 100/1,000  0:01:30 left")
    assert lines[1].startswith("Validation")
    assert lines[1].endswith("30/90 documents")
    assert lines[2] == "epoch 1  train_loss 0.5000  lr 1.00e-04  12,346 tokens/s"
    view.handle(VALIDATION)
    lines = render(view)
    assert lines[1].endswith("patience left 5")
    assert lines[-1].split() == ["1", "100", "0.5000", "0.6000", "1.00e-04", "0.7000", "metric"]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_word_of_the_live_view_is_broken(terminal: Output, render: Render, width: int) -> None:
    view = view_of(terminal, "patience=50", memory=lambda: 123_456_789_012)
    view.handle(Started(0, 1_000_000, 100))
    view.handle(StepDone(123_456, 1234, 1e-4, train_loss=0.05, tokens_per_second=1_234_567.0))
    view.handle(VALIDATION)
    lines = render(view, width)
    assert max(map(len, lines)) <= width
    words = (
        "epoch 1234",
        "train_loss 0.05000",
        "lr 1.00e-04",
        "1,234,567 tokens/s",
        "memory 123.5 GB",
        "patience left 5",
    )
    assert all(any(word in line for line in lines) for word in words)
    assert (width < 120) == (lines[1] != "  ".join(words))


def test_the_live_view_shows_few_validations_and_leaves_all(
    terminal: Output, render: Render
) -> None:
    with closing(view_of(terminal, "patience=5", "metrics=[f1_micro]")) as view:
        view.handle(Started(0, 2000, 100))
        for epoch in range(1, 21):
            view.handle(replace(VALIDATION, epoch=epoch, step=epoch * 100, best_metric=epoch == 1))
        during = [line.split()[0] for line in render(view)[5:]]
        view.handle(Stopped("all steps are done", 2000, True))
    assert during == ["1", "…", *map(str, range(14, 21))]
    assert [line.split()[0] for line in render(view)[3:]] == [str(epoch) for epoch in range(1, 21)]
    assert not any(line.startswith("Training") for line in render(view))
    assert isinstance(terminal.console.file, StringIO)
    assert (
        terminal.console.file.getvalue()
        .splitlines()[-1]
        .endswith("all steps are done (step 2,000)")
    )


def test_an_interruption_passes_through_and_closes_the_view(terminal: Output) -> None:
    with pytest.raises(KeyboardInterrupt), closing(view_of(terminal, "patience=5")) as view:
        view.handle(Started(0, 10, 10))
        raise KeyboardInterrupt
    with terminal.watch("another view"):  # Possible only after the first one is closed.
        terminal.say("still here")
    assert isinstance(terminal.console.file, StringIO)
    assert "still here" in terminal.console.file.getvalue()


def test_the_size_of_a_run_is_shown_first(capsys: pytest.CaptureFixture[str]) -> None:
    summary = TrainingSummary("corpus-1", 8, 2, 3, 3, "cpu", 5.0, 9, 10, 20, 200, 100)
    resumed = ResumedFrom(Path("run/weights/steps/7"), 7, {"steps": (100, 200)}, 3)
    view = TrainingView(Output())
    config = load_config(None, [])
    view.handle(Prepared(summary, Path("run"), config, {}))
    first = capsys.readouterr().out
    assert "corpus     corpus-1\n" in first
    assert first.endswith("run        run\n")
    assert "fused" not in first
    view.handle(Prepared(summary, Path("out/demo2"), load_config(None, ["name=demo"]), {}))
    assert capsys.readouterr().out.endswith("run        out/demo2 (out/demo exists)\n")
    fused = replace(summary, fused=("RMSNorm", "rotation"))
    assert fused.to_json()["weights"] == "10 trained of 20, on cpu; fused: RMSNorm, rotation"
    aside = (Path("run/steps.before-1.csv"),)
    view.handle(Prepared(replace(summary, resumed=resumed), Path("run"), config, {}, aside))
    again = capsys.readouterr().out
    assert again.startswith("from       run/weights/steps/7, step 7\n")
    assert again.endswith(f"{'':<10} run/steps.before-1.csv\n")


def test_tfidf_has_neither_training_loss_nor_patience(capsys: pytest.CaptureFixture[str]) -> None:
    view = TrainingView(Output())
    config = load_config(None, ["patience=5", "metrics=[f1_micro]"])
    summary = TrainingSummary("corpus-1", 8, 2, 3, 3, "cpu")
    view.handle(Prepared(summary, Path("run"), config, {}))
    view.handle(VALIDATION)
    last = capsys.readouterr().out.splitlines()[-1]
    assert "validation_loss 0.6000" in last
    assert "train_loss" not in last
    assert "patience" not in last
