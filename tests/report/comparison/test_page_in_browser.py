"""The page of a comparison in a real browser: sizes, accessibility, the table of codes, print."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from icdcli.evaluation.compare import Contender, compare_models
from icdcli.evaluation.evaluate import Evaluation
from icdcli.report.comparison.page import comparison_page

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow
Make = Callable[..., Evaluation]
Opened = Callable[..., "Page"]


@pytest.fixture(scope="module")
def address(made_up_evaluation: Make, tmp_path_factory: pytest.TempPathFactory) -> str:
    evaluations = [made_up_evaluation(), made_up_evaluation(seed=5, skill=3.0)]
    comparison = compare_models(
        [Contender.of(f"out/{name}", one) for name, one in zip("ab", evaluations, strict=True)]
    )
    editions = {"diagnosis": {"name": "icd9cm-32", "sha256": "0" * 64}}
    labels = replace(evaluations[0].labels, editions=editions)
    page = comparison_page(
        replace(comparison, labels=labels, notes=("a caveat",)),
        "test",
        [{"lr0": 0.1}, {"lr0": 0.2}],
    )
    path = tmp_path_factory.mktemp("page") / "comparison.html"
    path.write_text(page, encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("width", [320, 375, 800, 1280])
def test_the_page_fits_every_width(opened: Opened, width: int) -> None:
    page = opened(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    first = page.locator(".compared .value").first.bounding_box()
    assert first is not None
    assert first["y"] < 800  # the result is on the first screen


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_bars_a_reader(opened: Opened, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(opened(1280, scheme), options={"resultTypes": ["violations"]}).response
    serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
    assert [one["id"] for one in serious] == []


def test_codes_are_sorted_by_the_difference_and_saved(opened: Opened, tmp_path: Path) -> None:
    page = opened(1280)
    assert page.locator("#one-only").inner_text() == "Found by one run only"
    page.get_by_role("button", name="F1 B - A").click()
    cells = page.locator("#codes tbody tr td:last-child").all_inner_texts()
    values = [float(text) for text in cells if text]
    assert values == sorted(values, reverse=True)
    assert any(text.startswith("+") for text in cells)
    page.get_by_label("search").fill("4280")
    assert page.locator("#codes tbody tr").count() == 1
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download CSV").click()
    saved.value.save_as(tmp_path / "codes.csv")
    head, row = (tmp_path / "codes.csv").read_text(encoding="utf-8").splitlines()
    assert head.startswith("code,title,train_count,gold,found A,found B,")
    assert row.startswith("428.0,")
    assert row.endswith(",Diseases of the circulatory system (390-459)")


def test_it_prints_without_controls(opened: Opened) -> None:
    page = opened(1280)
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert not page.locator(".controls").first.is_visible()
    assert page.locator(".compared").is_visible()
