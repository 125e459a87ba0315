import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from icdcli.cli import app
from icdcli.config.loading import load_config
from icdcli.ensembles.seeds import (
    MemberStoppedError,
    RunningTrainings,
    finished_seeds,
    new_seeds_run,
    train_members,
    train_seeds,
)
from icdcli.errors import ConfigError, DataError, ResumeError
from icdcli.model.checkpoint import load_model
from icdcli.model.ensemble.ensemble_model import EnsembleModel
from icdcli.run_dir import RunDir, train_alone
from icdcli.training.run import run_training

pytestmark = pytest.mark.filterwarnings("ignore:leakage")


@pytest.fixture
def seeds_config(config):
    def make(**changes):
        options = {"model": "tfidf", "seeds": "[0,1]", "code_system": "icd10"}
        return config(**options | changes)

    return make


class InThisProcess:
    """Runs commands here, and remembers them; the training of some seeds fails once."""

    def __init__(self, failing=()):
        self.words, self.failing = [], set(failing)

    def __call__(self, words, log):
        self.words.append(list(words))
        failed = self.failing & set(words)
        self.failing -= failed
        return 130 if failed else CliRunner().invoke(app, list(words)).exit_code


def test_a_model_per_seed_and_their_ensemble_are_in_one_run(seeds_config):
    run, command, messages = new_seeds_run(seeds_config()), InThisProcess(), []
    made = train_seeds(run, on_message=messages.append, command=command)
    assert made.run == run.root
    assert list(made.members) == ["seed0", "seed1"]
    assert [load_config(folder / "args.yaml").run.seed for folder in made.members.values()] == [
        0,
        1,
    ]
    assert isinstance(load_model(run.root), EnsembleModel)
    assert load_config(run.args).data.code_system.startswith("icd10cm-")
    assert (run.root / "results.csv").read_text().count("\n") == 2
    assert len(messages) == 2
    assert train_seeds(run, on_message=messages.append, command=command) is None
    assert len(command.words) == 2


def test_what_is_finished_is_not_repeated(seeds_config):
    run, command = new_seeds_run(seeds_config()), InThisProcess(failing=["seed=1"])
    with pytest.raises(MemberStoppedError, match=r"seed 1 stopped.*icdcode resume") as e:
        train_seeds(run, on_message=print, command=command)
    assert e.value.exit_code == 130
    assert finished_seeds(run) == [0]
    assert not (run.root / "weights").exists()
    assert train_seeds(run, on_message=print, command=command) is not None
    assert [next(word for word in words if "seed=" in word) for words in command.words] == [
        "seed=0", "seed=1", "seed=1",
    ]  # fmt: skip


def test_a_member_with_a_checkpoint_is_resumed(seeds_config):
    run = new_seeds_run(seeds_config())
    train_seeds(run, on_message=print, command=InThisProcess())
    (run.root / "seeds.json").write_text('{"finished": [0]}')
    words = []
    train_members(
        run,
        seeds_config(),
        ["workers=1"],
        on_message=print,
        command=lambda given, log: words.append(list(given)) or 0,
    )
    assert words == [["resume", str(run.root / "members" / "seed1"), "workers=1"]]
    assert finished_seeds(run) == [0, 1]


def test_several_devices_train_at_a_time_one_model_each(seeds_config):
    config = seeds_config(model="tiny", device="[0,1]", seeds="[0,1,2,3]")
    run, used = new_seeds_run(config), []

    def command(words, log):
        used.append((words[-1], log.name))
        time.sleep(0.05)
        return 0

    runs = train_members(run, config, on_message=print, command=command)
    assert [member.root.name for member in runs] == ["seed0", "seed1", "seed2", "seed3"]
    assert {device for device, _ in used[:2]} == {"device=0", "device=1"}
    assert {log for _, log in used} == {f"seed{seed}.log" for seed in range(4)}
    assert finished_seeds(run) == [0, 1, 2, 3]


@pytest.mark.parametrize("last", [0, 1])
def test_a_signal_that_meets_no_training_stops_the_command(seeds_config, last):
    config = seeds_config()
    run, command = new_seeds_run(config), InThisProcess()

    def interrupted(words, log):
        code = command(words, log)
        if f"seed={last}" in words:  # which is finished all the same
            passing_on = signal.getsignal(signal.SIGTERM).__self__
            os.kill(os.getpid(), signal.SIGTERM)
            while not passing_on.signal:  # the main thread handles it when it gets to it
                time.sleep(0.01)
        return code

    with pytest.raises(MemberStoppedError, match=r"SIGTERM.*icdcode resume") as e:
        train_seeds(run, on_message=print, command=interrupted)
    assert e.value.exit_code == 143
    assert finished_seeds(run) == [*range(last + 1)]
    assert train_seeds(run, on_message=print, command=command) is not None


def test_a_training_that_is_starting_gets_the_signal_once():
    class Starting:
        def __init__(self):
            self.received = []

        def send_signal(self, number):
            self.received.append(number)

        def wait(self):
            return -self.received[0]

    running, process = RunningTrainings(), Starting()
    with running.passing_signals_on():
        os.kill(os.getpid(), signal.SIGINT)
    assert running.wait(process) == 130
    assert process.received == [signal.SIGINT]


def test_a_signal_while_another_is_passed_on_does_not_block():
    class Slow:
        received = 0

        def send_signal(self, number):
            self.received += 1
            if number == signal.SIGINT:
                os.kill(os.getpid(), signal.SIGTERM)

        def wait(self):
            os.kill(os.getpid(), signal.SIGINT)
            return 143

    running, process = RunningTrainings(), Slow()
    with running.passing_signals_on():
        assert running.wait(process) == 143
    assert (running.signal, process.received) == (signal.SIGINT, 2)


def test_seeds_that_learn_the_principal_diagnosis_are_warned_of_before(seeds_config):
    run, warned = new_seeds_run(seeds_config(principal=True)), []
    with pytest.raises(MemberStoppedError):
        train_seeds(
            run,
            on_message=print,
            on_warning=warned.append,
            command=InThisProcess(failing=["seed=0"]),
        )
    [warning] = warned
    assert "doesn't choose the principal diagnosis" in warning


def test_a_member_that_an_earlier_command_still_trains_is_left_alone(seeds_config):
    run, command = new_seeds_run(seeds_config()), InThisProcess()
    orphan = RunDir(run.root / "members" / "seed0")
    orphan.root.mkdir(parents=True)
    orphan.steps.write_text("")
    with train_alone(orphan, pytest.fail), pytest.raises(ResumeError, match="is being trained by"):
        train_seeds(run, on_message=print, command=command)
    assert command.words == []
    assert orphan.steps.exists()


def test_lost_checkpoints_of_a_member_are_reported_before_any_training(seeds_config):
    run, command = new_seeds_run(seeds_config()), InThisProcess()
    weights = run.root / "members" / "seed1" / "weights"
    (weights / "steps" / "4").mkdir(parents=True)
    (weights / "names.json").write_text("{}")
    with pytest.raises(ResumeError, match="seed1"):
        train_seeds(run, on_message=print, command=command)
    assert command.words == []


def test_wrong_seeds_are_refused(seeds_config, config, monkeypatch):
    with pytest.raises(ConfigError, match="seeds: needs at least two"):
        seeds_config(seeds="[3]")
    with pytest.raises(ConfigError, match="contains a value twice"):
        seeds_config(seeds="[3,3]")
    with pytest.raises(ConfigError, match="seeds: only `icdcode train` trains several models"):
        run_training(seeds_config())
    run = new_seeds_run(seeds_config())
    with pytest.raises(ResumeError, match="seeds"):
        train_seeds(run, ["seeds=[4,5]"], on_message=print, command=InThisProcess())
    (run.root / "seeds.json").write_text("no")
    with pytest.raises(DataError, match=r"seeds\.json: can't be read"):
        train_seeds(run, on_message=print, command=InThisProcess())
    monkeypatch.setenv("RANK", "0")
    done = CliRunner().invoke(app, ["resume", str(run.root)])
    assert isinstance(done.exception, ConfigError)
    assert "without torchrun" in str(done.exception)


def test_a_dry_run_is_that_of_one_model(notes, tmp_path):
    words = [f"data_path={notes}", f"project={tmp_path}", "model=tfidf", "code_system=icd10"]
    path = tmp_path / "config.yaml"
    path.write_text("seeds: [0, 1]\nname: both\n")
    done = CliRunner().invoke(app, ["train", str(path), *words, "--dry-run", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["dry_run"]
    assert not (tmp_path / "both").exists()


@pytest.mark.slow
def test_a_signal_stops_a_member_which_is_resumed(notes, tmp_path):
    words = [
        f"data_path={notes}", f"project={tmp_path}", "name=two", "model=tiny", "bit=32",
        "lora_activate=False", "max_len=48", "device=cpu", "steps=4000", "batch_size=8",
        "code_system=icd10", "seeds=[0,1]", "gradient_checkpointing=False", "patience=0",
        "metrics=[f1_micro]", "pos_weight=1", "warmup_steps=4",
    ]  # fmt: skip
    path = tmp_path / "config.yaml"
    path.write_text("")
    start = [sys.executable, "-m", "icdcli"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([*start, "train", str(path), *words], env=environment) as process:
        first = tmp_path / "two" / "members" / "seed0"
        for _ in range(600):
            if (first / "weights" / "last").is_dir():
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    assert finished_seeds(RunDir(tmp_path / "two")) == []
    done = subprocess.run(
        [*start, "resume", str(tmp_path / "two"), "steps=26", "--json"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert [one["name"] for one in made["members"]] == ["seed0", "seed1"]
