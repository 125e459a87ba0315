"""A migrated run on the terminal: what became of the labels."""

from rich.console import Group, RenderableType
from rich.text import Text

from icdcli.data.corpus.migrated import MIGRATION
from icdcli.errors import counted, in_shell
from icdcli.migration.label_plan import RetiredLabel
from icdcli.migration.run import Migration
from icdcli.report.formatting import one_line, plain

_SHOWN, _INTO = 20, 4


def migration_view(made: Migration) -> RenderableType:
    """Render what a migration kept, added and dropped."""
    newer = " and ".join(made.newer)
    if made.run is None or made.plan is None:
        return plain(
            f"{made.checkpoint}: its codes are of {newer} already. There is nothing to migrate."
        )
    plan = made.plan
    older = " and ".join(made.older) or "an unknown edition"
    lines = [
        plain(f"Migrated from {older} to {newer}: {made.run}", "bold"),
        plain(f"kept      {sum(plan.kept):,} codes, with their weights"),
        plain(f"retired   {len(plan.retired):,} codes"),
        plain(f"instead   {len(plan.successors):,} codes, which start from their weights"),
        plain(f"new       {len(plan.new):,} codes, from their descriptions"),
    ]
    # The most frequent ones matter most.
    retired = sorted(plan.retired, key=lambda one: (-one.documents, one.code))
    if retired:
        lines += [Text(), plain("Retired", "bold")]
        lines += [plain(f"  {one_line(_became(one))}") for one in retired[:_SHOWN]]
    if len(retired) > _SHOWN:
        file = made.run / MIGRATION
        lines.append(plain(f"  … and {len(retired) - _SHOWN:,} more: {file}"))
    return Group(*lines, Text(), plain(f"Next: icdcode predict {in_shell(made.run)} NOTES"))


def _became(retired: RetiredLabel) -> str:
    """Return a retired label, with what took its place."""
    into = ", ".join(retired.into[:_INTO]) + " …" * (len(retired.into) > _INTO)
    became = f"now {into}" if into else "deleted"
    documents = counted(retired.documents, "document")
    return f"{retired.code}  {retired.title or ''} ({documents}; {became})"
