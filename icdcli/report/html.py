"""An evaluation as one HTML page that needs nothing else: no network, no other file; no note's text unless it is given.

The page's frame and its few lines of JavaScript stand in ``evaluation_page.html`` beside this file; its content security policy
forbids it to load anything.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from icdcli.config.metric_names import METRICS
from icdcli.report.formatting import number
from icdcli.report.plots.evaluation import as_svg
from icdcli.report.tables import interval
from icdcli.report.views.evaluation import GROUP_COLUMNS, group_value, heading, published_metrics
from icdcli.report.views.evidence import evidence_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from icdcli.evaluation.curves import Confusion
    from icdcli.evaluation.evaluate import Evaluation
    from icdcli.evaluation.published_results import Comparable
    from icdcli.evaluation.sample import SampleDocument

_LOSS = "mean binary cross-entropy, positives counted once"
_OF_INTERVALS = (
    "95 % intervals by resampling documents 1,000 times. They tell how much the choice of documents sways a metric, not how "
    "another training would turn out."
)


def evaluation_page(
    evaluation: "Evaluation",
    figures: "Mapping[str, Figure]",
    confusions: "Mapping[str, Sequence[Confusion]]",
    code_rows: Sequence[Mapping[str, Any]],
    published: "Comparable | None" = None,
    documents: "Sequence[SampleDocument]" = (),
) -> str:
    """Write the page.

    Args:
        evaluation: What it shows.
        figures: As `evaluation_figures` draws them.
        confusions: Chapter to its most frequent confusions.
        code_rows: A row a code, as `icdcli.evaluation.files.code_rows` gives them.
        published: Published results to stand beside it, where they were asked for.
        documents: A few documents with their texts and the words that each predicted code was chosen by, where asked for.

    Returns:
        HTML.
    """
    titles = evaluation.labels.known_titles
    special_tokens = Template(
        files("icdcli.report").joinpath("evaluation_page.html").read_text(encoding="utf-8")
    )
    about = {"evaluated": "; ".join(heading(evaluation))} | {
        k.replace("_", " "): v for k, v in evaluation.about.items()
    }
    groups = {
        "Training documents with the code": evaluation.by_training_frequency,
        "Kind of code": evaluation.by_kind,
        "Chapter": evaluation.by_chapter,
    }
    return special_tokens.substitute(
        title=escape(f"Evaluation on the {evaluation.split} split"),
        about="".join(
            f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in about.items()
        ),
        notes="".join(f'<p class="note">{escape(note)}</p>' for note in evaluation.notes),
        of_intervals=_OF_INTERVALS,
        metrics=_metrics(evaluation),
        to_evidence='<a href="#evidence">Evidence</a>' if documents else "",
        published=_published(evaluation, published) if published else "",
        figures="".join(as_svg(figure, name) for name, figure in figures.items()),
        groups="".join(_groups(name, values) for name, values in groups.items() if values),
        confusions="".join(_confusions(name, pairs, titles) for name, pairs in confusions.items())
        or "<p>None.</p>",
        codes=_json(code_rows),
        evidence=_evidence(documents, titles) if documents else "",
    )


def _table(
    columns: Iterable[str],
    rows: Iterable[Sequence[object]],
    text: Sequence[int] = (0,),
    own: int | None = None,
) -> str:
    """A table; the columns in `text` are flush left, the row `own` is set off."""

    def cells(name: str, values: Iterable[object]) -> str:
        return "".join(
            f"<{name}{' class=text' if place in text else ''}>{escape(str(value))}</{name}>"
            for place, value in enumerate(values)
        )

    body = "".join(
        f"<tr{' class=own' if place == own else ''}>{cells('td', row)}</tr>"
        for place, row in enumerate(rows)
    )
    return f"<table><thead><tr>{cells('th', columns)}</tr></thead><tbody>{body}</tbody></table>"


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
    return _table(("metric", "value", "95 % interval", "what it is"), rows, text=(0, 3))


def _groups(title: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    rows = [
        (name, *(group_value(key, values[key]) for key in GROUP_COLUMNS))
        for name, values in groups.items()
    ]
    return _table((title, *(column.replace("\n", " ") for column in GROUP_COLUMNS.values())), rows)


def _published(evaluation: "Evaluation", published: "Comparable") -> str:
    title = "<h2>Published results</h2>"
    if published.reason:
        return f"{title}<p>None to compare with: {escape(published.reason)}.</p>"
    names = published_metrics(published)
    rows: list[Sequence[object]] = [
        ("this run", *(number(name, evaluation.metrics[name]) for name in names), "")
    ]
    for result in published.results:
        values = (f"{result.values[name]:.3f}" if name in result.values else "" for name in names)
        rows.append(
            (result.name, *values, result.source + (f"; {result.caveat}" if result.caveat else ""))
        )
    return title + _table(("", *names, "source"), rows, text=(0, len(names) + 1), own=0)


def _confusions(chapter: str, pairs: "Sequence[Confusion]", titles: Mapping[str, str]) -> str:
    def named(code: str) -> str:
        return f"{code} {titles.get(code, '')}".strip()

    rows = [(named(pair.missed), named(pair.instead), pair.documents, pair.of) for pair in pairs]
    columns = ("gold, but missed", "predicted instead", "documents", "of so many missed")
    return f"<details><summary>{escape(chapter)}</summary>{_table(columns, rows, text=(0, 1))}</details>"


def _evidence(
    documents: "Sequence[SampleDocument]",
    titles: Mapping[str, str],
) -> str:
    parts = [
        "<h2 id=evidence>Evidence</h2>",
        "<p class=quiet>What the predicted codes of a few documents were chosen by, in their own words.</p>",
    ]
    for document in documents:
        sample = document.prediction
        gold = ", ".join(sample.gold) or "none"
        marked = [
            (
                code,
                f"{titles.get(code, '')} {sample.scores[code]:.3f}{'' if code in sample.gold else ', not gold'}",
                spans,
            )
            for code, spans in document.evidence.items()
        ]
        body = (
            evidence_html(document.text or "", marked) if marked else "<p>No code is predicted.</p>"
        )
        parts.append(
            f"<details open><summary>{escape(sample.id)}</summary><p>Gold: {escape(gold)}</p>{body}</details>"
        )
    return "".join(parts)


def _json(rows: Sequence[Mapping[str, Any]]) -> str:
    def value(given: Any) -> Any:
        return (
            (None if math.isnan(given) else round(given, 4)) if isinstance(given, float) else given
        )

    columns = list(rows[0])
    table = {
        "columns": columns,
        "rows": [[value(row[column]) for column in columns] for row in rows],
    }
    # A title with "</script>" in it must not end the element.
    return json.dumps(table, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
