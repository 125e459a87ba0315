"""An evaluation as one self-contained HTML page.

It loads nothing from the network or from other files, and contains the text of notes only if
documents with evidence are passed. The template of its body is ``evaluation_page.html``.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from icdcli.config.metric_names import METRICS, PRINCIPAL_METRICS
from icdcli.data.corpus.label_spaces import WITH_UNSEEN
from icdcli.data.section import LABEL_SPACES
from icdcli.icd.code_system import CodeSystem
from icdcli.icd.editions.records import edition_ids
from icdcli.io.files import replacing, writing
from icdcli.report.formatting import number
from icdcli.report.html_table import html_table
from icdcli.report.page import (
    asset,
    code_table_data,
    code_table_html,
    html_page,
    section_links,
)
from icdcli.report.plots.evaluation import as_svg
from icdcli.report.views.behavior import behavior_html
from icdcli.report.views.code_checks import code_checks_html
from icdcli.report.views.decisions.acceptance import acceptance_html
from icdcli.report.views.documents import documents_html
from icdcli.report.views.evaluation import GROUP_COLUMNS, group_cells, published_metrics
from icdcli.report.views.verdict import errors_html, headline_html, metrics_html, verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from icdcli.evaluation.behavior.run import BehaviorReport
    from icdcli.evaluation.curves import Confusion
    from icdcli.evaluation.evaluate import Evaluation
    from icdcli.evaluation.published_results import Comparable
    from icdcli.evaluation.sample import SampleDocument

PAGE = "report.html"
"""The page of an evaluation, in its folder."""
_LOSS = "mean binary cross-entropy, positives not weighted"
_FIGURES = {
    "precision_recall": "Precision against recall of all pairs of a document and a code, for all "
    "codes and for each band of training frequency.",
    "calibration": "Share of gold codes against the score, and below it the number of pairs.",
    "risk_coverage": "Share of accepted codes that aren't gold against the share of predicted "
    "codes that are accepted, and below it the share of notes with all codes accepted.",
    "f1_by_frequency": "F1 of each code against the number of training documents with it.",
}
_NO_DOCUMENTS = (
    "<h2 id=documents>Documents</h2><p class=quiet>To show a few documents and the words behind "
    "their codes: <code>icdcode evaluate RUN --html --evidence</code> (puts patient text on the "
    "page).</p>"
)
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
    *,
    configuration: str = "",
    day: date | None = None,
) -> str:
    """Return the page as HTML.

    Args:
        evaluation: The evaluation.
        figures: The figures, as `icdcli.report.plots.evaluation.evaluation_figures` returns them.
        system: The coding system, for the chapters of confusions; None: unknown.
        published: Published results to show as well, if requested.
        documents: A few documents with their texts and the evidence for their codes, if requested.
        behavior: The results of behavioral tests, if there are any.
        configuration: The configuration of the run, as YAML.
        day: The day of the evaluation; None: today.
    """
    from icdcli.evaluation.curves import confusions
    from icdcli.evaluation.error_groups import error_groups
    from icdcli.evaluation.operating_points import operating_points

    titles, errors = evaluation.labels.known_titles, error_groups(evaluation)
    groups = {
        "Training documents with the code": evaluation.by_training_frequency,
        "Kind of code": evaluation.by_kind,
        "Chapter": evaluation.by_chapter,
    }
    chapters = confusions(evaluation, system)
    sections = {
        "threshold": "Threshold",
        **({"acceptance": "Acceptance"} if evaluation.acceptance else {}),
        "errors": "Errors",
        "groups": "Groups",
        "curves": "Curves",
        "confusion": "Confusion",
        **({"checks": "Checks"} if evaluation.checks else {}),
        **({"behavior": "Behavior"} if behavior else {}),
        **({"documents": "Documents"} if documents else {}),
        "metrics": "Metrics",
        "per-code": "Codes",
        "provenance": "Provenance",
    }
    sentences = "".join(f"<li>{escape(one)}</li>" for one in verdict(evaluation, errors))
    body = Template(asset("evaluation_page.html")).substitute(
        headline=headline_html(evaluation),
        verdict=f"<ul class=verdict>{sentences}</ul>",
        notes="".join(f'<p class="note">{escape(note)}</p>' for note in evaluation.notes),
        links=section_links(sections),
        about_threshold=escape(_about_threshold(evaluation)),
        of_intervals=_INTERVALS,
        metrics=metrics_html(evaluation, {"loss": _LOSS} | METRICS | PRINCIPAL_METRICS),
        published=_published(evaluation, published) if published else "",
        figures="".join(
            f"<figure>{as_svg(figure, name, _FIGURES[name])}</figure>"
            for name, figure in figures.items()
        ),
        errors=errors_html(errors),
        groups="".join(_groups(name, values) for name, values in groups.items() if len(values) > 1),
        confusions="".join(
            _confusions(name, pairs, titles, evaluation.by_chapter.get(name))
            for name, pairs in chapters.items()
        )
        or "<p>None.</p>",
        acceptance=acceptance_html(evaluation.acceptance, evaluation.split)
        if evaluation.acceptance
        else "",
        checks=code_checks_html(evaluation.checks) if evaluation.checks else "",
        behavior=behavior_html(behavior) if behavior else "",
        documents=documents_html(documents, titles) if documents else _NO_DOCUMENTS,
        code_table=code_table_html("The same values are in per_code.csv."),
        about="".join(
            f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(str(value))}</dd>"
            for name, value in _about(evaluation).items()
        ),
        configuration=f"<pre>{escape(configuration)}</pre>" if configuration else "",
    )
    points = {
        "points": [[*point] for point in operating_points(evaluation)],
        "threshold": evaluation.threshold.value,
        "own": _own_point(evaluation),
    }
    return html_page(
        _title(evaluation),
        " · ".join(_subtitle(evaluation, day)),
        body,
        {"data": _code_table(evaluation, system), "points": points},
        ("code_table.js", "evaluation_page.js"),
    )


def write_page(path: Path, page: str) -> None:
    """Write a page that only the user may read; nobody sees a half of it.

    Args:
        path: The file; its folders are created.
        page: Its content.

    Raises:
        DataError: If it can't be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(page, encoding="utf-8")


def _title(evaluation: "Evaluation") -> str:
    run, dataset = (str(evaluation.about.get(key, "")) for key in ("run", "dataset"))
    name = Path(run).name or "Evaluation"
    return f"{name}: {evaluation.split} split" + (f" of {dataset}" if dataset else "")


def _subtitle(evaluation: "Evaluation", day: date | None) -> Iterator[str]:
    """Yield what a page must say of its numbers, wherever it is sent."""
    if model := evaluation.about.get("model"):
        yield f"model {model}"
    counts = evaluation.counts
    unused = counts["labels_without_positive"]
    without = f" ({unused:,} in none of them)" if unused else ""
    yield (
        f"measured on {counts['documents']:,} documents ({evaluation.split} split) with "
        f"{counts['labels']:,} possible codes{without}"
    )
    yield f"threshold (lowest score of a predicted code) {evaluation.threshold}"
    if names := [one.partition("@")[0] for one in edition_ids(evaluation.labels.editions)]:
        yield f"codes of {', '.join(names)}"
    if version := evaluation.about.get("icdcode"):
        yield f"icdcode {version}"
    yield (day or date.today()).isoformat()


def _about(evaluation: "Evaluation") -> dict[str, object]:
    """Return what the provenance lists: what the evaluation recorded, and its codes."""
    about = {name: value for name, value in evaluation.about.items() if name != "editions"}
    if space := LABEL_SPACES.get(evaluation.label_space):
        about["label_space"] = f"{evaluation.label_space}: {space}"
    if editions := edition_ids(evaluation.labels.editions):
        about["editions"] = ", ".join(editions)
    return about


def _about_threshold(evaluation: "Evaluation") -> str:
    threshold = evaluation.threshold
    one = "one threshold" if threshold.per_code is None else "one threshold for all codes"
    return (
        "A code is predicted if its score reaches the threshold. A lower one finds more codes, and "
        f"leaves more wrong ones to a reviewer. The model's threshold is {threshold}. Move the "
        f"slider to see what {one} would give on these documents."
    )


def _own_point(evaluation: "Evaluation") -> list[float | None]:
    """Return what the slider shows of the model's own decisions, which no step of it may have."""
    names = ("precision_micro", "recall_micro", "f1_micro")
    values = (evaluation.metrics[name] for name in names)
    predicted = float(evaluation.by_code.predicted_L.sum()) / evaluation.counts["documents"]
    return [*(None if math.isnan(one) else one for one in values), predicted]


def _groups(title: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    rows = [(name, *group_cells(values)) for name, values in groups.items()]
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


def _confusions(
    chapter: str,
    pairs: "Sequence[Confusion]",
    titles: Mapping[str, str],
    metrics: Mapping[str, float] | None,
) -> str:
    def named(code: str) -> str:
        return f"{code} {titles.get(code, '')}".strip()

    rows = [(named(pair.missed), named(pair.instead), pair.documents, pair.of) for pair in pairs]
    columns = ("gold, but missed", "predicted instead", "documents", "gold documents missed")
    table = html_table(columns, rows, text=(0, 1))
    missed = ""
    if metrics is not None:
        count = round(metrics["gold"] * (1 - metrics["recall_micro"]))
        missed = f" <span class=quiet>({count:,} missed)</span>"
    return f"<details><summary>{escape(chapter)}{missed}</summary>{table}</details>"


def _code_table(evaluation: "Evaluation", system: CodeSystem | None) -> dict[str, object]:
    """Return the table of codes, with each code's chapter by its place among the chapters."""
    from icdcli.evaluation.files import CodeRow, code_rows
    from icdcli.evaluation.groups import by_chapter

    chapters = by_chapter(evaluation.labels, system)
    chapter_of = {
        int(label): place
        for place, chosen_L in enumerate(chapters.values())
        for label in chosen_L.nonzero()[0]
    }

    hidden = ["chapter"]
    if len(evaluation.by_kind) < 2:
        hidden.append("kind")
    if evaluation.threshold.per_code is None:
        hidden.append("threshold")
    formats = dict.fromkeys((*CodeRow._fields, "chapter"), "count")
    formats |= dict.fromkeys(("code", "kind", "title"), "text")
    formats |= dict.fromkeys(("threshold", "precision", "recall", "f1"), "share")
    rows = [
        (*row, chapter_of.get(label))
        for label, row in enumerate(code_rows(evaluation))
        # Tens of thousands of codes that are nowhere would only be in the way.
        if row.train_count or row.gold or row.predicted or evaluation.label_space not in WITH_UNSEEN
    ]
    return code_table_data(rows, formats, [*chapters], hidden)
