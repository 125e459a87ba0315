"""The findings of an audit on the terminal: how many, and the likeliest errors."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from icdcli.errors import counted
from icdcli.report.formatting import one_line, plain

if TYPE_CHECKING:
    from icdcli.audit.run import Audit

_SHOWN = 10


def audit_view(audit: "Audit") -> RenderableType:
    """Render the counts of an audit and its first findings, without words of notes.

    Args:
        audit: The audit.

    Returns:
        A rich renderable.
    """
    return Group(*_lines(audit))


def _lines(audit: "Audit") -> Iterator[RenderableType]:
    codes = sum(len(document.labels) for document in audit.documents)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in audit.counts.items())
    yield plain(
        f"{counted(len(audit.documents), 'note')}, {counted(codes, 'gold code')}: "
        f"{counted(len(audit.findings), 'suspected error')} ({kinds})"
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("rank", justify="right")
    table.add_column("note", overflow="fold")
    table.add_column("kind", no_wrap=True)
    table.add_column("code", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    for finding in audit.findings[:_SHOWN]:
        code = finding.code if finding.instead is None else f"{finding.code} → {finding.instead}"
        cells = (str(finding.rank), finding.id, finding.kind, code, f"{finding.score:.2f}")
        table.add_row(*map(one_line, cells))
    if audit.findings:
        yield table
