"""The command line in this process, and a small run that many tests use."""

import contextlib
import gzip
import io
import json
import os
import shutil
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from icdcli.cli import main
from icdcli.run_dir import read_rows
from icdcli.training.events import StepDone

CONFIG = """\
model: tiny
bit: 32
device: cpu
lora_activate: False
gradient_checkpointing: False
data_path: {tables}
label_pruning: True
project: {project}
name: run
max_len: 64
batch_size: 16
steps: 12
warmup_steps: 2
lr0: 1e-3
head_lr_factor: 10
log_every: 2
prediction_print_n: 1
metrics: ['f1_micro', 'aucroc_micro']
"""


@dataclass(frozen=True)
class Answer:
    """The outcome of a command: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


_command = cache(typer.main.get_command)  # the commands and their options, made once


def _icdcode(*words):
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["icdcode", *map(str, words)])
        patch.setattr(typer.main, "get_command", _command)
        patch.setenv("COLUMNS", "100")
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    return Answer(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def icdcode():
    """Return a function that runs a command in this process; it raises everything but an exit."""
    return _icdcode


@pytest.fixture
def refused(icdcode):
    """Return a function that asserts that a command fails with an exit code and one message.

    With ``warned``, a warning comes before the message.
    """

    def run(code, *words, says, warned=False):
        answer = icdcode(*words)
        assert (answer.code, answer.out) == (code, ""), answer
        first = "warning: " if warned else "error: "
        assert answer.err.startswith(first) and answer.err.count("error: ") == 1, answer.err
        for part in [says] if isinstance(says, str) else says:
            assert part in answer.err, answer.err
        return answer.err

    return run


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """Return synthetic tables, a configuration for them, and a folder for runs."""
    root = tmp_path_factory.mktemp("icdcode")
    made = SimpleNamespace(
        root=root, tables=root / "tables", config=root / "config.yaml", project=root / "runs"
    )
    assert _icdcode("demo-data", made.tables, "--admissions", "120").code == 0
    made.config.write_text(CONFIG.format(tables=made.tables, project=made.project))
    return made


@pytest.fixture(scope="session")
def trained(place):
    """Return the folder of a finished run of two epochs of six steps; read only."""
    answer = _icdcode("train", place.config)
    assert answer.code == 0, answer
    return place.project / "run"


@pytest.fixture
def run_copy(trained, tmp_path):
    """Return a copy of the run."""
    return Path(shutil.copytree(trained, tmp_path / "run", symlinks=True))


@pytest.fixture
def table_copies(place, tmp_path):
    """Return a copy of the tables."""
    folder = tmp_path / "tables"
    folder.mkdir()
    for table in place.tables.glob("*.csv.gz"):
        shutil.copy(table, folder)
    return folder


@pytest.fixture
def rewrite():
    """Replace text in a table."""

    def change(folder, name, function):
        path = folder / f"{name}.csv.gz"
        path.write_bytes(
            gzip.compress(function(gzip.decompress(path.read_bytes()).decode()).encode())
        )

    return change


@pytest.fixture(scope="session")
def rows():
    """Return the table of a run without the columns that depend on the clock."""

    def read(path):
        clock = ("seconds", "tokens_per_second")
        return [
            {name: value for name, value in row.items() if name not in clock}
            for row in read_rows(path)
        ]

    return read


@pytest.fixture(scope="session")
def files():
    """Return all files below a folder, relative to it."""
    return lambda folder: {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture
def signal_at(monkeypatch):
    """Send a signal when a step is done."""
    from icdcli.report.views.training import TrainingView

    def arrange(step, number):
        handle = TrainingView.handle

        def handle_and_signal(view, event):
            handle(view, event)
            if isinstance(event, StepDone) and event.step == step:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(TrainingView, "handle", handle_and_signal)
        return monkeypatch

    return arrange


@pytest.fixture(scope="session")
def without_pictures():
    """Return a context without figures, which take longer than a small training."""
    from icdcli.report import run_report
    from icdcli.report.comparison import page
    from icdcli.report.plots import corpus, evaluation, run
    from icdcli.report.plots.figures import new_figure

    @contextlib.contextmanager
    def leave_out():
        with pytest.MonkeyPatch.context() as patch:
            for name in ("learning_curves_png", "lr_schedule_png"):
                patch.setattr(run, name, lambda *_: None)
            for module in (evaluation, run_report):
                patch.setattr(module, "evaluation_figures", lambda *_: {})
            patch.setattr(page, "comparison_figures", lambda *_: {})
            patch.setattr(corpus, "corpus_figure", lambda _: new_figure(1, 1))
            yield

    return leave_out


@pytest.fixture
def pictures():
    """Draw figures in a test, which are left out otherwise."""


@pytest.fixture(autouse=True)
def no_pictures(request, without_pictures):
    """Leave out figures; fixtures of a module or of the session still have theirs."""
    with contextlib.nullcontext() if "pictures" in request.fixturenames else without_pictures():
        yield
