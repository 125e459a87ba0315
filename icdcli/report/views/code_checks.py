"""The checks of a split's codes: findings per 100 documents, and the metrics by rules."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import RenderableType
from rich.table import Table

from icdcli.report.formatting import number, one_line, plain
from icdcli.report.html_table import html_table

if TYPE_CHECKING:
    from icdcli.evaluation.code_checks import SplitChecks

_SHOWN_METRICS = ("f1_micro", "precision_micro", "recall_micro", "f1_macro")
_FINDINGS = ("finding", "severity", "gold", "predicted")


def code_checks_view(checks: "SplitChecks") -> Iterator[RenderableType]:
    """Yield the tables for the terminal; they fit 80 columns."""
    title = f"findings of icdcode check per 100 documents ({', '.join(checks.editions)})"
    yield plain(title, "bold")
    rows = list(_finding_rows(checks))
    yield _table(_FINDINGS, rows, 2) if rows else plain("none")
    yield plain("")
    yield plain("without the codes that rules remove (predict --resolve: hard rules)", "bold")
    names = [name.replace("_", "\n") for name in _SHOWN_METRICS]
    columns = ("rules", "removed\ncodes", "of them\nright", *names)
    yield _table(columns, list(_rule_rows(checks, _SHOWN_METRICS)), 1)
    yield plain("")


def code_checks_html(checks: "SplitChecks") -> str:
    """Return the section of the page."""
    metrics = list(checks.resolutions[0].metrics)
    names = (name.replace("_", " ") for name in metrics)  # a space lets a narrow column break
    rows = list(_finding_rows(checks))
    rules = ("rules", "removed codes", "of them right", *names)
    return (
        "<h2 id=checks>Checks</h2>"
        "<p class=quiet>Codes that break a rule of the classification "
        f"({', '.join(checks.editions)}), such as two codes that exclude each other: findings per "
        "100 documents, in the recorded (gold) and in the predicted codes.</p>"
        + (html_table(_FINDINGS, rows, text=(0, 1)) if rows else "<p>No findings.</p>")
        + "<p class=quiet>What the metrics are if codes that a rule forbids are removed.</p>"
        + html_table(rules, list(_rule_rows(checks, metrics)), text=(0,))
    )


def _finding_rows(checks: "SplitChecks") -> Iterator[tuple[str, ...]]:
    def of_100(findings: int) -> str:
        return f"{100 * findings / checks.documents:.1f}"

    for severity, kind in sorted({**checks.gold, **checks.predicted}):
        counts = [
            found[severity, kind].findings if (severity, kind) in found else 0
            for found in (checks.gold, checks.predicted)
        ]
        yield kind, severity, *map(of_100, counts)


def _rule_rows(checks: "SplitChecks", metrics: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for one in checks.resolutions:
        values = (number(name, one.metrics[name]) for name in metrics)
        yield one.rules, f"{one.removed:,}", f"{one.right:,}", *values


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place < texts else "right", vertical="bottom")
    for row in rows:
        table.add_row(*map(one_line, row))
    return table
