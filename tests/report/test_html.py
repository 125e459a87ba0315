import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest

from icdcli.evaluation.behavior.run import BehaviorReport, CapabilityResult
from icdcli.evaluation.evaluate import Evaluation
from icdcli.evaluation.files import CodeRow
from icdcli.evaluation.operating_points import operating_points
from icdcli.evaluation.published_results import Comparable, comparable
from icdcli.evaluation.sample import SampleDocument, SamplePrediction
from icdcli.explain.spans import EvidenceSpan
from icdcli.icd.code_system import open_code_system
from icdcli.model.threshold import Threshold
from icdcli.report.html import evaluation_page
from icdcli.report.page import code_table_data
from icdcli.report.plots.evaluation import evaluation_figures, write_pngs

Make = Callable[..., Evaluation]
CARD = {
    "dataset": "mimic3",
    "protocol": "mimic3-full-caml",
    "benchmark": {"is_benchmark": True, "reason": ""},
}
VOID = {"meta", "input", "path", "use", "rect", "br"}


def page_of(evaluation: Evaluation, published: Comparable | None = None) -> str:
    """Return the page of an evaluation without its figures, which take longest."""
    return evaluation_page(evaluation, {}, open_code_system("icd9"), published)


def drawn_page_of(evaluation: Evaluation) -> str:
    return evaluation_page(evaluation, evaluation_figures(evaluation), open_code_system("icd9"))


class Balance(HTMLParser):
    """A parser that collects elements closed in another order than they were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.addresses += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href")
        ]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href")
        ]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.wrong.append(tag)


@pytest.fixture(scope="module")
def page(made_up_evaluation: Make) -> str:
    return drawn_page_of(made_up_evaluation())


def test_it_is_well_formed_and_loads_nothing(page: str) -> None:
    parser = Balance()
    parser.feed(page)
    assert not parser.wrong
    assert not parser.open
    assert all(address.startswith("#") for address in parser.addresses)
    assert "default-src 'none'" in page
    assert "url(http" not in page
    assert page.count("<svg") == 3
    assert not re.search(r"\$[a-z]", page)


def test_it_has_no_document_ids(page: str, made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation()
    assert not any(
        re.search(rf"{document}\b", page) for document in evaluation.scored.documents.ids
    )


def test_titles_are_text_and_not_markup(made_up_evaluation: Make) -> None:
    page = drawn_page_of(made_up_evaluation(threshold=Threshold(0.35), skill=0.5))
    assert "Title <" not in page
    assert "Title &lt;428.0&gt; &amp; more" in page


def test_the_table_of_codes_is_data(page: str, made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation()
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    assert found
    table = json.loads(found[1])
    assert [row[0] for row in table["rows"]] == list(evaluation.labels.codes)
    assert table["columns"] == [*CodeRow._fields, "chapter"]
    chapters = [table["chapters"][row[-1]] for row in table["rows"]]
    assert "(390-459)" in chapters[1]
    assert table["hidden"] == ["chapter", "threshold"]
    assert table["rows"][0][2] == "Title <36.15> & more"
    assert table["rows"][10][2] is None


def test_the_label_space_is_named_and_codes_that_are_nowhere_are_left_out(
    made_up_evaluation: Make,
) -> None:
    evaluation = made_up_evaluation(threshold=Threshold(0.999))
    counts = (*evaluation.labels.train_counts[:10], 0, 200)  # 999.99 is never gold, either
    labels = replace(evaluation.labels, train_counts=counts)
    for space, codes in (("categories", 11), ("assignable", 11), ("seen", 12)):
        html = page_of(replace(evaluation, labels=labels, about={"label_space": space}))
        assert html.count("<dt>label space</dt>") == 1
        assert f"<dt>label space</dt><dd>{space}: " in html
        found = re.search(r'<script id="data" type="application/json">(.*?)</script>', html, re.S)
        assert found
        assert len(json.loads(found[1])["rows"]) == codes
        assert ('"999.99"' in found[1]) == (space == "seen")


def test_metrics_notes_and_published_results_are_in_it(page: str, made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation(threshold=Threshold(0.4, "auto", "test"))
    with_papers = page_of(evaluation, comparable(CARD, "test"))
    assert f"<td>{evaluation.metrics['map']:.4f}</td>" in with_papers
    assert "tuned on this split" in with_papers
    assert "Huang et al. 2022" in with_papers
    assert "chosen on the test split" in with_papers
    assert "None comparable: a reason." in page_of(evaluation, Comparable((), "a reason"))
    assert "Published" not in page
    assert "tuned on this split" not in page


def test_the_first_lines_say_what_was_evaluated(made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation()
    about = {"run": "out/<en>", "dataset": "mimic3", "model": "tiny", "icdcode": "0.1.0"}
    html = evaluation_page(
        replace(evaluation, about=about),
        {},
        configuration="lr0: 1 # <b>",
        day=date(2026, 11, 27),
    )
    assert "<h1>&lt;en&gt;: test split of mimic3</h1>" in html
    subtitle = re.search('<p class="quiet">(.*?)</p>', html)
    assert subtitle
    measured = "measured on 40 documents (test split) with 12 possible codes"
    for words in ("model tiny", measured, "threshold", "0.1.0", "2026-11-27"):
        assert words in subtitle[1]
    assert "<pre>lr0: 1 # &lt;b&gt;</pre>" in html
    assert "<dt>run</dt><dd>out/&lt;en&gt;</dd>" in html


def test_the_same_evaluation_gives_the_same_page(page: str, made_up_evaluation: Make) -> None:
    assert drawn_page_of(made_up_evaluation()) == page


def test_the_slider_begins_with_the_metrics_as_they_are(
    page: str, made_up_evaluation: Make
) -> None:
    points = re.search(r'<script id="points" type="application/json">(.*?)</script>', page)
    assert points
    metrics = made_up_evaluation().metrics
    names = ("precision_micro", "recall_micro", "f1_micro")
    assert json.loads(points[1])["own"][:3] == [metrics[name] for name in names]


def test_the_script_that_rounds_gets_values_that_are_not_rounded() -> None:
    [[code, share]] = code_table_data([["I10", 0.49949]], {"code": "text", "F1": "share"})["rows"]
    assert (code, f"{share:.3f}") == ("I10", "0.499")


def test_the_slider_has_each_point_as_it_is(page: str, made_up_evaluation: Make) -> None:
    points = re.search(r'<script id="points" type="application/json">(.*?)</script>', page)
    assert points
    expected = [[*point] for point in operating_points(made_up_evaluation())]
    assert json.loads(points[1])["points"] == expected


def test_groups_that_say_nothing_are_left_out(made_up_evaluation: Make) -> None:
    made = made_up_evaluation()
    assert ">Kind of code<" in page_of(made)
    (kind, values), *_ = made.by_kind.items()
    assert ">Kind of code<" not in page_of(replace(made, by_kind={kind: values}))
    empty = {**values, "gold": 0.0, "labels": 3.0, "f1_micro": 0.0}
    page = page_of(replace(made, by_chapter={"Empty": empty, "Full": values}))
    assert "<td class=text>Empty</td><td>3</td><td>0</td>" + "<td></td>" * 5 in page


def test_figures_are_png_files(made_up_evaluation: Make, tmp_path: Path) -> None:
    paths = write_pngs(evaluation_figures(made_up_evaluation()), tmp_path / "test")
    assert [path.name for path in paths] == [
        "precision_recall.png",
        "calibration.png",
        "f1_by_frequency.png",
    ]
    assert all(
        path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000 for path in paths
    )


def test_few_documents_can_be_drawn(made_up_evaluation: Make) -> None:
    evaluation = made_up_evaluation(documents=1)
    assert evaluation.counts["gold"] > 0
    assert "calibration" in evaluation_figures(evaluation)


def test_documents_with_evidence_are_shown(made_up_evaluation: Make, page: str) -> None:
    evaluation = made_up_evaluation()
    sample = SamplePrediction("<7>", ("401.9",), ("428.0",), {"401.9": 0.1, "428.0": 0.75})
    text = "Denies </p> fever. Has dropsy."
    marked = {"428.0": (EvidenceSpan(23, 29, 1.0),)}
    html = evaluation_page(
        evaluation,
        {},
        documents=[SampleDocument(sample, text, marked), SampleDocument(sample, "", {})],
    )
    assert 'Denies &lt;/p&gt; fever. Has <mark data-codes="428.0">dropsy</mark>.' in html
    assert '<a href="#documents">' in html
    balance = Balance()
    balance.feed(html)
    assert not balance.wrong
    assert "<mark" not in page
    assert "icdcode evaluate RUN --html --evidence" in page


def test_behavior_is_a_section_with_a_link(made_up_evaluation: Make, page: str) -> None:
    evaluation = made_up_evaluation()
    failed = {"code": "486", "text": "No pneumonia\x3c/td>.", "predicted": []}
    result = CapabilityResult("negated", "not coded", 4, 3, 0.3, 0.95, [failed])
    html = evaluation_page(
        evaluation,
        {},
        behavior=BehaviorReport("en", ("486",), (result,)),
    )
    assert '<a href="#behavior">' in html
    assert "<h2 id=behavior>" in html
    assert "<td>0.750</td><td>0.300–0.950</td>" in html
    assert "No pneumonia&lt;/td&gt;." in html
    balance = Balance()
    balance.feed(html)
    assert not balance.wrong
    assert "ehavior" not in page
