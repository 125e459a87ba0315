"""The terminal view of drift: each measure, and what it means for the acceptance table."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from icdcli.errors import counted
from icdcli.report.formatting import plain

if TYPE_CHECKING:
    from icdcli.drift.comparison import MeasureShift
    from icdcli.drift.run import DriftReport

_WORDS = {
    "words": "length in words",
    "unknown_words": "words not in training",
    "capitals": "capital letters",
    "accents": "letters other than a to z",
    "highest_score": "highest score",
    "mean_of_5_scores": "mean of 5 scores",
    "predicted_codes": "predicted codes",
}
_FEW = 100  # documents
_SHARES = ("unknown_words", "capitals", "accents")


def drift_view(report: "DriftReport") -> RenderableType:
    """Render a report, in at most 80 columns."""
    texts, scored = report.documents
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    for place, column in enumerate(("measure", "training", "notes", "effect", "p", "")):
        table.add_column(column, justify="right" if 0 < place < 5 else "left", no_wrap=True)
    for one in report.differences:
        table.add_row(
            drift_measure(one),
            _value(one, one.expected),
            _value(one, one.found),
            f"{one.effect:.2f}",
            f"{one.p:.3f}" if one.p >= 0.001 else "<.001",
            "differs" if one.alarm else "",
            style="yellow" if one.alarm else "",
        )
    return Group(
        plain(
            f"{counted(report.notes, 'note')}, compared with {texts:,} training texts and "
            f"{scored:,} scored documents",
            "bold",
        ),
        table,
        plain(""),
        *map(plain, drift_sentences(report)),
    )


def drift_measure(one: "MeasureShift") -> str:
    """Return the name of a measure, in words."""
    if one.group is None:
        return _WORDS[one.measure]
    kind, _, first = one.group.partition(" ")
    return f"with a {kind} {first}…"


def drift_sentences(report: "DriftReport") -> Iterator[str]:
    """Yield what the report means, in plain words."""
    if report.without_words:
        yield f"{counted(report.without_words, 'note')} without words or codes left out."
    texts, scored = report.documents
    if min(texts, scored) < _FEW:
        yield (
            f"The summary has few documents ({texts:,} texts, {scored:,} scored), so only large "
            "differences can be found."
        )
    if not report.alarms:
        yield (
            "No drift found: as far as this number of notes can show, the acceptance table holds."
        )
        return
    names = ", ".join(drift_measure(one) for one in report.alarms)
    yield (
        f"Drift: {names}. The acceptance table was chosen on other notes and no longer holds: "
        "review all codes, or have some of these notes coded and evaluate on them."
    )


def _value(one: "MeasureShift", value: float) -> str:
    if one.group is not None or one.measure in _SHARES:
        return f"{value:.1%}"
    return f"{value:.3f}" if "score" in one.measure else f"{value:,.0f}"
