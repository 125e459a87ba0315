"""The results of behavioral tests on the terminal. They fit 80 columns."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from icdcli.evaluation.behavior.run import BehaviorReport
from icdcli.report.formatting import one_line, plain

_EXPECTED = {"coded": "coded", "not coded": "not coded", "unchanged": "same codes"}
_SHOWN = 3


def behavior_view(report: BehaviorReport, failures: bool = False) -> RenderableType:
    """Render the results of behavioral tests.

    Args:
        report: The results.
        failures: Show a few failing notes of each capability below the table.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("capability", no_wrap=True)
    table.add_column("should be", no_wrap=True)
    for name in ("notes", "pass", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in report.capabilities:
        table.add_row(
            one_line(one.name),
            _EXPECTED[one.expect],
            f"{one.notes:,}",
            f"{one.rate:.3f}",
            f"{one.low:.3f}–{one.high:.3f}",
        )
    heading = plain(f"{report.notes:,} notes about {len(report.codes)} conditions", "bold")
    parts: list[RenderableType] = [heading, table]
    for one in report.capabilities if failures else ():
        for failure in one.failures[:_SHOWN]:
            predicted = ", ".join(failure["predicted"]) or "no code"
            text = " / ".join(failure["text"].splitlines())
            parts.append(plain(f"{one.name}: {failure['code']} in {text!r}: {predicted}"))
    return Group(*parts)
