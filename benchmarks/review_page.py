"""Measure how quickly the review page opens a note, scrolls it and stores decisions, in Chromium.

    .venv/bin/python benchmarks/review_page.py --words 10000 --codes 40

makes a store with an invented note, serves it, opens the note ten times in headless Chromium, and
prints the milliseconds from the request until the note and its codes are drawn; those between two
pictures while the note scrolls to its end; and those of a key and of an accepted suggestion. The
first opening, with an empty cache, is printed by itself. It needs the packages of `.[dev]` and
/usr/bin/chromium.
"""

import argparse
import json
import random
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import uvicorn
from playwright.sync_api import Page, sync_playwright

from icdcli.explain.spans import EvidenceSpan
from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.records import edition_id, edition_record
from icdcli.review.notes import ReviewNote, import_notes
from icdcli.review.store import Store, open_store
from icdcli.review.suggestions import SuggestingModel, Suggestion, add_model, add_suggestions
from icdcli.review_page.app import create_review_app

HOST, PORT = "127.0.0.1", 8791
OPENINGS = 10
SPANS = 5  # stretches of words behind each code
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
# Notes when the first code is in the page and the browser has drawn it.
WATCH = """new MutationObserver((_, observer) => {
  if (!document.querySelector("article.code")) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.drawn = performance.now(); }));
}).observe(document, { childList: true, subtree: true });"""
SCROLL = """() => new Promise((done) => {
  const note = document.getElementById("note");
  const times = [];
  let last = performance.now();
  const step = () => {
    const now = performance.now();
    times.push(now - last);
    last = now;
    const before = note.scrollTop;
    note.scrollTop += 900;
    if (note.scrollTop > before && times.length < 600) requestAnimationFrame(step);
    else done(times);
  };
  requestAnimationFrame(step);
})"""
ACT = """([selector, count]) => Array.from({ length: count }, () => {
  const begin = performance.now();
  if (selector) document.querySelector(selector).click();
  else document.dispatchEvent(new KeyboardEvent("keydown", { key: "j", code: "KeyJ" }));
  document.body.getBoundingClientRect();
  return performance.now() - begin;
})"""


def invented_note(words: int) -> str:
    """Return a note of at least some words, in sections."""
    parts: list[str] = []
    count = 0
    while count < words:
        day = len(parts) + 1
        parts.append(
            f"DAY {day}:\nThe patient slept well and walked to the window. Breakfast was eaten, "
            "the wound was dry, and the pulse was regular. The family visited in the afternoon. "
            f"Finding {day} was noted, and there was no fever.\n\n"
        )
        count += len(parts[-1].split())
    return "".join(parts)


def fill(store: Store, words: int, codes: int) -> None:
    """Import a note with suggestions above the threshold."""
    numbers, text, edition = random.Random(0), invented_note(words), find_edition("icd10cm")
    assignable = [
        code
        for code, may in zip(edition.codes, edition.assignable_R, strict=True)
        if may and len(code) > 3
    ]
    chosen = numbers.sample(assignable, codes)
    suggestions = []
    for place, code in enumerate(chosen):
        days = sorted(numbers.sample(range(1, text.count("DAY ")), SPANS))
        begins = [text.index(f"Finding {day} was") for day in days]
        spans = tuple(EvidenceSpan(at, at + 20, 0.2, "affirmed") for at in begins)
        score = 0.95 - 0.4 * place / codes
        name = edition_id(edition_record(edition))
        suggestions.append(Suggestion(code, edition.title(code), score, score, 0.5, name, spans))
    import_notes(store, [ReviewNote("note", text, language="en")])
    model = SuggestingModel("be" * 32, "made up", chosen, {"diagnosis": edition_record(edition)})
    add_model(store, model)
    add_suggestions(store, model.sha256, [("note", suggestions)])


def opened(page: Page) -> float:
    """Open the note, and return the milliseconds until it is drawn."""
    page.goto(f"http://{HOST}:{PORT}/notes/1/1")
    page.wait_for_selector("article.code")
    while (drawn := page.evaluate("window.drawn")) is None:
        time.sleep(0.01)
    return float(drawn)


def measured(page: Page) -> dict[str, float]:
    """Return the milliseconds of everything that is measured."""
    first, *others = [opened(page) for _ in range(OPENINGS + 1)]
    page.wait_for_timeout(500)
    frames = sorted(page.evaluate(SCROLL)[1:])
    keys = page.evaluate(ACT, [None, 30])
    accepted = page.evaluate(ACT, ["[data-group=open] .accept", 10])
    return {
        "first": first,
        "median": median(others),
        "longest": max(others),
        "frame p95": frames[int(len(frames) * 0.95)],
        "frame longest": frames[-1],
        "key": median(keys),
        "accept": median(accepted),
    }


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", type=int, default=10_000)
    parser.add_argument("--codes", type=int, default=40)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        open_store(Path(folder) / "review.db") as store,
    ):
        fill(store, given.words, given.codes)
        app = create_review_app(store)
        server = uvicorn.Server(uvicorn.Config(app, HOST, PORT, log_level="warning"))
        serving = threading.Thread(target=server.run)
        serving.start()
        while not server.started:
            time.sleep(0.05)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=list(OPTIONS)
            )
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.add_init_script(WATCH)
            found = measured(page)
            browser.close()
        server.should_exit = True
        serving.join()
    print(json.dumps({"words": given.words, "codes": given.codes} | found, indent=1))


if __name__ == "__main__":
    main()
