"""The manual that each command carries: what it does, and an example that the command line understands."""

import shlex

import pytest
import typer

from icdcli.cli import app


def commands(group, words=()):
    """Every command below a group, with the words that call it."""
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


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_and_argument_says_what_it_is(words):
    silent = [param.name for param in COMMANDS[words].params if param.name != "help" and not getattr(param, "help", None)]
    assert silent == []


def test_a_demo_without_a_folder_takes_keys(icdcode, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = icdcode("demo", "nothing=1")
    assert answer.code == 2 and "nothing" in answer.err
    assert list(tmp_path.iterdir()) == []
