import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from icdcli.config.loading import load_config
from icdcli.report.plots.run import (
    RunPlots,
    best_epoch,
    learning_curves_figure,
    learning_curves_png,
    lr_schedule_figure,
    lr_schedule_png,
)
from icdcli.report.plots.terminal import lr_landmarks, lr_schedule_plot
from icdcli.run_dir import RunDir, append_row
from icdcli.training.events import Evaluated, Prepared, ResumedFrom, TrainingSummary

Illegible = Callable[[Figure], list[str]]
STEPS = list(range(201))
RATES = [1e-4 * min(step / 20, (200 - step) / 180 + 0.001) for step in STEPS]


def test_landmarks() -> None:
    assert [(step, label) for step, _, label in lr_landmarks(STEPS, RATES)] == [
        (20, "warm-up ends, peak: step 20, 1.00e-04"),
        (200, "last: step 200, 1.00e-07"),
    ]
    assert [label for *_, label in lr_landmarks([0, 1], [2e-3, 1e-3])] == [
        "peak: step 0, 2.00e-03",
        "last: step 1, 1.00e-03",
    ]
    assert lr_landmarks([0, 1], [2e-3, 0.0])[1][2] == "last: step 1, 0"
    assert [label for *_, label in lr_landmarks([0, 1], [0, 1e-3])] == [
        "warm-up ends, peak: step 1, 1.00e-03"
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_terminal_plot_fits_and_is_labeled(width: int) -> None:
    drawing = lr_schedule_plot(STEPS, RATES, width=width, height=18)
    lines = drawing.splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= 18
    assert "\x1b" not in drawing
    for label in (
        "warm-up ends, peak: step 20, 1.00e-04",
        "last: step 200, 1.00e-07",
        "optimizer step",
        "1.00e-04┤",
    ):
        assert label in drawing


def test_terminal_plot_uses_the_size_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setenv("LINES", "30")
    lines = lr_schedule_plot(STEPS, RATES).splitlines()
    assert max(map(len, lines)) == 90
    assert len(lines) == 20


@pytest.mark.parametrize(
    ("steps", "rates"), [([1], [1e-4]), ([1, 2], [0.0, 0.0]), (range(3), [1e-3, 1e-3, 1e-3])]
)
def test_odd_schedules_are_drawn(steps: list[int], rates: list[float], tmp_path: Path) -> None:
    assert "peak" in lr_schedule_plot(steps, rates, width=80, height=15)
    lr_schedule_png(steps, rates, tmp_path / "lr.png")
    assert (tmp_path / "lr.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("steps", "rates"),
    [
        (STEPS, RATES),
        (STEPS, [1e-3 * math.cos(step / 201 * 1.57) for step in STEPS]),
        ([0, 1], [2e-3, 1e-3]),
        ([0, 1, 2], [1e-3, 1e-3, 1e-3]),
    ],
)
def test_no_label_of_a_schedule_is_on_its_line(
    steps: list[int], rates: list[float], illegible: Illegible
) -> None:
    figure = lr_schedule_figure(steps, rates, "outputs · tiny")
    assert illegible(figure) == []
    [axes] = figure.axes
    shown = np.linspace(steps[0], steps[-1], 500)
    line = axes.transData.transform(np.column_stack([shown, np.interp(shown, steps, rates)]))
    for label in axes.texts:
        box = Text.get_window_extent(label)  # without the line to the point
        inside = [box.contains(x, y) for x, y in line]
        assert not any(inside), label.get_text()


def test_learning_curves_are_legible(illegible: Illegible, texts: Illegible) -> None:
    names = ["train_loss", "validation_loss", "lr", "f1_micro", "precision_at_15", "aucprc_micro"]
    rows = [
        {"epoch": epoch} | {name: 0.1 * epoch * place for place, name in enumerate(names, 1)}
        for epoch in range(1, 9)
    ]
    figure = learning_curves_figure(rows, names, 5, "outputs · tiny")
    assert illegible(figure) == []
    assert {"outputs · tiny", "best checkpoint", "aucprc_micro"} <= set(texts(figure))


@pytest.mark.parametrize(("steps", "rates"), [([], []), ([1, 2], [0.1])])
def test_wrong_schedules(steps: list[int], rates: list[float], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one learning rate per step"):
        lr_schedule_plot(steps, rates)
    with pytest.raises(ValueError, match="one learning rate per step"):
        lr_schedule_png(steps, rates, tmp_path / "lr.png")


def test_pngs_are_complete_and_the_same_twice(tmp_path: Path) -> None:
    rows = [
        {"epoch": 1, "train_loss": 0.7, "validation_loss": 0.8, "lr": 1e-4, "f1_micro": math.nan},
        {"epoch": 2, "train_loss": 0.5, "validation_loss": 0.7, "lr": 5e-5},
    ]
    folder = tmp_path / "run" / "vis_outputs"
    contents = []
    for _ in range(2):
        lr_schedule_png(STEPS, RATES, folder / "lr_schedule.png")
        learning_curves_png(
            rows,
            ["train_loss", "validation_loss", "lr", "f1_micro"],
            folder / "learning_curves.png",
        )
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert set(contents[0]) == {"lr_schedule.png", "learning_curves.png"}
    assert contents[0] == contents[1]
    assert all(content.startswith(b"\x89PNG") for content in contents[0].values())


def test_the_best_epoch_is_the_one_of_the_checkpoint() -> None:
    rows = [
        {"epoch": 1.0, "map": 0.5, "f1_micro": 0.1},
        {"epoch": 2.0, "map": 0.4, "f1_micro": 0.3},
        {"epoch": 3.0, "map": 0.9, "f1_micro": math.nan},
    ]
    assert best_epoch(rows, ["map", "f1_micro"], higher_is_better=True) == 2
    assert best_epoch(rows, ["map"], higher_is_better=True) == 3
    assert best_epoch(rows, ["map"], higher_is_better=False) == 2
    assert best_epoch(rows, ["validation_loss"], higher_is_better=False) is None


def test_the_best_epoch_is_marked(tmp_path: Path) -> None:
    rows = [{"epoch": float(epoch), "map": 0.1 * epoch} for epoch in (1, 2, 3)]
    contents = []
    for best in (None, 2.0, 3.0):
        learning_curves_png(rows, ["map"], tmp_path / "curves.png", best)
        contents.append((tmp_path / "curves.png").read_bytes())
    assert len(set(contents)) == 3


def test_a_panel_for_each_requested_kind(tmp_path: Path) -> None:
    from matplotlib.image import imread

    rows = [{"epoch": 1.0, "train_loss": 0.7, "lr": 1e-4, "f1_micro": 0.1}]
    heights = []
    for columns in (["train_loss"], ["train_loss", "f1_micro"], ["train_loss", "f1_micro", "lr"]):
        learning_curves_png(rows, columns, tmp_path / "curves.png")
        heights.append(imread(tmp_path / "curves.png").shape[0])
    assert heights[0] < heights[1] < heights[2]


@pytest.mark.parametrize(("rows", "columns"), [([], ["lr"]), ([{"epoch": 1.0}], [])])
def test_nothing_to_draw(rows: list[dict[str, float]], columns: list[str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one validation and one column"):
        learning_curves_png(rows, columns, tmp_path / "curves.png")


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lr.png"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        lr_schedule_png(STEPS, RATES, path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_the_room_is_imported_without_anything_heavy() -> None:
    code = (
        "import sys, icdcli.report.plots.run, icdcli.report.plots.terminal\n"
        "import icdcli.report.views.training\n"
        "heavy = ('matplotlib', 'plotext', 'torch', 'pandas')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert run.stdout.strip() == "[]"


def test_the_handler_writes_the_schedule_and_then_the_curves(tmp_path: Path) -> None:
    run, plots = RunDir(tmp_path), RunPlots()
    config = load_config(None, ["steps=20", "warmup_steps=2", "metrics=[f1_micro]"])
    summary = TrainingSummary("corpus", 8, 2, 3, 3, "cpu", 5.0, 9, 10, 20, 20, 10)
    plots.handle(Prepared(summary, tmp_path, config, {}))
    assert run.lr_schedule.is_file()
    assert not run.learning_curves.exists()
    columns = ("epoch", "step", "seconds", "train_loss", "validation_loss", "lr", "f1_micro")
    append_row(run.results, columns, dict.fromkeys(columns, 1))
    plots.handle(Evaluated(1, 10, 1.0, 1.0, 1.0, 1e-3, {"f1_micro": 1.0}, 1.0, True, True, 5))
    assert run.learning_curves.is_file()
    plots.close()


@pytest.mark.parametrize(("changes", "written"), [({}, False), ({"lr0": (1e-3, 1e-4)}, True)])
def test_a_resumed_run_gets_a_new_schedule_if_keys_changed(
    tmp_path: Path, changes: dict[str, tuple[float, float]], written: bool
) -> None:
    resumed = ResumedFrom(tmp_path, 5, changes)
    summary = TrainingSummary("corpus", 8, 2, 3, 3, "cpu", 5.0, 9, 10, 20, 20, 10, resumed)
    config = load_config(None, ["steps=20", "warmup_steps=2"])
    RunPlots().handle(Prepared(summary, tmp_path, config, {}))
    assert RunDir(tmp_path).lr_schedule.is_file() is written
