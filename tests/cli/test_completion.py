"""The completions that a shell shows, requested as a shell does."""

import os
import subprocess
import sys

import pytest

from icdcli.cli import app
from icdcli.cli.completion import complete_protocol


def request(words, shell="bash"):
    """Return the environment variables with which a shell asks for completions."""
    return {
        "_ICDCODE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": " ".join(words),
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }


@pytest.fixture
def offered(monkeypatch, tmp_path, capsys):
    """Return a function that asks for completions in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def ask(*words):
        with pytest.MonkeyPatch.context() as patch:
            for name, value in request(["icdcode", *words]).items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit):
                app(prog_name="icdcode")
        out, err = capsys.readouterr()
        assert not err
        return [line for line in out.splitlines() if line]

    return ask


def offered_by_a_process(
    words, cwd, shell="bash", code="from icdcli.cli import app; app(prog_name='icdcode')"
):
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | request(words, shell) | {"PYTHONPATH": path},
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    assert not done.stderr
    return [line for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        (["ba"], ["batch_size="]),
        (["padding="], ["padding=auto", "padding=free", "padding=batch"]),
        (["lora_activate=F"], ["lora_activate=False"]),
        (["padding", "="], ["auto", "free", "batch"]),
        (["padding", "=", "fr"], ["free"]),
        (["nothing="], []),
    ],
)
def test_keys_and_values_of_the_configuration_are_offered(words, answers, offered):
    assert offered("train", "laptop.yaml", *words) == answers


@pytest.mark.parametrize(
    "shell", ["bash", *(pytest.param(shell, marks=pytest.mark.slow) for shell in ("zsh", "fish"))]
)
def test_each_shell_gets_keys(shell, tmp_path):
    assert "batch_size=" in "\n".join(
        offered_by_a_process(["icdcode", "train", "laptop.yaml", "batch_s"], tmp_path, shell)
    )


def test_shipped_configurations_and_own_files_are_offered(offered, tmp_path):
    (tmp_path / "lapland.yaml").touch()
    (tmp_path / "lap.txt").touch()
    found = offered("train", "lap")
    assert found == ["lapland.yaml", "laptop.yaml", "laptop_best.yaml", "laptop_quality.yaml"]


def test_run_folders_are_completed_and_others_get_a_slash(offered, tmp_path):
    (tmp_path / "outputs" / "tiny").mkdir(parents=True)
    (tmp_path / "outputs" / "tiny" / "args.yaml").touch()
    assert offered("evaluate", "out") == ["outputs/"]
    assert offered("evaluate", "outputs/") == ["outputs/tiny"]


def test_protocols_offered_are_those_with_published_lists():
    from icdcli.data.benchmarks.split_lists import PUBLISHED

    assert set(complete_protocol("")) == set(PUBLISHED)


def test_completion_imports_nothing_heavy(tmp_path):
    code = (
        "import atexit, sys; from icdcli.cli import app\n"
        "heavy = {'torch', 'transformers', 'pandas', 'sklearn', 'pyarrow'}\n"
        "atexit.register(lambda: print(*heavy & set(sys.modules)))\n"
        "app(prog_name='icdcode')"
    )
    words = ["icdcode", "train", "laptop.yaml", "batch_s"]
    assert offered_by_a_process(words, tmp_path, code=code) == ["batch_size="]
