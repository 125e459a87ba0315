"""The terminal view of an evaluation: metrics, groups of codes, best and worst codes.

It fits 80 columns.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from icdcli.config.metric_names import PRINCIPAL_METRICS
from icdcli.data.section import LABEL_SPACES
from icdcli.icd.editions.records import edition_ids
from icdcli.report.formatting import number, one_line, plain
from icdcli.report.tables import evaluation_table
from icdcli.report.views.code_checks import code_checks_view
from icdcli.report.views.decisions.acceptance import acceptance_view

if TYPE_CHECKING:
    from icdcli.evaluation.ablation import Ablation
    from icdcli.evaluation.evaluate import Evaluation
    from icdcli.evaluation.published_results import Comparable

HEADLINE = (
    *("loss", "f1_micro", "precision_micro", "recall_micro", "f1_macro", "f1_macro_caml"),
    *("aucroc_micro", "aucroc_macro", "aucprc_micro", "aucprc_macro"),
    *("precision_at_8", "recall_at_15", "map", "exact_match", "calibration_error"),
    *PRINCIPAL_METRICS,
)
GROUP_COLUMNS = {
    "labels": "codes",
    "gold": "gold",
    "f1_micro": "F1\nmicro",
    "f1_macro": "F1\nmacro",
    "precision_micro": "precision\nmicro",
    "recall_micro": "recall\nmicro",
    "aucroc_macro": "AUROC\nmacro",
}
_SHOWN = 5  # best codes, and as many worst codes
_ENOUGH = 5  # gold documents that make a code's F1 meaningful


def evaluation_view(
    evaluation: "Evaluation", published: "Comparable | None" = None
) -> RenderableType:
    """Render an evaluation.

    Args:
        evaluation: The evaluation.
        published: Published results to show as well, if requested.

    Returns:
        A rich renderable.
    """
    headline = {name: evaluation.metrics[name] for name in HEADLINE if name in evaluation.metrics}
    parts: list[RenderableType] = [
        *(plain(line, "bold") for line in heading(evaluation)),
        *(plain("note: ", "bold yellow") + plain(note) for note in evaluation.notes),
        plain(""),
        evaluation_table(headline, evaluation.intervals),
        *_near_misses(evaluation.hierarchical),
        plain(""),
        *_groups("training documents with the code", evaluation.by_training_frequency),
        *(_groups("kind of code", evaluation.by_kind) if len(evaluation.by_kind) > 1 else []),
        *_acceptance(evaluation),
        *(code_checks_view(evaluation.checks) if evaluation.checks else []),
        *_best_and_worst(evaluation),
        *(_published(evaluation, published) if published else []),
    ]
    return Group(*parts)


def _acceptance(evaluation: "Evaluation") -> Iterator[RenderableType]:
    if evaluation.acceptance is not None:
        yield from acceptance_view(evaluation.acceptance, evaluation.split)


def heading(evaluation: "Evaluation") -> list[str]:
    """Return lines with the split, the numbers of documents and codes, threshold and editions."""
    counts = evaluation.counts
    odd = [
        f"{counts[key]:,} {words}"
        for key, words in (
            ("labels_without_positive", "without a positive"),
            ("labels_without_negative", "without a negative"),
        )
        if counts[key]
    ]
    codes = f"{counts['labels']:,} codes" + (f" ({', '.join(odd)})" if odd else "")
    outside = f", and {evaluation.outside:,} codes outside of it" if evaluation.outside else ""
    space = LABEL_SPACES.get(evaluation.label_space)
    named = [f"label space {evaluation.label_space}: {space}{outside}"] if space else []
    editions = ", ".join(edition_ids(evaluation.labels.editions))
    return [
        f"{evaluation.split}: {counts['documents']:,} documents, {codes}",
        *named,
        f"threshold {evaluation.threshold}",
        *([f"codes of {editions}"] if editions else []),
    ]


def _near_misses(values: Mapping[str, float]) -> Iterator[RenderableType]:
    """Yield a line with the hierarchical F1, if it is known."""
    if values:
        yield plain(
            f"F1 with all codes above {values['hierarchical_f1']:.4f}, counted per node "
            f"(CoPHE) {values['cophe_f1']:.4f}"
        )


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    for position, column in enumerate(columns):
        table.add_column(column, justify="right" if position else "left", vertical="bottom")
    return table


def _groups(title: str, groups: Mapping[str, Mapping[str, float]]) -> list[RenderableType]:
    table = _table(title.replace(" with ", "\nwith "), *GROUP_COLUMNS.values())
    for name, values in groups.items():
        table.add_row(one_line(name), *group_cells(values))
    return [table, plain("")]


def group_cells(values: Mapping[str, float]) -> Iterator[str]:
    """Yield the cells of a group of codes, in the order of `GROUP_COLUMNS`.

    A metric that is undefined has none. A group without gold codes has no metric: a zero would look
    like a failure.
    """
    for key in GROUP_COLUMNS:
        if key in ("labels", "gold"):
            yield f"{values[key]:,.0f}"
        else:
            yield "" if math.isnan(values[key]) or not values["gold"] else f"{values[key]:.3f}"


def _best_and_worst(evaluation: "Evaluation") -> list[RenderableType]:
    codes, f1_L = evaluation.by_code, evaluation.f1_of_code()
    least = _ENOUGH if (codes.gold_L >= _ENOUGH).sum() >= 2 * _SHOWN else 1
    # Best codes first. Of equal ones, the more frequent code is the better among the best codes and
    # the worse among the worst.
    known = [label for label in range(len(f1_L)) if codes.gold_L[label] >= least]
    best = sorted(known, key=lambda label: (-f1_L[label], -codes.gold_L[label]))[:_SHOWN]
    worst = sorted(set(known) - set(best), key=lambda label: (f1_L[label], -codes.gold_L[label]))[
        :_SHOWN
    ]
    if not best:
        return []
    table = _table("code", "title", "gold", "right", "extra", "F1")
    table.columns[1].justify = "left"
    for rows in (best, worst[::-1]):
        for label in rows:
            counts_L = (codes.gold_L, codes.predicted_L, codes.right_L)
            gold, predicted, right = (int(count_L[label]) for count_L in counts_L)
            title = one_line(evaluation.labels.titles[label] or "")
            numbers = (f"{gold:,}", f"{right:,}", f"{predicted - right:,}", f"{f1_L[label]:.3f}")
            table.add_row(one_line(evaluation.labels.codes[label]), title, *numbers)
        table.add_section()
    of = f" with {least} or more gold documents" if least > 1 else ""
    return [plain(f"best and worst codes{of}", "bold"), table, plain("")]


def _published(evaluation: "Evaluation", published: "Comparable") -> Iterator[RenderableType]:
    yield plain("published results", "bold")
    if published.reason:
        yield plain(f"none comparable: {published.reason}")
        yield plain("")
        return
    names = published_metrics(published)
    table = _table("", *(name.replace("_", "\n") for name in names))
    table.add_row(
        one_line("this run"),
        *(number(name, evaluation.metrics[name]) for name in names),
        style="bold",
    )
    for result in published.results:
        cells = [f"{result.values[name]:.3f}" if name in result.values else "" for name in names]
        table.add_row(one_line(result.name), *cells)
    yield table
    for result in published.results:
        caveat = f" ({result.caveat})" if result.caveat else ""
        yield plain(f"{result.name}: {result.source}{caveat}")
    yield plain("")


def published_metrics(published: "Comparable") -> Sequence[str]:
    """Return the metrics that any of the results has."""
    return list(dict.fromkeys(name for result in published.results for name in result.values))


def ablation_table(rows: Sequence["Ablation"], split: str) -> RenderableType:
    """Render an ablation: the metrics of the model without each of its parts.

    Args:
        rows: The complete model first.
        split: The split that was evaluated.

    Returns:
        A rich renderable, of at most 80 columns.
    """
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title=f"Without each part, on {split}",
        title_justify="left",
    )
    table.add_column("without")
    for name in rows[0].metrics:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.without or "nothing", *(number(name, value) for name, value in row.metrics.items())
        )
    return table
