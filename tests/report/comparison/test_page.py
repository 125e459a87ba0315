"""The page that compares runs: its numbers, its words, and what it must not have."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from icdcli.evaluation.compare import Comparison, Contender, compare_models
from icdcli.evaluation.evaluate import Evaluation
from icdcli.model.threshold import Threshold
from icdcli.report.comparison.findings import Findings, different_keys
from icdcli.report.comparison.page import comparison_page

Make = Callable[..., Evaluation]
EDITIONS = {"diagnosis": {"name": "icd9cm-32", "sha256": "0" * 64}}
CONFIGURATION = {"name": "one", "data_path": "data/mimic3", "model": "tiny", "lr0": 0.001}


def compared(
    evaluations: list[Evaluation], names: tuple[str, ...] = ("out/<a>", "b")
) -> Comparison:
    found = compare_models(
        [Contender.of(name, one) for name, one in zip(names, evaluations, strict=True)]
    )
    return replace(
        found, labels=replace(evaluations[0].labels, editions=EDITIONS), dataset="mimic3"
    )


def page_of(comparison: Comparison, **options: Any) -> str:
    changed = [
        CONFIGURATION | ({"lr0": 0.01 * place, "name": str(place)} if place else {})
        for place in range(len(comparison.contenders))
    ]
    return comparison_page(comparison, "test", changed, day=date(2026, 11, 27), **options)


@pytest.fixture(scope="module")
def pair(made_up_evaluation: Make) -> list[Evaluation]:
    return [made_up_evaluation(), made_up_evaluation(seed=5, skill=3.0)]


@pytest.fixture(scope="module")
def page(pair: list[Evaluation]) -> str:
    return page_of(compared(pair))


def codes_of(page: str) -> dict[str, dict[str, Any]]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    assert found
    table = json.loads(found[1])
    return {row[0]: dict(zip(table["columns"], row, strict=True)) for row in table["rows"]}


def test_it_loads_nothing_and_has_no_document_ids(page: str, pair: list[Evaluation]) -> None:
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=[\"']?[^\"'#\s]", page)
    assert "url(http" not in page
    assert not any(re.search(rf"{one}\b", page) for one in pair[0].scored.documents.ids)
    assert len(page) < 5_000_000
    ids = re.findall(r"\bid=[\"']?([\w.-]+)", re.sub("<svg.*?</svg>", "", page, flags=re.S))
    assert len(ids) == len(set(ids))  # the script finds its elements by these


def test_names_and_titles_are_text_and_not_markup(page: str) -> None:
    assert "<title>&lt;a&gt; and b: test split of mimic3</title>" in page
    assert "Title <" not in page


def test_every_metric_has_both_values_and_the_difference(page: str, pair: list[Evaluation]) -> None:
    comparison = compared(pair)
    for name, found in comparison.differences[0].items():
        first, other = (one.metrics[name] for one in pair)
        if name == "loss":
            continue
        row = re.search(rf"<tr><td class=text>{name}</td>(.*?)</tr>", page)
        assert row
        for value in (f"{first:.4f}", f"{other:.4f}", f"{found.value:+.4f}"):
            assert f"<td>{value}</td>" in row[1]
        assert f"{found.low:+.4f} to {found.high:+.4f}" in row[1]
        assert ("<td>sure</td>" in row[1]) == found.sure


def test_the_first_screen_has_four_metrics_with_intervals(
    page: str, pair: list[Evaluation]
) -> None:
    headline = page.partition('<dl class="headline compared">')[2].partition("</dl>")[0]
    assert headline.count("<dt>") == 4
    for one in pair:
        low, high = one.intervals["f1_micro"]
        assert f"{one.metrics['f1_micro']:.3f}" in headline
        assert f"{low:.3f}–{high:.3f}" in headline


def test_what_only_one_run_finds_is_counted(page: str, pair: list[Evaluation]) -> None:
    gold_NL = pair[0].targets_NL
    first_NL, other_NL = (one.statistics.predicted_NL for one in pair)
    only_other = int((gold_NL & other_NL & ~first_NL).sum())
    only_first = int((gold_NL & first_NL & ~other_NL).sum())
    neither = int((gold_NL & ~first_NL & ~other_NL).sum())
    assert only_other > only_first > 0
    assert (
        f"B finds {only_other:,} gold codes that A misses, and A finds {only_first:,} that B "
        f"misses; both miss {neither:,} of {gold_NL.sum():,}."
    ) in page
    label = pair[0].labels.index["428.0"]
    row = codes_of(page)["428.0"]
    assert row["B, not A"] == int((gold_NL & other_NL & ~first_NL)[:, label].sum())
    assert row["A, not B"] == int((gold_NL & first_NL & ~other_NL)[:, label].sum())
    f1 = [one.f1_of_code()[label] for one in pair]
    assert row["F1 B - A"] == pytest.approx(f1[1] - f1[0], abs=1e-4)
    assert row["predicted B"] == int(other_NL[:, label].sum())


def test_a_sure_difference_is_called_so_and_no_other(made_up_evaluation: Make) -> None:
    first = made_up_evaluation(skill=1.0)
    better = page_of(compared([first, made_up_evaluation(skill=3.0)]))
    assert re.search(r"The micro-F1 of B is 0\.\d{3} higher than that of A", better)
    assert "more than the choice of documents explains" in better
    same = page_of(compared([first, made_up_evaluation(skill=1.0)]))
    assert "more than the choice" not in same
    assert "the choice of documents alone may explain it" in same


def test_caveats_are_shown(pair: list[Evaluation], made_up_evaluation: Make) -> None:
    tuned = made_up_evaluation(threshold=Threshold(0.4, "auto", "test"))
    page = page_of(replace(compared([pair[0], tuned]), notes=("b: read <other> notes",)))
    assert "b: read &lt;other&gt; notes" in page
    assert "Thresholds tuned on this split (test): B." in page


def test_configurations_are_shown_by_what_differs(page: str) -> None:
    section = page.partition("<h2 id=configurations>")[2]
    assert "<td class=text>lr0</td><td class=text>0.001</td><td class=text>0.01</td>" in section
    assert "data_path" not in section
    assert different_keys([CONFIGURATION, CONFIGURATION | {"name": "other"}]) == {}


def test_groups_are_by_frequency_and_chapter(page: str, pair: list[Evaluation]) -> None:
    findings = Findings(compared(pair), compared(pair).labels)
    for name, (gold, values) in findings.frequencies.items():
        known = pair[0].by_training_frequency[name]
        assert gold == known["gold"]
        assert values[0] == pytest.approx(known["f1_micro"])
    assert len(findings.chapters) > 2
    for name, (_, values) in findings.chapters.items():
        assert values[1] == pytest.approx(pair[1].by_chapter[name]["f1_micro"])
    assert "Diseases of the circulatory system (390-459)" in page


def test_an_edition_of_another_machine_leaves_out_the_chapters(pair: list[Evaluation]) -> None:
    comparison = compared(pair)
    unknown = {"diagnosis": {"name": "not-here-1", "sha256": "0" * 64}}
    page = page_of(replace(comparison, labels=replace(comparison.labels, editions=unknown)))
    assert "(390-459)" not in page
    assert codes_of(page)["428.0"]["chapter"] is None


def test_some_of_the_codes_can_be_compared(pair: list[Evaluation]) -> None:
    comparison = compared(pair)
    chosen = np.array([4, 1])
    codes = tuple(pair[0].labels.codes[label] for label in chosen)
    parts = []
    for one in comparison.contenders:
        statistics = replace(
            one.statistics,
            gold_NL=one.statistics.gold_NL[:, chosen],
            predicted_NL=one.statistics.predicted_NL[:, chosen],
        )
        parts.append(replace(one, codes=codes, statistics=statistics))
    found = codes_of(page_of(replace(comparison, contenders=tuple(parts))))
    assert {code: row["train_count"] for code, row in found.items()} == {"428.0": 600, "401.9": 900}


@pytest.mark.slow
def test_many_runs_fit_on_a_page(made_up_evaluation: Make) -> None:
    evaluations = [made_up_evaluation(seed=seed) for seed in range(9)]
    names = tuple(f"run{place}" for place in range(9))
    page = page_of(compared(evaluations, names))
    row = codes_of(page)["428.0"]
    assert [f"F1 {letter}" in row for letter in "ABI"] == [True] * 3
    assert "predicted A" not in row
    assert "The figures show the first 7 runs." in page
    assert page.count("<span class=run>I</span>") == 4
