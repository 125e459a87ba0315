"""The help of every command, its example, and errors about missing files."""

import os
import re
import shlex
import subprocess
import sys

import pytest
import typer

from icdcli.cli import app


def commands(group, words=()):
    """Yield every command of a group, with its name in words."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name), command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_an_example_that_parses(words):
    command = COMMANDS[words]
    about, _, example = command.help.partition("Example: ")
    assert about.strip().endswith((".", ")."))
    called = shlex.split(example.partition(" > ")[0])
    assert called[: 1 + len(words)] == ["icdcode", *words]
    command.make_context(" ".join(words), called[1 + len(words) :])
    # A newcomer has a laptop, no GPU, and of MIMIC at most the public lists of splits.
    assert words[0] == "splits" or not {"mimic", "mistral", "llama", "device="} & set(
        re.findall(r"[a-z]+=?", example)
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_and_argument_has_a_help_text(words):
    silent = [
        param.name
        for param in COMMANDS[words].params
        if param.name != "help" and not getattr(param, "help", None)
    ]
    assert silent == []


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_dots_in_the_usage_mark_a_repeated_word_once(words):
    command = COMMANDS[words]
    with command.make_context("icdcode", [], resilient_parsing=True) as context:
        assert not re.search(r"\.\.\.\W+\.\.\.", command.get_usage(context))


def test_a_demo_without_a_folder_accepts_keys(icdcode, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = icdcode("demo", "nothing=1")
    assert answer.code == 2
    assert "nothing" in answer.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("words", "exit_code"), [
    ("train demo.yaml data_path=nowhere", 3),
    pytest.param("evaluate nowhere", 2, marks=pytest.mark.slow),
    pytest.param("show-predictions nowhere", 2, marks=pytest.mark.slow), ("compare nowhere x", 2),
])  # fmt: skip
def test_missing_files_are_reported_before_torch_is_loaded(tmp_path, words, exit_code):
    code = (
        f"import sys; from icdcli.cli import main; sys.argv = ['icdcode', *{words.split()}]\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules)"
    )
    path = os.pathsep.join(filter(None, sys.path))
    env = {name: value for name, value in os.environ.items() if name != "RANK"} | {
        "PYTHONPATH": path
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (exit_code, "False")
    assert "nowhere" in done.stderr
