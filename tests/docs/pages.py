"""The pages of the documentation, their fenced blocks, and commands run in this process."""

import contextlib
import io
import re
import shlex
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import typer

from icdcli.cli import main

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "README.ko.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *PAGES,
]
_BLOCK = re.compile(
    r"(?:^<!-- ([^\n]*?) -->\n)?^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A fenced block: the comment before it, its language and its lines."""

    note: str
    kind: str
    text: str

    @property
    def runs(self) -> bool:
        return self.note.startswith("run")

    @property
    def exit_code(self) -> int:
        return int(found[1]) if (found := re.search(r"exit code (\d+)", self.note)) else 0

    def commands(self) -> list[tuple[str, list[str]]]:
        """Return its commands, each with the lines of output that the page shows."""
        if self.kind == "bash":
            lines = map(str.strip, self.text.replace("\\\n", " ").splitlines())
            return [(line, []) for line in lines if line and not line.startswith("#")]
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
        return found


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *kinds: str) -> list[Block]:
    found = [Block(*match) for match in _BLOCK.findall(text_of(page))]
    return [block for block in found if block.kind in kinds or not kinds]


def text_without_blocks(page: Path) -> str:
    return _BLOCK.sub("", text_of(page))


def call_of(line: str) -> list[str] | None:
    """Return the arguments of a line that calls ``icdcode``, or None."""
    call = re.match(r"(?:srun )?(?:icdcode|torchrun .*-m icdcli) (.*)", line)
    return shlex.split(call[1].split(" > ")[0]) if call else None


_command = cache(typer.main.get_command)  # the commands and their options, made once


def icdcode(words: list[str]) -> tuple[int, str]:
    """Run a command in this process, 80 columns wide; return its exit code and its output."""
    said, code = io.StringIO(), 0
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        patch.setattr(sys, "argv", ["icdcode", *words])
        patch.setattr(typer.main, "get_command", _command)
        patch.setenv("COLUMNS", "80")
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return code, said.getvalue()
