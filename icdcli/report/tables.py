"""Tables of results: an evaluation, the validations of a run. All fit 80 columns."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import RenderableType
from rich.table import Table

from icdcli.config.metric_names import METRICS, PRINCIPAL_METRICS
from icdcli.report.formatting import number, one_line, plain
from icdcli.training.events import Evaluated

ELLIPSIS = "…"


def evaluation_table(
    metrics: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]
) -> RenderableType:
    """Render the metrics of an evaluation, with their intervals and the sources of the definitions.

    Args:
        metrics: Metric name to value.
        intervals: Metric name to the bounds of its 95 % interval, for the metrics that have one.

    Returns:
        A rich renderable.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("metric", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("95 % interval", no_wrap=True)
    table.add_column("as in")
    for name, value in metrics.items():
        # Definitions end with their source in parentheses.
        definition = (METRICS | PRINCIPAL_METRICS).get(name, "")
        source = definition[definition.rindex("(") + 1 : -1] if definition.endswith(")") else ""
        bounds = interval(name, intervals.get(name))
        table.add_row(one_line(name), number(name, value), bounds, plain(source))
    return table


def interval(name: str, bounds: tuple[float, float] | None) -> str:
    """Format the bounds of an interval; return ``""`` if there is none."""
    return "" if bounds is None else "–".join(number(name, bound) for bound in bounds)


def _kept(validations: Sequence[Evaluated], limit: int | None) -> list[int | None]:
    """Choose the validations to show: last, first, best, then the latest; None marks a gap."""
    newest_first = range(len(validations) - 1, -1, -1)
    by_interest = dict.fromkeys(
        [newest_first[0], 0, *_best_validations(validations), *newest_first]
    )
    kept: list[int | None] = []
    for position in sorted(list(by_interest)[:limit]):
        if kept and kept[-1] is not None and position > kept[-1] + 1:
            kept.append(None)
        kept.append(position)
    return kept


def _best_validations(validations: Sequence[Evaluated]) -> dict[int, str]:
    """Return the positions of the best validations, with ``metric``, ``loss`` or ``both``."""
    best = {}
    for name, flag in (("metric", "best_metric"), ("loss", "best_loss")):
        positions = [position for position, event in enumerate(validations) if getattr(event, flag)]
        if positions:
            best[positions[-1]] = "both" if positions[-1] in best else name
    return best


def validation_values(event: Evaluated, columns: Sequence[str]) -> dict[str, str]:
    """Format the values of a validation by column: ``epoch``, ``step``, then the given columns."""
    common = {
        "train_loss": event.train_loss,
        "validation_loss": event.validation_loss,
        "lr": event.lr,
    }
    values = common | event.metrics
    return {"epoch": str(event.epoch), "step": f"{event.step:,}"} | {
        name: number(name, values[name]) for name in columns if name in values
    }


def validations_table(
    validations: Sequence[Evaluated], columns: Sequence[str], width: int, limit: int | None = None
) -> RenderableType:
    """Render the validations of a run, one per row; if the columns don't fit, one per column.

    Args:
        validations: The validations so far, oldest first; at least one.
        columns: The values to show: ``train_loss``, ``validation_loss``, ``lr`` and metrics.
        width: Columns of the terminal.
        limit: Show at most this many (the first, the best, the last); None: all.

    Returns:
        A rich renderable.
    """
    best = _best_validations(validations)
    cells = [
        validation_values(event, columns) | {"best": best.get(position, "")}
        for position, event in enumerate(validations)
    ]
    headings = {name: name.replace("_", "\n") for name in cells[0]}
    widths = [
        max(len(line) for line in [*heading.split("\n"), *(row[name] for row in cells)])
        for name, heading in headings.items()
    ]
    gap = next((gap for gap in (2, 1) if sum(widths) + gap * (len(widths) - 1) <= width), None)
    if gap is None:
        return _sideways(validations, cells, width, limit)
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for heading in headings.values():
        table.add_column(heading, justify="right", vertical="bottom", no_wrap=True)
    for position in _kept(validations, limit):
        row = (
            [ELLIPSIS] + [""] * (len(headings) - 1)
            if position is None
            else list(cells[position].values())
        )
        table.add_row(*map(one_line, row), style="bold" if position in best else "")
    return table


def _sideways(
    validations: Sequence[Evaluated],
    cells: Sequence[Mapping[str, str]],
    width: int,
    limit: int | None,
) -> RenderableType:
    # The best are at the top: a view that is higher than the terminal is cut at the bottom.
    names = ["epoch", "best", *(name for name in cells[0] if name not in ("epoch", "best"))]
    value_width = max(len(value) for row in cells for value in row.values()) + 2
    # There are at most three gaps (first, best by metric, best by loss, last), each an ellipsis
    # and two blanks wide.
    room = max(2, (width - max(map(len, names)) - 9) // value_width)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="bold", no_wrap=True)
    kept = _kept(validations, room if limit is None else min(limit, room))
    for position in kept:
        table.add_column(
            justify="right",
            no_wrap=True,
            style="bold" if position in _best_validations(validations) else "",
        )
    for name in names:
        row = [
            (ELLIPSIS if name == "epoch" else "") if position is None else cells[position][name]
            for position in kept
        ]
        table.add_row(*map(one_line, [name, *row]))
    return table
