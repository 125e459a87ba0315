"""The help lists every command in a group, with its whole summary."""

import pytest
from typer.testing import CliRunner

from icdcli.cli import app


@pytest.mark.parametrize("command", [[], ["review"], ["codes"], ["config"], ["splits"]])
def test_no_summary_is_cut(command: list[str]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "80"}).output
    commands = shown.split("Options:")[1]
    assert "..." not in commands


def test_commands_are_in_groups_and_the_beginning_is_first() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    assert "New here? Run `icdcode demo" in shown
    groups = ["Start here:", "Data:", "Training:", "Evaluation:", "New notes:", "Review:"]
    places = [shown.index(f"\n{group}\n") for group in groups]
    assert places == sorted(places)
    names = [command.name for command in (*app.registered_commands, *app.registered_groups)]
    assert all(f"\n  {name} " in shown for name in names)
