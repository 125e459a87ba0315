"""The page of a comparison of runs, in the style of the page of an evaluation."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from html import escape
from pathlib import Path
from typing import Any

from icdcli import __version__
from icdcli.config.loading import load_config
from icdcli.evaluation.compare import Comparison
from icdcli.icd.editions.records import edition_ids
from icdcli.metrics.bootstrap import MIN_DIFFERENT, intervals
from icdcli.report.comparison.code_table import compared_codes
from icdcli.report.comparison.figures import MOST_RUNS, comparison_figures
from icdcli.report.comparison.findings import Findings
from icdcli.report.comparison.sections import (
    Shown,
    compared_headline,
    compared_metrics,
    compared_verdict,
    configurations_html,
    found_html,
    groups_html,
    runs_html,
)
from icdcli.report.html import write_page
from icdcli.report.page import code_table_html, html_page, section_links
from icdcli.report.plots.evaluation import as_svg
from icdcli.run_dir import RunDir

_FIGURES = {
    "differences": "Difference of each metric from the first run, with its 95 % interval.",
    "frequencies": "Micro-F1 of each run for codes by their number of training documents.",
}
_INTERVALS = (
    "95 % intervals from 1,000 resamples of the documents, the same for all runs (paired). "
    f"Sure: the interval excludes zero and at least {MIN_DIFFERENT} documents differ "
    "(in macro metrics and areas, documents count by their effect); about 1 metric in 20 does so "
    "by chance. The intervals reflect which documents were sampled, not variation "
    "between training runs."
)


PAGE_OF_COMPARISON = "comparison.html"
"""The page of a comparison, in the folder of the first run's evaluation."""


def comparison_page(
    comparison: Comparison,
    split: str,
    configurations: Sequence[Mapping[str, Any]] | None = None,
    day: date | None = None,
) -> str:
    """Return the page as HTML; it has no text of notes and no ids of documents.

    Args:
        comparison: A comparison of runs that has its labels.
        split: The split that all runs were evaluated on.
        configurations: The flat configuration of each run; None: those in the runs' folders, which
            are the names of the models compared.
        day: The day of the comparison; None: today.
    """
    if comparison.labels is None:
        raise ValueError("the comparison has no labels")
    if configurations is None:
        runs = (RunDir(Path(one.name)) for one in comparison.contenders)
        configurations = [load_config(run.args, as_typed=True).flat() for run in runs]
    shown = Shown(
        comparison,
        Findings(comparison, comparison.labels),
        split,
        tuple(intervals(one.statistics) for one in comparison.contenders),
        configurations,
    )
    dataset = comparison.dataset
    figures = comparison_figures(
        comparison, shown.findings, " · ".join(filter(None, (dataset, split)))
    )
    sections = {
        "metrics": "Metrics",
        **({"curves": "Figures"} if figures else {}),
        "one-only": "Found by one run only",
        "groups": "Groups",
        "per-code": "Codes",
        "configurations": "Configurations",
    }
    sentences = "".join(f"<li>{escape(one)}</li>" for one in compared_verdict(shown))
    caveats = [*comparison.notes, *_tuned(shown)]
    drawn = "".join(
        f"<figure>{as_svg(figure, name, _FIGURES[name])}</figure>"
        for name, figure in figures.items()
    )
    body = [
        runs_html(shown),
        compared_headline(shown),
        f"<ul class=verdict>{sentences}</ul>",
        *(f'<p class="note">{escape(note)}</p>' for note in caveats),
        section_links(sections),
        "<h2 id=metrics>Metrics</h2>",
        f"<p class=quiet>{_INTERVALS}</p>",
        *compared_metrics(shown),
        f"<h2 id=curves>Figures</h2>{_first_only(shown)}<div class=figures>{drawn}</div>"
        if figures
        else "",
        "<h2 id=one-only>Found by one run only</h2>",
        *found_html(shown),
        "<h2 id=groups>Groups of codes</h2>",
        *groups_html("Training documents with the code", shown.findings.frequencies, shown),
        *groups_html("Chapter", shown.findings.chapters, shown),
        code_table_html("Each run's own values are in its per_code.csv."),
        "<h2 id=configurations>Configurations</h2>",
        configurations_html(shown),
    ]
    names = [Path(one.name).name for one in comparison.contenders]
    title = f"{' and '.join([', '.join(names[:-1]), names[-1]])}: {split} split" + (
        f" of {dataset}" if dataset else ""
    )
    return html_page(
        title,
        " · ".join(_subtitle(shown, day)),
        "\n".join(part for part in body if part) + "\n",
        {"data": compared_codes(shown)},
        ("code_table.js",),
    )


def write_comparison_page(comparison: Comparison, split: str, path: Path | None = None) -> Path:
    """Write the page of a comparison of runs, and return its path.

    Args:
        comparison: A comparison of runs that has its labels.
        split: The split that all runs were evaluated on.
        path: The file; None: ``comparison.html`` in the folder of the first run's evaluation.

    Raises:
        DataError: If it can't be written.
    """
    if path is None:
        first = RunDir(Path(comparison.contenders[0].name))
        path = first.evaluation(split) / PAGE_OF_COMPARISON
    write_page(path, comparison_page(comparison, split))
    return path


def _subtitle(shown: Shown, day: date | None) -> Iterator[str]:
    first = shown.comparison.contenders[0]
    yield f"{shown.split}: {len(first.ids):,} documents, {len(first.codes):,} codes"
    if names := [one.partition("@")[0] for one in edition_ids(first.editions)]:
        yield f"codes of {', '.join(names)}"
    yield f"icdcode {__version__}"
    yield (day or date.today()).isoformat()


def _tuned(shown: Shown) -> Iterator[str]:
    names = [
        letter
        for letter, one in zip(shown.letters, shown.comparison.contenders, strict=True)
        if f"tuned on the {shown.split} split" in one.threshold
    ]
    if names:
        yield (
            f"Thresholds tuned on this split ({shown.split}): {', '.join(names)}. Their F1, "
            "precision, recall and exact match are optimistic."
        )


def _first_only(shown: Shown) -> str:
    if len(shown.letters) <= MOST_RUNS:
        return ""
    return f"<p class=quiet>The figures show the first {MOST_RUNS} runs.</p>"
