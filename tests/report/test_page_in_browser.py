"""The page of an evaluation in a real browser: sizes, keyboard, search, print, accessibility."""

import re
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pypdf import PdfReader

from icdcli.evaluation.evaluate import Evaluation
from icdcli.evaluation.sample import SampleDocument, SamplePrediction
from icdcli.explain.spans import EvidenceSpan
from icdcli.icd.code_system import open_code_system
from icdcli.report.html import evaluation_page
from icdcli.report.plots.evaluation import evaluation_figures

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow
Make = Callable[..., Evaluation]
TEXT = "Denies fever. Has dropsy and pneumonia.\n" * 40


@pytest.fixture
def address(made_up_evaluation: Make, tmp_path: Path) -> str:
    evaluation = replace(made_up_evaluation(), about={"run": "runs/one", "dataset": "mimic3"})
    prediction = SamplePrediction("7", ("428.0", "486"), ("428.0",), {"428.0": 0.9, "486": 0.1})
    begin = TEXT.index("dropsy")
    documents = [
        SampleDocument(prediction, TEXT, {"428.0": (EvidenceSpan(begin, begin + 6, 1.0),)})
    ]
    page = evaluation_page(
        evaluation,
        evaluation_figures(evaluation),
        open_code_system("icd9"),
        documents=documents,
        configuration="data_path: " + "/data/notes" * 12,
    )
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    return (tmp_path / "report.html").as_uri()


@pytest.mark.parametrize("width", [375, 800, 1280])
def test_the_page_fits_every_width(opened: "Callable[..., Page]", width: int) -> None:
    page = opened(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".headline .value").first.is_visible()
    bottom = page.locator(".headline").bounding_box()
    assert bottom is not None
    assert bottom["y"] + bottom["height"] < 800  # the result is on the first screen


@pytest.mark.parametrize(("width", "rows"), [(320, 2), (500, 2), (800, 1)])
def test_no_number_stands_alone_in_a_row(
    opened: "Callable[..., Page]", width: int, rows: int
) -> None:
    cards = (
        opened(width)
        .locator(".headline div")
        .evaluate_all("all => all.map(one => one.getBoundingClientRect().top)")
    )
    assert [cards.count(top) for top in sorted(set(cards))] == [4 // rows] * rows


@pytest.mark.parametrize("width", [320, 375])
def test_nothing_sticks_out_when_all_is_unfolded(opened: "Callable[..., Page]", width: int) -> None:
    page = opened(width)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    search = page.get_by_label("search").bounding_box()
    assert search is not None and search["x"] + search["width"] <= width - 16


@pytest.mark.parametrize("width", [375, 800, 1280])
def test_the_words_of_figures_are_large_enough(opened: "Callable[..., Page]", width: int) -> None:
    page = opened(width)
    sizes = page.locator(".figures svg text").evaluate_all(
        "all => all.map(one => parseFloat(getComputedStyle(one).fontSize)"
        " * one.ownerSVGElement.getBoundingClientRect().width"
        " / one.ownerSVGElement.viewBox.baseVal.width)"
    )
    assert len(sizes) > 20
    assert min(sizes) > 6.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_bars_a_reader(opened: "Callable[..., Page]", scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(1280, scheme)
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []


def test_codes_are_found_sorted_and_saved(opened: "Callable[..., Page]", tmp_path: Path) -> None:
    page = opened(1280)
    rows = page.locator("#codes tbody tr")
    assert page.locator("#found").inner_text() == "11 of 12 codes"  # one has no gold document
    page.get_by_label("search").fill("4280")
    assert rows.count() == 1
    assert rows.first.locator("td").first.inner_text() == "428.0"
    page.get_by_label("search").fill("")
    page.get_by_label("gold documents").fill("0")
    assert rows.count() == 12
    page.get_by_role("button", name="f1").click()
    values = [float(text) for text in rows.locator("td:last-child").all_inner_texts() if text]
    assert values == sorted(values, reverse=True)
    circulatory = "Diseases of the circulatory system (390-459)"
    page.get_by_label("chapter").select_option(label=circulatory)
    assert rows.count() == 4
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download CSV").click()
    saved.value.save_as(tmp_path / "codes.csv")
    lines = (tmp_path / "codes.csv").read_text().splitlines()
    assert lines[0].startswith("code,kind,title,train_count")
    assert len(lines) == 5
    assert lines[1].endswith(f",{circulatory}")


def test_it_says_that_it_shows_the_first_codes_only(opened: "Callable[..., Page]") -> None:
    page = opened(1280)
    page.evaluate("shown = 5; draw()")
    assert page.locator("#found").inner_text() == "11 of 12 codes; the first 5 are shown"
    page.get_by_role("button", name="Show more").click()
    assert page.locator("#found").inner_text() == "11 of 12 codes"


def test_the_threshold_moves_by_keyboard(opened: "Callable[..., Page]") -> None:
    page = opened(1280)
    before = page.locator("#point").inner_text()
    said = re.search(r"Of 100 predicted codes, (\d+) are right", page.content())
    shown = re.search(r"of the model\s+precision ([\d.]+) %", before)  # not of a step nearby
    assert said and shown and abs(float(shown[1]) - int(said[1])) <= 0.55
    page.get_by_label("threshold", exact=True).focus()
    page.keyboard.press("ArrowRight")
    after = page.locator("#point").inner_text()
    assert before != after
    assert "codes per note" in after


def test_a_click_on_a_code_shows_its_words(opened: "Callable[..., Page]") -> None:
    page = opened(1280)
    button = page.get_by_role("button", name="428.0")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("mark.chosen").all_inner_texts() == ["dropsy"]
    button.click()
    assert page.locator("mark.chosen").count() == 0


def test_it_prints_without_controls(opened: "Callable[..., Page]") -> None:
    page = opened(1280)
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert not page.locator(".controls").first.is_visible()
    style = page.locator("#codes thead").evaluate("one => getComputedStyle(one).display")
    assert style == "table-header-group"  # repeated on every sheet
    adjust = "one => getComputedStyle(one).printColorAdjust"  # or else evidence isn't marked
    assert page.locator("mark").first.evaluate(adjust) == "exact"
    position = page.locator("th").first.evaluate("one => getComputedStyle(one).position")
    assert position == "static"
    page.set_viewport_size({"width": 718, "height": 1000})  # an A4 sheet
    assert page.evaluate("document.documentElement.scrollWidth") <= 718


def test_sheets_cut_no_row_and_no_heading(opened: "Callable[..., Page]") -> None:
    page = opened(1280)
    headings = {*page.locator("h2, h3").all_inner_texts()}
    rows = ["".join(one.split()) for one in page.locator("#codes tbody tr").all_inner_texts()]
    assert len(headings) > 8 and len(rows) > 8
    for height in range(190, 300, 12):  # so that headings and rows come to the ends of sheets
        pdf = PdfReader(BytesIO(page.pdf(width="210mm", height=f"{height}mm")))
        sheets = [sheet.extract_text().splitlines() for sheet in pdf.pages]
        assert [lines[-1] for lines in sheets if lines[-1].strip() in headings] == []
        texts = ["".join("".join(lines).split()) for lines in sheets]
        assert [row for row in rows if not any(row in text for text in texts)] == []
