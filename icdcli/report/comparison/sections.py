"""The parts of the page of a comparison, and what all of them show."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from icdcli.evaluation.compare import Comparison
from icdcli.metrics.bootstrap import Interval
from icdcli.report.comparison.findings import Findings, different_keys
from icdcli.report.formatting import number
from icdcli.report.html_table import html_table
from icdcli.report.tables import interval
from icdcli.report.views.comparison import letters, signed
from icdcli.report.views.verdict import HEADLINE_WORDS, metric_groups

_ENOUGH = 20  # gold codes that make the F1 of a group worth a sentence
_CODES = 10  # codes named of those that one run finds more often


@dataclass(frozen=True)
class Shown:
    """A comparison with what its page needs besides.

    Attributes:
        comparison: The comparison.
        findings: What its runs find.
        split: The split that all runs were evaluated on.
        intervals: For each run, metric to its 95 % interval.
        configurations: For each run, key to value.
    """

    comparison: Comparison
    findings: Findings
    split: str
    intervals: tuple[Mapping[str, Interval], ...]
    configurations: Sequence[Mapping[str, Any]]

    @property
    def letters(self) -> list[str]:
        """Return the letters of the runs."""
        return [*letters()][: len(self.comparison.contenders)]

    @property
    def metrics(self) -> list[Mapping[str, float]]:
        """Return the metrics of each run."""
        return [one.statistics.metrics for one in self.comparison.contenders]


def compared_verdict(shown: Shown) -> Iterator[str]:
    """Yield sentences about how each run differs from the first.

    Args:
        shown: The comparison.
    """
    comparison, findings = shown.comparison, shown.findings
    documents, gold = len(comparison.contenders[0].ids), int(findings.gold_L.sum())
    for place, (letter, against, differences) in enumerate(
        zip(shown.letters[1:], findings.against_first, comparison.differences, strict=True), 1
    ):
        if (found := differences.get("f1_micro")) is not None:
            bounds = f"{signed(found.low, 3)} to {signed(found.high, 3)}"
            if found.sure:
                better = "higher" if found.value > 0 else "lower"
                yield (
                    f"The micro-F1 of {letter} is {abs(found.value):.3f} {better} than that of A "
                    f"(95 % interval {bounds}): more than the choice of documents explains."
                )
            else:
                yield (
                    f"The micro-F1 of {letter} differs from that of A by "
                    f"{signed(found.value, 3)} (95 % interval {bounds}): the choice of documents "
                    "alone may explain it."
                )
        yield (
            f"{letter} finds {against.only_other:,} gold codes that A misses, and A finds "
            f"{against.only_first:,} that {letter} misses; both miss {against.neither:,} of "
            f"{gold:,}."
        )
        yield from _most_changed(shown, place)
    seen = ", ".join(
        f"{found.predicted_L.sum() / documents:.1f} with {letter}"
        for letter, found in zip(shown.letters, findings.found, strict=True)
    )
    yield (
        f"Codes per note that a reviewer sees: {seen}; the gold standard has "
        f"{gold / documents:.1f}."
    )


def _most_changed(shown: Shown, run: int) -> Iterator[str]:
    """Yield the band of training frequency in which a run differs most from the first."""
    bands = {
        name: (f1[0], f1[run])
        for name, (gold, f1) in shown.findings.frequencies.items()
        if gold >= _ENOUGH
    }
    if len(bands) < 2:
        return
    name = max(bands, key=lambda band: abs(bands[band][1] - bands[band][0]))
    before, after = bands[name]
    if f"{before:.2f}" == f"{after:.2f}":
        return
    few = "no" if name == "never" else name
    yield (
        f"They differ most for codes with {few} training documents: micro-F1 {before:.2f} with A, "
        f"{after:.2f} with {shown.letters[run]}."
    )


def runs_html(shown: Shown) -> str:
    """Return the table of the runs."""
    rows = [
        (letter, one.name, str(configuration.get("model", "")), one.threshold)
        for letter, one, configuration in zip(
            shown.letters, shown.comparison.contenders, shown.configurations, strict=True
        )
    ]
    return html_table(("", "run", "model", "threshold"), rows, text=(0, 1, 2, 3))


def compared_headline(shown: Shown) -> str:
    """Return a card for each of four metrics, with the value of each run."""
    cards = []
    for name, words in HEADLINE_WORDS.items():
        if any(name not in metrics for metrics in shown.metrics):
            continue
        lines = []
        for place, letter in enumerate(shown.letters):
            value = shown.metrics[place][name]
            bounds = shown.intervals[place].get(name)
            between = "" if bounds is None else f" {bounds.low:.3f}–{bounds.high:.3f}"
            line = (
                f"<dd><span class=run>{letter}</span> <b class=value>"
                f"{'undefined' if math.isnan(value) else f'{value:.3f}'}</b>"
                f"<span class=quiet>{between}</span>"
            )
            difference = shown.comparison.differences[place - 1].get(name) if place else None
            if difference is not None:
                line += (
                    f"<br><span class=quiet>{letter} - A </span>{signed(difference.value, 3)} "
                    f"<span class=quiet>({signed(difference.low, 3)} to "
                    f"{signed(difference.high, 3)}{', sure' if difference.sure else ''})</span>"
                )
            lines.append(line + "</dd>")
        cards.append(f"<div><dt>{words}</dt>{''.join(lines)}</div>")
    return f'<dl class="headline compared">{"".join(cards)}</dl>'


def compared_metrics(shown: Shown) -> Iterator[str]:
    """Yield tables of all metrics in groups, with intervals and differences from the first run."""
    for title, names in metric_groups(shown.metrics[0]).items():
        columns = ["metric"]
        for letter in shown.letters:
            columns += [letter, "95 % interval"]
            columns += [f"{letter} - A", "95 % interval", ""] if letter != "A" else []
        rows = []
        for name in names:
            row = [name]
            for place, metrics in enumerate(shown.metrics):
                value = metrics.get(name, math.nan)
                row += [number(name, value), interval(name, shown.intervals[place].get(name))]
                if place:
                    found = shown.comparison.differences[place - 1].get(name)
                    row += (
                        [
                            signed(found.value),
                            f"{signed(found.low)} to {signed(found.high)}",
                            "sure" if found.sure else "",
                        ]
                        if found is not None
                        else ["", "", ""]
                    )
            rows.append(row)
        yield f"<h3>{escape(title)}</h3>{html_table(columns, rows)}"


def found_html(shown: Shown) -> Iterator[str]:
    """Yield what one run finds and another misses: counts, then the codes."""
    findings = shown.findings
    if findings.against_first:
        columns = ("", "both", "only A", "only the other", "neither")
        rows: list[Sequence[object]] = []
        for letter, one in zip(shown.letters[1:], findings.against_first, strict=True):
            rows.append(
                (
                    f"A and {letter}: gold codes found",
                    *(f"{n:,}" for n in (one.both, one.only_first, one.only_other, one.neither)),
                )
            )
            extra = (one.extra_both, one.extra_first, one.extra_other)
            rows.append(
                (f"A and {letter}: codes predicted, not gold", *(f"{n:,}" for n in extra), "")
            )
        yield html_table(columns, rows)
    for letter, one in zip(shown.letters[1:], findings.against_first, strict=True):
        gains_L = one.only_other_L - one.only_first_L
        for better, worse, sign in ((letter, "A", 1), ("A", letter, -1)):
            order = np.argsort(-sign * gains_L, kind="stable")
            best = [int(label) for label in order[:_CODES] if sign * gains_L[label] > 0]
            if not best:
                continue
            table = html_table(
                ("code", "title", "gold", f"only {better}", f"only {worse}"),
                [
                    (
                        findings.labels.codes[label],
                        findings.labels.titles[label] or "(no title)",
                        f"{findings.gold_L[label]:,}",
                        *(
                            f"{n_L[label]:,}"
                            for n_L in (one.only_other_L, one.only_first_L)[::sign]
                        ),
                    )
                    for label in best
                ],
                text=(0, 1),
            )
            yield (
                f"<details open><summary>Codes that {better} finds more often than {worse}"
                f"</summary>{table}</details>"
            )


def groups_html(
    title: str, groups: Mapping[str, tuple[int, list[float]]], shown: Shown
) -> Iterator[str]:
    """Yield a table of groups of codes, unless there are none."""
    if not groups:
        return
    columns = [title, "gold"]
    for letter in shown.letters:
        columns += [f"F1 {letter}"] + ([f"{letter} - A"] if letter != "A" else [])
    rows = []
    for name, (gold, f1) in groups.items():
        row = [name, f"{gold:,}", f"{f1[0]:.3f}"]
        for value in f1[1:]:
            row += [f"{value:.3f}", signed(value - f1[0], 3)]
        rows.append(row)
    yield html_table(columns, rows)


def configurations_html(shown: Shown) -> str:
    """Return the keys whose values differ between the configurations."""
    differing = different_keys(shown.configurations)
    if not differing:
        return "<p>No key differs but the names of the runs.</p>"
    rows = [(key, *values) for key, values in differing.items()]
    table = html_table(("key", *shown.letters), rows, text=tuple(range(len(shown.letters) + 1)))
    return f"<p class=quiet>Keys with different values; all others are the same.</p>{table}"
