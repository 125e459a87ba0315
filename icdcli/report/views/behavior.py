"""The results of behavioral tests, on the terminal in 80 columns, and in HTML."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from icdcli.errors import counted
from icdcli.evaluation.behavior.run import BehaviorReport, CapabilityResult
from icdcli.report.formatting import one_line, plain
from icdcli.report.html_table import html_table

_EXPECTED = {"coded": "coded", "not coded": "not coded", "unchanged": "same codes"}
_SHOULD = {
    "coded": "should be coded",
    "not coded": "should not be coded",
    "unchanged": "should have the same codes",
}
_COLUMNS = ("capability", "should be", "notes", "pass", "95 % interval", "held out")
_TEXT = (0, 1)
_SHOWN = 3


def behavior_view(report: BehaviorReport, failures: bool = False) -> RenderableType:
    """Render the results of behavioral tests.

    Args:
        report: The results.
        failures: Show a few failing notes of each capability below the table.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, name in enumerate(_COLUMNS):
        table.add_column(name, justify="left" if place in _TEXT else "right", no_wrap=True)
    for one in report.capabilities:
        table.add_row(*(one_line(value) for value in _row(one)))
    parts: list[RenderableType] = [plain(_heading(report), "bold"), table]
    parts += [plain(line, "dim") for line in _skipped(report)]
    for one in report.capabilities if failures else ():
        for failure in one.failures[:_SHOWN]:
            text = " / ".join(failure["text"].splitlines())
            parts.append(plain(f"{one.name}: {failure['code']} in {text!r}: {_predicted(failure)}"))
    return Group(*parts)


def behavior_html(report: BehaviorReport) -> str:
    """Render the results as a section of a page, with the failing notes folded."""
    parts = [
        "<h2 id=behavior>Behavior</h2>",
        f"<p class=quiet>{escape(_heading(report))}, made from templates and from names in the "
        "clinical lexicon; none of them is a patient's. Capabilities that should be coded need the "
        "code or another of its category (a side or a history: its own code), those that shouldn't "
        "must have none of them. 95 % intervals over the notes. Held out: the pass "
        "rate of the notes whose template or condition wasn't used during development.</p>",
        html_table(_COLUMNS, map(_row, report.capabilities), _TEXT),
        *(f"<p class=quiet>{escape(line)}</p>" for line in _skipped(report)),
        *map(_failures_html, (one for one in report.capabilities if one.failures)),
    ]
    return "".join(parts)


def _heading(report: BehaviorReport) -> str:
    return f"{counted(report.notes, 'note')} about {counted(len(report.codes), 'condition')}"


def _skipped(report: BehaviorReport) -> Iterator[str]:
    for name, reason in report.skipped.items():
        yield f"{name}: not tested, {reason}"


def _row(one: CapabilityResult) -> tuple[str, ...]:
    return (
        one.name,
        _EXPECTED[one.expect],
        f"{one.notes:,}",
        f"{one.rate:.3f}",
        f"{one.low:.3f}–{one.high:.3f}",
        "" if one.held_out_rate is None else f"{one.held_out_rate:.3f}",
    )


def _predicted(failure: Mapping[str, Any]) -> str:
    predicted = ", ".join(failure["predicted"]) or "no code"
    if "of_base" not in failure:
        return predicted
    return f"{predicted}, before the change {', '.join(failure['of_base']) or 'no code'}"


def _failures_html(one: CapabilityResult) -> str:
    failed = one.notes - one.passed
    of = f"{len(one.failures):,} of {failed:,}" if failed > len(one.failures) else f"{failed:,}"
    rows: Iterator[tuple[str, str, str]] = (
        (failure["code"], failure["text"], _predicted(failure)) for failure in one.failures
    )
    table = html_table(("condition", "note", "predicted"), rows, text=(0, 1, 2))
    title = f"{one.name} ({_SHOULD[one.expect]}): {of} failing"
    return f"<details><summary>{escape(title)}</summary>{table}</details>"
