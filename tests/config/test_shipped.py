"""The shipped configurations are valid and begin with their description and commands."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from icdcli.cli import app
from icdcli.config.loading import load_config, shipped_configs

NAME_COLUMN, SCREEN = 21, 80


def commands(path: Path) -> list[list[str]]:
    text = path.read_text(encoding="utf-8").split("\n\n")[0]
    return [shlex.split(line) for line in re.findall(r"^#     (icdcode .+)$", text, re.M)]


def parse(words: list[str]) -> tuple[str, dict]:
    command, context, rest = get_command(app), None, words
    while hasattr(command, "commands"):
        group = command.make_context("icdcode", rest[:0], parent=context, resilient_parsing=True)
        _name, command, rest = command.resolve_command(group, rest)
        context = group
    return command.name, command.make_context(command.name, list(rest), parent=context).params


@pytest.fixture(params=shipped_configs().values(), ids=lambda path: path.name)
def path(request):
    return request.param


def test_it_is_valid(path):
    load_config(path)


def test_its_first_line_is_a_description_that_fits_the_list(path):
    first, second, *_ = path.read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"# \S.*[^.]", first)
    assert len(first) - len("# ") <= SCREEN - NAME_COLUMN
    assert second == "#"


def test_its_commands_are_right(path):
    run = load_config(path).run
    names = []
    for _, *words in commands(path):
        name, parameters = parse(words)
        names.append(name)
        if "config" in parameters:
            assert parameters["config"] == Path("configs") / path.name
            load_config(path, parameters.get("overrides") or [])
        if name in ("evaluate", "refit"):
            assert parameters["run_dir"] == run.project / run.name
    # A second stage is fitted in a refit, which cross-fitting measures.
    assert names[-2:] == ["train", "refit" if load_config(path).model.second_stage else "evaluate"]


def test_it_names_the_hardware(path):
    assert "Hardware: " in path.read_text(encoding="utf-8").split("\n\n")[0]
