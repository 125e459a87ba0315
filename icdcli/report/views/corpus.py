"""The data card on the terminal, as `prepare-data` and `describe` show it. It fits 80 columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from icdcli.data.corpus.notices import leaks
from icdcli.data.sources.admission import CODES_COLUMN
from icdcli.errors import counted
from icdcli.icd.editions.records import edition_ids
from icdcli.report.formatting import one_line, plain

_SPLIT_COLUMNS = {
    "documents": "documents",
    "subjects": "subjects",
    "words_per_document": "mean words",
    "codes_per_document": "mean codes",
}
_STATUSES = {
    "retired": "retired",
    "future": "of a later edition",
    "category": "that stand for the codes below them",
    "unknown": "unknown",
}
_QUANTILES = ("mean", "min", "p5", "p25", "p50", "p75", "p95", "max")


def corpus_view(described: Mapping[str, Any]) -> RenderableType:
    """Render the description of a corpus.

    Args:
        described: The result of `icdcli.data.corpus.card.describe_corpus`, or the content of
            ``card.json``; missing keys are left out.

    Returns:
        A rich renderable.
    """
    name = " · ".join(str(described[key]) for key in ("dataset", "protocol") if described.get(key))
    sections: list[Sequence[RenderableType]] = [
        [plain(f"Corpus {name}".rstrip(), "bold")],
        [_splits(described.get("splits", {}))],
        _benchmark(described.get("benchmark")),
        [plain(f"{name}: {words}") for name, words in (described.get("choices") or {}).items()],
        _labels(described),
        _dropped(described.get("dropped", {})),
        _lengths("words", described.get("words")),
        _lengths("codes", described.get("codes")),
    ]
    for cache, tokens in described.get("tokens", {}).items():
        sections += [
            _lengths("tokens", tokens["lengths"], f" ({cache})"),
            [_longer(tokens, described["documents"])],
        ]
    sections += [_leakage(described.get("leakage"), described.get("duplicates", {}))]
    blank = plain("")
    return Group(*(part for section in sections if section for part in (*section, blank)))


class Bars:
    """A histogram on one line, one character per bin: blocks, or ASCII if the encoding has none."""

    def __init__(self, counts: Sequence[int]) -> None:
        self._counts = counts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the line; a bin that isn't empty is always visible."""
        signs = ".:-=+*#@" if options.ascii_only else "▁▂▃▄▅▆▇█"
        most = max(self._counts, default=0)
        bars = (
            signs[-(-count * len(signs) // most) - 1] if count else " " for count in self._counts
        )
        yield Text("".join(bars), no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Return the number of bins as the width."""
        return Measurement(len(self._counts), len(self._counts))


def _table(*headings: str) -> Table:
    """Return a table with a column of names and columns of numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for position, heading in enumerate(headings):
        table.add_column(one_line(heading), justify="right" if position else "left")
    return table


def _count(value: Any) -> str:
    """Format a count or a mean; return ``""`` if the card lacks it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _splits(splits: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    table = _table("split", *_SPLIT_COLUMNS.values())
    for name, split in splits.items():
        table.add_row(one_line(name), *(_count(split.get(key)) for key in _SPLIT_COLUMNS))
    return table


def _benchmark(benchmark: Mapping[str, Any] | None) -> list[RenderableType]:
    """Compare the corpus with the published one of its protocol."""
    if not benchmark:
        return []
    parts: list[RenderableType] = []
    counts = benchmark.get("counts", {})
    if counts:
        table = _table(benchmark["protocol"], "found", "published", "")
        table.columns[-1].justify = "left"
        for name, count in counts.items():
            same = count["found"] == count["published"]
            mark = plain("same", "green") if same else plain("DIFFERS", "bold red")
            table.add_row(one_line(name), _count(count["found"]), _count(count["published"]), mark)
        parts += [table]
    if benchmark["is_benchmark"]:
        of = f" on {benchmark['release']}" if benchmark.get("release") else ""
        name = f"the benchmark {benchmark['protocol']}, as published{of}"
        return [*parts, plain(name, "green")]
    return [*parts, plain("not the benchmark: ", "bold red") + plain(benchmark["reason"])]


def _labels(described: Mapping[str, Any]) -> list[RenderableType]:
    """Describe the label space and its long tail."""
    labels = described.get("labels", {})
    if "count" not in labels:
        return []
    without = described.get("without_title", {"count": labels.get("without_title"), "first": []})
    line = f"labels: {_count(labels['count'])}"
    if without["count"]:
        line += f", {_count(without['count'])} without a title"
    if without["first"]:
        more = " …" if without["count"] > len(without["first"]) else ""
        line += f" ({', '.join(without['first'])}{more})"
    lines = [line]
    if editions := edition_ids(described.get("editions")):
        lines.append(f"editions: {', '.join(editions)}")
    if decision := described.get(CODES_COLUMN, {}).get("decision"):
        lines.append(f"codes: {decision}")
    lines += _validity(described.get("code_validity") or {})
    if "labels_by_split" in described:
        found = described["labels_by_split"]
        lines.append(
            "labels seen: "
            + ", ".join(f"{split} {_count(labels['seen'])}" for split, labels in found.items())
        )
        new = [
            f"{_count(labels['unseen_in_training'])} in {split}"
            for split, labels in found.items()
            if split != "train"
        ]
        lines += [f"labels never seen in training: {', '.join(new)}"] if new else []
    frequency = described.get("label_frequency")
    if frequency:
        numbers = {name: _count(count) for name, count in frequency["labels_with"].items()}
        lines.append(
            f"long tail: {numbers['no']} labels in no document, {numbers['one']} in one, "
            f"{numbers['fewer_than_5']} in fewer than 5, "
            f"{numbers['fewer_than_10']} in fewer than 10; {numbers['at_least_100']} in 100 or more"
        )
        lines += [
            f"{percent} % of the {_count(frequency['mentions'])} code mentions are "
            f"{counted(most['labels'], 'label')} "
            f"({_percent(most['share'])} of those in use)"
            for percent, most in frequency["covering"].items()
        ]
    return [plain(line) for line in lines]


def _validity(entry: Mapping[str, Any]) -> list[str]:
    """Return a line about the documents' days, and one about the codes that can't be assigned."""
    lines = []
    if days := entry.get("days"):
        without = f"; {_count(days['without'])} documents have no date" if days["without"] else ""
        lines.append(f"discharged: {days['first']} to {days['last']}{without}")
    counts = [
        f"{_count(entry[status]['codes'])} {what} ({_count(entry[status]['mentions'])} mentions)"
        for status, what in _STATUSES.items()
        if status in entry
    ]
    if counts:
        when = "their document's day" if days else str(entry["edition"])
        lines.append(f"codes not assignable by {when}: {', '.join(counts)}")
    return lines


def _dropped(dropped: Mapping[str, int]) -> list[RenderableType]:
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(justify="right")
    lines.add_column()
    for reason, count in dropped.items():
        if count:
            lines.add_row("  " + _count(count), plain(reason))
    return [plain("dropped or set aside:"), lines] if lines.row_count else []


def _lengths(
    quantity: str, described: Mapping[str, Any] | None, note: str = ""
) -> list[RenderableType]:
    """Show quantiles and histograms of the words, codes or tokens per document."""
    if not described:
        return []
    parts = {name: part for name, part in described.items() if name != "all" or len(described) > 2}
    table, bars = _table("", *_QUANTILES), Table.grid(padding=(0, 2, 0, 0))
    for name, part in parts.items():
        table.add_row(one_line(name), *(_count(part[quantile]) for quantile in _QUANTILES))
        bars.add_row(one_line(name), Bars(part["histogram"]["counts"]))
    histogram = described["all"]["histogram"]
    edges = histogram["edges"]
    widths = (
        "each bar wider than the one before (log scale)"
        if histogram["scale"] == "log"
        else f"each bar {_count(edges[1] - edges[0])} wide"
    )
    scale = f"from {_count(edges[0])} to {_count(edges[-1] - 1)} {quantity}, {widths}"
    return [plain(f"{quantity} per document{note}", "bold"), table, plain(""), bars, plain(scale)]


def _longer(tokens: Mapping[str, Any], documents: int) -> RenderableType:
    table = _table(
        "longer than", *(_count(int(length)) for length in tokens["longer_than"]), "tokens"
    )
    table.add_row("documents", *(_count(count) for count in tokens["longer_than"].values()))
    table.add_row(
        "share", *(_percent(count / documents) for count in tokens["longer_than"].values())
    )
    return table


def _leakage(
    leakage: Mapping[str, Mapping[str, Any]] | None, duplicates: Mapping[str, Mapping[str, int]]
) -> list[RenderableType]:
    """Show subjects and texts in two splits as warnings, and texts repeated within one split."""
    if leakage is None:
        return [
            plain(
                "No lengths and no leakage check: an older icdcode prepared this corpus. "
                "To get them, delete its folder and prepare the data again."
            )
        ]
    parts = [plain("warning: ", "bold yellow") + plain(leak) for leak in leaks(leakage)]
    if any(pair["subjects"] is None for pair in leakage.values()):
        texts = "" if parts else "no text is in two of them; "
        reason = "patients can't be checked, since not every split has patient ids"
        parts.append(plain(f"leakage between splits: {texts}{reason}"))
    elif not parts:
        parts.append(plain("leakage between splits: none"))
    for split, found in duplicates.items():
        if found["texts"]:
            times = (
                f"{counted(found['texts'], 'text')} in {counted(found['documents'], 'document')}"
            )
            parts.append(plain(f"repeated within {split}: {times}"))
    return list(parts)
