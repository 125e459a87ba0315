import math
from dataclasses import replace

import pytest
import torch

from icdcli.training.events import Evaluated, Evaluating, StepDone
from icdcli.training.loggers import Trackers

LOGGED = StepDone(step=10, epoch=1, lr=1e-3, train_loss=0.5, tokens_per_second=1000.0)
VALIDATION = Evaluated(
    epoch=1,
    step=12,
    seconds=9.0,
    train_loss=0.4,
    validation_loss=0.6,
    lr=1e-3,
    metrics={"f1_micro": 0.7, "aucroc_macro": math.nan},
    monitored=0.7,
    best_metric=True,
    best_loss=True,
    patience_left=5,
)


class Fake:
    """A tracker that remembers what its calls, and fails in the one named ``fails_at``."""

    def __init__(self, fails_at=None, **options):
        self.fails_at, self.options, self.calls = fails_at, options, []

    def _take(self, what, *values):
        self.calls.append((what, *values))
        if what == self.fails_at:
            raise ConnectionError("no network")

    def start(self):
        self._take("start")

    def store_init_configuration(self, values):
        self._take("config", values)

    def log(self, values, step=None):
        self._take("log", values, step)

    def finish(self):
        self._take("finish")


@pytest.fixture
def trackers(monkeypatch, tmp_path):
    """Trackers with fakes in place of accelerate's classes, and what they warn of."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    def make(config=None, **fails_at):
        fakes, warned = {}, []

        def fake_of(tracker, method):
            return lambda **options: fakes.setdefault(tracker, Fake(method, **options))

        for tracker, method in fails_at.items():
            monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, tracker, fake_of(tracker, method))
        made = Trackers(list(fails_at), tmp_path / "mimic3" / "run", config or {}, warned.append)
        return made, fakes, warned

    return make


def run(made):
    for event in (LOGGED, StepDone(11, 1, 1e-3), Evaluating(1, 2), VALIDATION):
        made.handle(event)
    made.close()


def test_losses_rate_speed_and_metrics_are_logged_at_their_step(trackers):
    made, fakes, warned = trackers(wandb=None)
    run(made)
    assert fakes["wandb"].calls[2:] == [
        ("log", {"train/loss": 0.5, "train/lr": 1e-3, "train/tokens_per_second": 1000.0}, 10),
        ("log", {"epoch": 1, "validation/loss": 0.6, "validation/f1_micro": 0.7}, 12),
        ("finish",),
    ]
    assert not warned


def test_the_configuration_is_passed_in_values_that_every_tracker_takes(trackers):
    _, fakes, _ = trackers(
        {"lr0": 1e-4, "device": [0, 1], "monitor": None, "model": "tiny"}, mlflow=None
    )
    assert fakes["mlflow"].calls == [
        ("start",),
        ("config", {"lr0": 1e-4, "device": "[0, 1]", "monitor": "None", "model": "tiny"}),
    ]


def test_runs_are_known_by_the_names_of_their_folders(trackers, tmp_path):
    names = ["tensorboard", "wandb", "mlflow", "comet_ml", "aim", "clearml"]
    _, fakes, _ = trackers(**dict.fromkeys(names))
    folder = tmp_path / "mimic3" / "run"
    assert fakes["tensorboard"].options == {"run_name": "tensorboard", "logging_dir": folder}
    assert fakes["wandb"].options == {"run_name": "mimic3", "name": "run", "dir": str(folder)}
    assert fakes["mlflow"].options == {"experiment_name": "mimic3", "run_name": "run"}
    assert fakes["clearml"].options == {"run_name": "mimic3", "task_name": "run"}


def test_every_tracker_that_a_configuration_may_name_can_be_made(tmp_path):
    from typing import get_args

    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    from icdcli.training.loggers import _OPTIONS
    from icdcli.training.section import LogConfig

    names = get_args(get_args(LogConfig.model_fields["trackers"].annotation)[0])
    assert set(names) == set(_OPTIONS)
    for name in names:
        LOGGER_TYPE_TO_CLASS[name](
            **_OPTIONS[name](tmp_path)
        )  # takes these options; nothing is started yet


@pytest.mark.parametrize("method", ["start", "config", "log", "finish"])
def test_one_that_fails_leads_to_one_warning_and_is_not_called_again(trackers, method):
    made, fakes, warned = trackers(wandb=method, mlflow=None)
    run(made)
    made.handle(LOGGED)
    assert warned == ["trackers: wandb is switched off, training continues without it: no network"]
    assert fakes["wandb"].calls[-1][0] == method
    assert [what for what, *_ in fakes["mlflow"].calls] == [
        "start",
        "config",
        "log",
        "log",
        "finish",
    ]


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "wandb", None)
    warned = []
    Trackers(["wandb"], tmp_path / "run", {}, warned.append).handle(LOGGED)
    assert warned == [
        "trackers: wandb is switched off, training continues without it: "
        "the package wandb is not installed"
    ]


def test_a_tracker_changes_nothing_about_how_is_computed(trackers):
    threads = torch.get_num_threads()
    trackers(wandb=None)
    assert torch.get_num_threads() == threads


def test_none_asked_for_none_made(tmp_path):
    warned = []
    run(Trackers([], tmp_path, {}, warned.append))
    assert not warned
    assert not [*tmp_path.iterdir()]


def test_tensorboard_writes_into_the_runs_folder(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    warned = []
    made = Trackers(["tensorboard"], tmp_path / "run", {"lr0": 1e-4, "device": [0]}, warned.append)
    run(made)
    made.handle(replace(VALIDATION, step=24))
    found = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert not warned
    assert [(event.step, event.value) for event in found.Scalars("train/loss")] == [(10, 0.5)]
    assert [event.step for event in found.Scalars("validation/f1_micro")] == [12]
