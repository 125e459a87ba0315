"""How commands are listed in the help: in groups, each with its whole summary."""

from typing import Any

from typer.core import TyperGroup

_WHOLE = 1_000  # characters: a summary isn't cut


class Commands(TyperGroup):
    """Commands with subcommands, such as ``icdcode review``."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands below the heading of their group."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            group = getattr(command, "rich_help_panel", None)
            about = command.get_short_help_str(limit=_WHOLE)
            groups.setdefault(group if isinstance(group, str) else "Commands", []).append(
                (name, about)
            )
        for group, rows in groups.items():
            with formatter.section(group):
                formatter.write_dl(rows)
