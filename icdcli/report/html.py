"""An evaluation as one self-contained HTML page.

It loads nothing from the network or from other files, and contains the text of notes only if
documents with evidence are passed. The template with its few lines of JavaScript is
``evaluation_page.html`` in this folder; its content security policy forbids loading anything.
"""

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from icdcli.config.metric_names import METRICS
from icdcli.icd.code_system import CodeSystem
from icdcli.report.formatting import number
from icdcli.report.html_table import html_table
from icdcli.report.plots.evaluation import as_svg
from icdcli.report.tables import interval
from icdcli.report.views.behavior import behavior_html
from icdcli.report.views.code_checks import code_checks_html
from icdcli.report.views.evaluation import GROUP_COLUMNS, group_value, heading, published_metrics
from icdcli.report.views.evidence import evidence_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from icdcli.evaluation.behavior.run import BehaviorReport
    from icdcli.evaluation.curves import Confusion
    from icdcli.evaluation.evaluate import Evaluation
    from icdcli.evaluation.files import CodeRow
    from icdcli.evaluation.published_results import Comparable
    from icdcli.evaluation.sample import SampleDocument

_LOSS = "mean binary cross-entropy, positives not weighted"
_INTERVALS = (
    "95 % intervals from 1,000 resamples of the documents. They reflect which documents were "
    "sampled, not variation between training runs."
)


def evaluation_page(
    evaluation: "Evaluation",
    figures: "Mapping[str, Figure]",
    system: CodeSystem | None = None,
    published: "Comparable | None" = None,
    documents: "Sequence[SampleDocument]" = (),
    behavior: "BehaviorReport | None" = None,
) -> str:
    """Return the page as HTML.

    Args:
        evaluation: The evaluation.
        figures: The figures, as `icdcli.report.plots.evaluation.evaluation_figures` returns them.
        system: The coding system, for the chapters of confusions; None: unknown.
        published: Published results to show as well, if requested.
        documents: A few documents with their texts and the evidence for their codes, if requested.
        behavior: The results of behavioral tests, if there are any.
    """
    from icdcli.evaluation.curves import confusions
    from icdcli.evaluation.files import code_rows

    titles = evaluation.labels.known_titles
    template = Template(
        files("icdcli.report").joinpath("evaluation_page.html").read_text(encoding="utf-8")
    )
    about = {"evaluated": "; ".join(heading(evaluation))} | {
        k.replace("_", " "): v for k, v in evaluation.about.items() if k != "editions"
    }
    groups = {
        "Training documents with the code": evaluation.by_training_frequency,
        "Kind of code": evaluation.by_kind,
        "Chapter": evaluation.by_chapter,
    }
    chapters = confusions(evaluation, system)
    return template.substitute(
        style=files("icdcli.report").joinpath("page.css").read_text(encoding="utf-8"),
        title=escape(f"Evaluation on the {evaluation.split} split"),
        about="".join(
            f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in about.items()
        ),
        notes="".join(f'<p class="note">{escape(note)}</p>' for note in evaluation.notes),
        of_intervals=_INTERVALS,
        metrics=_metrics(evaluation),
        to_checks='<a href="#checks">Checks</a>' if evaluation.checks else "",
        checks=code_checks_html(evaluation.checks) if evaluation.checks else "",
        to_evidence='<a href="#evidence">Evidence</a>' if documents else "",
        to_behavior='<a href="#behavior">Behavior</a>' if behavior else "",
        behavior=behavior_html(behavior) if behavior else "",
        published=_published(evaluation, published) if published else "",
        figures="".join(as_svg(figure, name) for name, figure in figures.items()),
        groups="".join(_groups(name, values) for name, values in groups.items() if values),
        confusions="".join(_confusions(name, pairs, titles) for name, pairs in chapters.items())
        or "<p>None.</p>",
        codes=_json(code_rows(evaluation)),
        evidence=_evidence(documents, titles) if documents else "",
    )


def _metrics(evaluation: "Evaluation") -> str:
    rows = [
        (
            name,
            number(name, value),
            interval(name, evaluation.intervals.get(name)),
            METRICS.get(name, _LOSS),
        )
        for name, value in evaluation.metrics.items()
    ]
    return html_table(("metric", "value", "95 % interval", "definition"), rows, text=(0, 3))


def _groups(title: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    rows = [
        (name, *(group_value(key, values[key]) for key in GROUP_COLUMNS))
        for name, values in groups.items()
    ]
    return html_table(
        (title, *(column.replace("\n", " ") for column in GROUP_COLUMNS.values())), rows
    )


def _published(evaluation: "Evaluation", published: "Comparable") -> str:
    title = "<h2>Published results</h2>"
    if published.reason:
        return f"{title}<p>None comparable: {escape(published.reason)}.</p>"
    names = published_metrics(published)
    rows: list[Sequence[object]] = [
        ("this run", *(number(name, evaluation.metrics[name]) for name in names), "")
    ]
    for result in published.results:
        values = (f"{result.values[name]:.3f}" if name in result.values else "" for name in names)
        rows.append(
            (result.name, *values, result.source + (f"; {result.caveat}" if result.caveat else ""))
        )
    return title + html_table(("", *names, "source"), rows, text=(0, len(names) + 1), own=0)


def _confusions(chapter: str, pairs: "Sequence[Confusion]", titles: Mapping[str, str]) -> str:
    def named(code: str) -> str:
        return f"{code} {titles.get(code, '')}".strip()

    rows = [(named(pair.missed), named(pair.instead), pair.documents, pair.of) for pair in pairs]
    columns = ("gold, but missed", "predicted instead", "documents", "documents missed")
    table = html_table(columns, rows, text=(0, 1))
    return f"<details><summary>{escape(chapter)}</summary>{table}</details>"


def _evidence(documents: "Sequence[SampleDocument]", titles: Mapping[str, str]) -> str:
    """Return the section with the evidence for the predicted codes of a few documents."""
    parts = [
        "<h2 id=evidence>Evidence</h2>",
        "<p class=quiet>A few documents with the evidence for each predicted code. This section "
        "contains patient text.</p>",
    ]
    for document in documents:
        sample = document.prediction
        gold = ", ".join(sample.gold) or "none"
        marked = []
        for code, spans in document.evidence.items():
            not_gold = "" if code in sample.gold else ", not gold"
            title = f"{titles.get(code, '')} {sample.scores[code]:.3f}{not_gold}"
            marked.append((code, title, spans))
        body = "<p>No code is predicted.</p>"
        if marked:
            body = evidence_html(document.text or "", marked)
        parts.append(
            f"<details open><summary>{escape(sample.id)}</summary>"
            f"<p>Gold: {escape(gold)}</p>{body}</details>"
        )
    return "".join(parts)


def _json(rows: "Sequence[CodeRow]") -> str:
    """Return the table of codes as JSON for a script element."""

    def value(given: Any) -> Any:
        return (
            (None if math.isnan(given) else round(given, 4)) if isinstance(given, float) else given
        )

    table = {
        "columns": list(rows[0]._fields),
        "rows": [[value(given) for given in row] for row in rows],
    }
    # A title with "</script>" in it must not end the element.
    return json.dumps(table, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
