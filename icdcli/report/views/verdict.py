"""What an evaluation says in plain words: four numbers, and a few sentences for any reader."""

import math
from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING

from icdcli.report.formatting import number
from icdcli.report.html_table import html_table
from icdcli.report.tables import interval

if TYPE_CHECKING:
    from icdcli.evaluation.acceptance.measuring import Acceptance
    from icdcli.evaluation.error_groups import ErrorGroups
    from icdcli.evaluation.evaluate import Evaluation

HEADLINE_WORDS = {
    "f1_micro": "micro-F1",
    "f1_macro": "macro-F1",
    "map": "MAP",
    "precision_at_8": "precision at 8",
}
"""The metrics on the first screen of a page, in words."""
_MEANING = {
    "f1_micro": "balance of right and found codes; 1 is perfect",
    "f1_macro": "the same for each code, then the mean: rare codes count as much",
    "map": "how far up in the model's list the recorded codes are; 1: all on top",
    "precision_at_8": "share of the 8 highest scored codes that are recorded (gold)",
}
_ACCEPTED_AT = 0.95  # the precision of the sentence on accepted codes
_ENOUGH = 20  # gold codes that make the F1 of a chapter worth a sentence
_NAMED = 3  # chapters that a sentence names
_MISSED = {
    "near": "another code of the same category was predicted",
    "unseen": "the code is in no training document",
    "rare": "the code is in 1 to 10 training documents",
    "close": "the score reaches half of the threshold",
    "other": "none of these",
}
_EXTRA = {"near": "the gold code is another one of the same category", "other": "any other"}


def headline_html(evaluation: "Evaluation") -> str:
    """Return four numbers, each with its 95 % interval."""
    parts = []
    for name, words in HEADLINE_WORDS.items():
        if name not in evaluation.metrics:
            continue
        value = evaluation.metrics[name]
        shown = "undefined" if math.isnan(value) else f"{value:.3f}"
        low_high = evaluation.intervals.get(name)
        bounds = "" if low_high is None else "–".join(f"{bound:.3f}" for bound in low_high)
        shown_bounds = bounds and f"95 % interval <span class=whole>{bounds}</span>"
        parts.append(
            f"<div><dt>{words}</dt><dd class=value>{shown}</dd>"
            f"<dd class=quiet>{shown_bounds}</dd><dd class=quiet>{_MEANING[name]}</dd></div>"
        )
    return f"<dl class=headline>{''.join(parts)}</dl>"


def verdict(evaluation: "Evaluation", errors: "ErrorGroups") -> Iterator[str]:
    """Yield sentences about what the model is good at, what it misses, and the work it leaves.

    Args:
        evaluation: The evaluation.
        errors: Its errors.
    """
    codes = evaluation.by_code
    gold, predicted, right = (
        int(count_L.sum()) for count_L in (codes.gold_L, codes.predicted_L, codes.right_L)
    )
    documents = evaluation.counts["documents"]
    yield (
        f"At this threshold a reviewer sees {predicted / documents:.1f} codes per note; the gold "
        f"standard (the codes recorded for these notes) has {gold / documents:.1f}."
    )
    if not predicted:
        yield "No code is predicted. A lower threshold would show some."
        return
    if not gold:
        return
    yield (
        f"Of 100 predicted codes, {100 * right / predicted:.0f} are right. Of 100 gold codes, "
        f"{100 * right / gold:.0f} are found."
    )
    if evaluation.acceptance:
        yield from _accepted(evaluation.acceptance)
    yield from _frequencies(evaluation.by_training_frequency)
    yield from _chapters(evaluation.by_chapter)
    if gold > right and errors.missed["near"]:
        share = 100 * errors.missed["near"] / (gold - right)
        yield (
            f"For {share:.0f} of 100 missed codes, another code of the same category was "
            "predicted: a reviewer can correct these with one choice."
        )


def errors_html(errors: "ErrorGroups") -> str:
    """Return tables of missed and extra codes by what went wrong."""
    tables = []
    for title, words, counts in (
        ("Gold codes that were missed", _MISSED, errors.missed),
        ("Predicted codes that aren't gold", _EXTRA, errors.extra),
    ):
        total = sum(counts.values())
        rows = [
            (words[name], f"{count:,}", f"{100 * count / total:.0f} %" if total else "")
            for name, count in counts.items()
        ]
        rows.append(("all", f"{total:,}", ""))
        tables.append(html_table((title, "codes", "share"), rows, own=len(rows) - 1))
    return (
        "<p class=quiet>Codes of all documents; each is counted in the first line that fits. A "
        "category is what is before the dot of a code.</p>" + "".join(tables)
    )


def metric_groups(metrics: Mapping[str, float]) -> dict[str, list[str]]:
    """Return the names of metrics in groups, in their order."""
    groups: dict[str, list[str]] = {
        name: [] for name in ("Decisions", "Ranking", "Areas under curves", "Loss and calibration")
    }
    for name in metrics:
        if name in ("loss", "calibration_error"):
            groups["Loss and calibration"].append(name)
        elif name.startswith(("aucroc", "aucprc")):
            groups["Areas under curves"].append(name)
        elif "_at_" in name or name.startswith(("map", "r_precision")):
            groups["Ranking"].append(name)
        else:
            groups["Decisions"].append(name)
    return {title: names for title, names in groups.items() if names}


def metrics_html(evaluation: "Evaluation", definitions: Mapping[str, str]) -> str:
    """Return tables of all metrics with their 95 % intervals and definitions, in groups."""
    tables = []
    for title, names in metric_groups(evaluation.metrics).items():
        rows = [
            (
                name,
                number(name, evaluation.metrics[name]),
                interval(name, evaluation.intervals.get(name)),
                definitions.get(name, ""),
            )
            for name in names
        ]
        table = html_table(("metric", "value", "95 % interval", "definition"), rows, text=(0, 3))
        tables.append(f"<h3>{escape(title)}</h3>{table}")
    return "".join(tables)


def _accepted(acceptance: "Acceptance") -> Iterator[str]:
    """Yield how many predicted codes need no review, if 95 of 100 of them are to be right."""
    row = next((row for row in acceptance.shown if row.precision == _ACCEPTED_AT), None)
    if row is None:
        return
    if row.score is None:
        yield (
            "No score is high enough for codes to be accepted without review with 95 of 100 right: "
            "review all codes."
        )
    elif row.observed is None or row.interval is None:
        yield "The scores are too low here for any code to be accepted without review."
    else:
        low, high = row.interval
        yield (
            f"{100 * row.codes:.0f} of 100 predicted codes have so high a score that they could be "
            f"accepted without review; of 100 such codes, {100 * row.observed:.0f} are right (95 % "
            f"interval {100 * low:.0f}–{100 * high:.0f}). {_notes_accepted(row.notes)}; codes "
            "that the model missed are still missing."
        )


def _notes_accepted(share: float) -> str:
    if not share:
        return "In none of the notes, all predicted codes are among them"
    return f"In {100 * share:.1f} % of the notes, all predicted codes are among them"


def _frequencies(bands: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Yield how many of the most and of the least frequent codes are found."""
    known = {
        name: values["recall_micro"]
        for name, values in bands.items()
        if values["gold"] >= _ENOUGH and not math.isnan(values["recall_micro"])
    }
    if len(known) < 2:
        return
    rarest, *_, commonest = known
    few = "no" if rarest == "never" else rarest
    yield (
        f"Of 100 gold codes with {commonest} training documents, {100 * known[commonest]:.0f} are "
        f"found; of 100 with {few} training documents, {100 * known[rarest]:.0f}."
    )


def _chapters(chapters: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Yield the chapters with the highest and the lowest F1."""
    known = {
        name: values["f1_micro"]
        for name, values in chapters.items()
        if values["gold"] >= _ENOUGH and not math.isnan(values["f1_micro"])
    }
    ranked = sorted(known, key=lambda name: -known[name])
    if len(ranked) < 2 * _NAMED:
        return

    def named(names: list[str]) -> str:
        return "; ".join(f"{name} {known[name]:.2f}" for name in names)

    yield f"Best chapters (micro-F1): {named(ranked[:_NAMED])}."
    yield f"Weakest chapters: {named(ranked[: -_NAMED - 1 : -1])}."
