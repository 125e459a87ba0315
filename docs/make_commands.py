"""Write commands.md: the help of every command, as the command line prints it.

    PYTHONPATH=. .venv/bin/python docs/make_commands.py

`tests/docs/test_docs.py` compares the committed page with this.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from icdcli.cli import app

PAGE = Path(__file__).parent / "commands.md"
WIDTH = 78  # the width that a terminal of 80 columns gets
HEAD = """\
<!-- Written by docs/make_commands.py; change the commands in icdcli/cli/ instead. -->
# Commands

The help of every command, as `icdcode COMMAND --help` prints it. `--json` prints one JSON object on
standard output and everything else on standard error; exit codes are in
[troubleshooting](troubleshooting.md).
"""


def commands(command: Any, name: str, parent: Any = None) -> Iterator[tuple[str, str]]:
    """Yield a command and its subcommands: their full names and help texts."""
    context = command.make_context(
        name, [], parent=parent, resilient_parsing=True, terminal_width=WIDTH
    )
    yield context.command_path, command.get_help(context).rstrip()
    for sub in getattr(command, "commands", {}).values():
        yield from commands(sub, sub.name, context)


def page() -> str:
    """Return the complete page."""
    lines = [HEAD]
    for path, text in commands(get_command(app), "icdcode"):
        lines.append(f"## {path}\n\n```text\n$ {path} --help\n{text}\n```\n")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
