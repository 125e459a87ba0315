"""The terminal view of scored predictions of any system. It fits 80 columns."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from icdcli.errors import counted
from icdcli.report.formatting import number, one_line, plain
from icdcli.report.tables import evaluation_table, interval

if TYPE_CHECKING:
    from icdcli.evaluation.predictions.scored import ScoredPredictions

_HEADLINE = (
    *("f1_micro", "precision_micro", "recall_micro", "f1_macro", "f1_macro_all", "f1_macro_caml"),
    *("aucroc_micro", "aucroc_macro", "aucprc_micro", "aucprc_macro"),
    *("precision_at_8", "recall_at_15", "map", "exact_match", "calibration_error"),
)
_HIERARCHICAL = {
    "hierarchical_f1": "with all codes above",
    "hierarchical_precision": "(Kiritchenko)",
    "hierarchical_recall": "",
    "hierarchical_f1_documents": "mean of documents",
    "cophe_f1": "counted per node (CoPHE)",
    "cophe_precision": "",
    "cophe_recall": "",
}
_GROUP_COLUMNS = {
    "labels": "codes",
    "gold": "gold",
    "f1_micro": "F1\nmicro",
    "f1_macro": "F1\nmacro",
    "precision_micro": "precision\nmicro",
    "recall_micro": "recall\nmicro",
}


def scored_view(scored: "ScoredPredictions") -> RenderableType:
    """Render scored predictions."""
    metrics = scored.statistics.metrics
    headline = {name: metrics[name] for name in _HEADLINE if name in metrics}
    return Group(
        *(plain(line, "bold") for line in _heading(scored)),
        *(plain("note: ", "bold yellow") + plain(note) for note in scored.notes),
        plain(""),
        evaluation_table(headline, scored.intervals),
        plain(""),
        *_hierarchical(scored),
        *_levels(scored.hierarchical),
        *_values("CodiEsp's script", scored.codiesp),
        *_values("evidence", scored.evidence),
        *_values("match of evidence, codes", scored.matches),
        *_values("cost", scored.cost),
        *(
            part
            for title, name in (
                ("training documents\nwith the code", "by_training_frequency"),
                ("kind of code", "by_kind"),
            )
            if len(scored.groups.get(name, {})) > 1
            for part in _group(title, scored.groups[name])
        ),
        *_unavailable(scored.unavailable),
    )


def _heading(scored: "ScoredPredictions") -> Iterator[str]:
    counts = scored.counts
    split = f"{scored.about['split']}: " if scored.about.get("split") else ""
    yield (
        f"{split}{counted(counts['documents'], 'document')}, "
        f"{counted(counts['labels'], 'gold or listed code')}"
    )
    yield (
        f"{counted(counts['predicted'], 'code')} predicted, {counts['right']:,} of "
        f"{counted(counts['gold'], 'gold code')} found"
    )
    kinds = {"sets": "sets of codes", "rankings": "ranked codes", "scores": "scored codes"}
    yield f"the file has {kinds[scored.shape]}; threshold {scored.about['threshold']}"


def _table(columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", vertical="bottom")
    return table


def _hierarchical(scored: "ScoredPredictions") -> Iterator[RenderableType]:
    if not scored.hierarchical:
        return
    table = _table(("near misses", "value", "95 % interval", ""))
    table.columns[3].justify = "left"
    for name, words in _HIERARCHICAL.items():
        value = number(name, scored.hierarchical[name])
        bounds = interval(name, scored.hierarchical_intervals.get(name))
        table.add_row(one_line(name), value, bounds, plain(words))
    yield table
    yield plain("")


def _levels(values: Mapping[str, float]) -> Iterator[RenderableType]:
    """Yield CoPHE by level."""
    levels = [name.partition(": ")[2] for name in values if name.startswith("cophe_f1: ")]
    if not levels:
        return
    table = _table(("CoPHE by level", "F1", "precision", "recall"))
    for level in levels:
        shares = (values[f"cophe_{share}: {level}"] for share in ("f1", "precision", "recall"))
        table.add_row(one_line(level), *(f"{share:.4f}" for share in shares))
    yield table
    yield plain("")


def _values(title: str, values: Mapping[str, float]) -> Iterator[RenderableType]:
    if not values:
        return
    table = _table((title, "value"))
    for name, value in values.items():
        shown = f"{value:,}" if isinstance(value, int) else number(name, value)
        table.add_row(one_line(name), shown)
    yield table
    yield plain("")


def _group(title: str, groups: Mapping[str, Mapping[str, float]]) -> Iterator[RenderableType]:
    table = _table((title, *_GROUP_COLUMNS.values()))
    for name, values in groups.items():
        cells = (
            f"{values[key]:,.0f}" if key in ("labels", "gold") else _share(values[key])
            for key in _GROUP_COLUMNS
        )
        table.add_row(one_line(name), *cells)
    yield table
    yield plain("")


def _share(value: float) -> str:
    return "" if value != value else f"{value:.3f}"


def _unavailable(reasons: Mapping[str, str]) -> Iterator[RenderableType]:
    """Yield what isn't computed, each reason once."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        yield plain("not computed: ", "bold") + plain(f"{shown}: {reason}.")
