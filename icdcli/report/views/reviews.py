"""The statistics of reviews on the terminal; they fit 80 columns."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from icdcli.errors import counted
from icdcli.report.formatting import duration, one_line, plain

if TYPE_CHECKING:
    from icdcli.metrics.agreement import Agreement
    from icdcli.metrics.bootstrap import Interval
    from icdcli.review.statistics import CodeAcceptance, ModelDrift, ReviewStatistics

_SHOWN = 20


def review_statistics_view(statistics: "ReviewStatistics", store: str) -> RenderableType:
    """Render what reviewers made of suggestions, how long it took, and how far they agree.

    Args:
        statistics: The statistics.
        store: The name of the store.
    """
    return Group(*_parts(statistics, store))


def _parts(statistics: "ReviewStatistics", store: str) -> Iterator[RenderableType]:
    yield plain(store, "bold")
    yield plain(
        f"{counted(statistics.notes, 'reviewed note')}, {statistics.finished:,} finished, "
        f"{counted(statistics.readings, 'submitted reading')}"
    )
    if not statistics.readings:
        yield plain("Nothing is submitted yet.")
        return
    if seconds := statistics.seconds:
        yield plain(
            f"Time per reading: median {duration(seconds[50])}; half of them take "
            f"{duration(seconds[25])} to {duration(seconds[75])}"
        )
    for model in statistics.models:
        yield plain("")
        yield from map(plain, _model_lines(model))
    yield from _codes(statistics.codes)
    if statistics.agreement is not None:
        yield from _agreement(statistics.agreement)


def _model_lines(model: "ModelDrift") -> Iterator[str]:
    yield f"Model {model.name} ({model.model[:12]}), {counted(model.notes, 'reading')}"
    yield f"  {model.codes_per_note:.1f} suggestions above the threshold per note"
    if model.precision is not None:
        yield (
            f"  precision {model.precision:.3f}{_between(model.precision_interval)}: the share of "
            "them that reviewers kept"
        )
    if model.recall is not None:
        yield f"  recall {model.recall:.3f}: the share of the notes' codes that are among them"
    expected = model.validation.get("precision_micro")
    if expected is None:
        yield "  precision on the validation split: unknown, since the run wasn't evaluated on it"
    elif model.drifted is None:
        yield f"  precision on the validation split: {expected:.3f}; too few reviews to compare"
    else:
        yield f"  precision on the validation split: {expected:.3f}, " + (
            "outside of the interval:" if model.drifted else "within the interval"
        )
        if model.drifted:
            yield "    the notes or the decisions differ from those of the validation split"


def _codes(codes: Sequence["CodeAcceptance"]) -> Iterator[RenderableType]:
    if not codes:
        return
    rows = [
        (
            one.code,
            f"{one.suggested:,}",
            f"{one.accepted / one.suggested:.0%}" if one.suggested else "",
            *(f"{count:,}" for count in (one.accepted, one.rejected, one.replaced, one.added)),
        )
        for one in codes[:_SHOWN]
    ]
    yield plain("")
    columns = ("code", "suggested", "acceptance", "accepted", "rejected", "replaced", "added")
    yield _table(columns, rows)
    yield from _more(len(codes), "codes")


def _agreement(agreement: "Agreement") -> Iterator[RenderableType]:
    yield plain("")
    yield plain(
        f"Two readers, {counted(agreement.documents, 'note')}: F1 {agreement.f1:.3f}"
        f"{_between(agreement.f1_interval)}, the same codes in {agreement.exact:.0%}",
        "bold",
    )
    rows = [
        (
            one.code,
            f"{one.both:,}",
            f"{one.one:,}",
            "undefined" if one.kappa is None else f"{one.kappa:.3f}",
            _between(one.interval).strip(),
        )
        for one in agreement.codes[:_SHOWN]
    ]
    if rows:
        yield _table(("code", "both", "one of them", "kappa", "95 % interval"), rows)
        yield from _more(len(agreement.codes), "codes")


def _more(count: int, noun: str) -> Iterator[RenderableType]:
    if count > _SHOWN:
        yield plain(f"and {count - _SHOWN:,} more {noun}; --json has all of them")


def _between(interval: "Interval | None") -> str:
    return "" if interval is None else f" ({interval.low:.3f} to {interval.high:.3f})"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(one_line, row))
    return table
