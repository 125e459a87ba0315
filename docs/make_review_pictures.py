"""Make the pictures of the review page, in Chromium, from invented notes.

    .venv/bin/python docs/make_review_pictures.py

writes review_queue.png and review_note.png (light), review_note_dark.png and review_note_ko.png to
docs/pictures/. It needs the packages of `.[dev]`, Chromium, and a font with Korean letters
(Debian: chromium, fonts-nanum). The same fonts and browser make the same pictures.
"""

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from icdcli.explain.spans import EvidenceSpan
from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.records import edition_id, edition_record
from icdcli.io.files import write_atomically
from icdcli.review.decisions import DecisionDraft
from icdcli.review.notes import ReviewNote, import_notes
from icdcli.review.queue import change_queue
from icdcli.review.readings import append_decisions
from icdcli.review.store import Store, open_store
from icdcli.review.suggestions import SuggestingModel, Suggestion, add_model, add_suggestions

PICTURES = Path(__file__).parent / "pictures"
LARGEST = 200_000  # bytes of a picture
HOST = "127.0.0.1"
SIZE = {"width": 1280, "height": 800}
EDITION = "icd10cm-2026-04"
NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)

NOTE = """Chief complaint:
Fever, cough and shortness of breath for four days.

History of present illness:
A 68-year-old woman with COPD and type 2 diabetes came to the emergency department with fever of \
38.9 °C, productive cough and increasing shortness of breath. She denies chest pain and \
palpitations. She has smoked a pack a day for 40 years and has not stopped.

Past medical history:
Type 2 diabetes mellitus, on metformin. Essential hypertension. Chronic kidney disease, stage 3a. \
Appendectomy in 1979.

Family history:
Father died of a myocardial infarction at 61. Sister with breast cancer.

Hospital course:
Chest radiograph showed a right lower lobe consolidation. She was treated with ceftriaxone and \
azithromycin for community-acquired pneumonia, and with prednisone and nebulizers for an acute \
exacerbation of COPD. Oxygen saturation was 84 % on room air on arrival; she needed four liters of \
oxygen for acute hypoxic respiratory failure and was weaned by day three. No evidence of pulmonary \
embolism on CT. Creatinine stayed at her baseline of 1.3 mg/dL.

Discharge diagnoses:
Pneumonia. COPD exacerbation. Acute respiratory failure with hypoxia. Diabetes and hypertension, \
stable.
"""
# Code, confidence, and its words in the note with what the note says of them.
SUGGESTED = (
    (
        "J18.9",
        0.97,
        (("community-acquired pneumonia", ""), ("lobe consolidation", ""), ("Pneumonia.", "")),
    ),
    ("J44.1", 0.93, (("exacerbation of COPD", ""), ("COPD exacerbation", ""))),
    ("J96.01", 0.88, (("acute hypoxic respiratory failure", ""), ("84 % on room air", ""))),
    ("I10", 0.81, (("Essential hypertension", ""), ("hypertension, \nstable", ""))),
    ("E11.9", 0.78, (("Type 2 diabetes mellitus", ""), ("type 2 diabetes", ""))),
    ("N18.31", 0.71, (("Chronic kidney disease, stage 3a", ""),)),
    ("F17.210", 0.64, (("smoked a pack a day for 40 years", ""),)),
    ("R07.9", 0.22, (("chest pain", "negated"),)),
    ("I26.99", 0.14, (("pulmonary \nembolism", "negated"),)),
    ("C50.919", 0.06, (("breast cancer", "family"),)),
)
# The other notes of the queue: id, day, language, and the confidences of a few codes.
OTHERS = (
    ("20417", "2026-11-21", "en", (0.97, 0.95, 0.91)),
    ("20422", "2026-11-21", "en", (0.83, 0.64, 0.55, 0.47)),
    ("20425", "2026-11-22", "es", (0.92, 0.71, 0.38)),
    ("20431", "2026-11-22", "en", (0.99, 0.97)),
    ("20436", "2026-11-23", "en", (0.88, 0.73, 0.69, 0.52, 0.41)),
    ("20440", "2026-11-23", "es", (0.95, 0.9, 0.12)),
    ("20443", "2026-11-24", "en", (0.61, 0.58, 0.33)),
    ("20447", "2026-11-24", "en", (0.94, 0.86, 0.8)),
    ("20452", "2026-11-25", "en", (0.9, 0.77, 0.3)),
)
CODES = ("J18.9", "I10", "E11.9", "N17.9", "I50.9")
MAIN, NUMBER = "20450", len(OTHERS) + 1


def _span(words: str, assertion: str) -> EvidenceSpan:
    words = words.replace("\n", "")
    begin = NOTE.index(words)
    return EvidenceSpan(begin, begin + len(words), 0.5, assertion or "affirmed")


def fill(store: Store) -> None:
    """Import the notes with their suggestions and some decisions."""
    edition = find_edition(EDITION)
    record = edition_record(edition)

    def suggestion(code: str, confidence: float, spans: tuple[EvidenceSpan, ...]) -> Suggestion:
        title = edition.title(code)
        return Suggestion(code, title, confidence, confidence, 0.5, edition_id(record), spans)

    main = [
        suggestion(code, confidence, tuple(_span(*one) for one in words))
        for code, confidence, words in SUGGESTED
    ]
    others = [
        [suggestion(code, one, ()) for code, one in zip(CODES, confidences, strict=False)]
        for *_, confidences in OTHERS
    ]
    notes = [
        ReviewNote(id, f"Invented note {id}.", day=date.fromisoformat(day), language=language)
        for id, day, language, _ in OTHERS
    ]
    notes.append(ReviewNote(MAIN, NOTE, day=date(2026, 11, 25), language="en"))
    import_notes(store, notes)
    codes = sorted({*CODES, *(code for code, *_ in SUGGESTED)})
    model = SuggestingModel("5e" * 32, "outputs/notes", codes, {"diagnosis": record})
    add_model(store, model)
    sets = [(note.id, several) for note, several in zip(notes, [*others, main], strict=True)]
    add_suggestions(store, model.sha256, sets)

    for note, confidences in (("20417", OTHERS[0][3]), ("20431", OTHERS[3][3])):
        drafts = [
            DecisionDraft("accept", {"code": code}, 9.0) for code in CODES[: len(confidences)]
        ]
        append_decisions(store, note, [*drafts, DecisionDraft("submit")], author="ben", seen=0)
    append_decisions(
        store, "20436", [DecisionDraft("accept", {"code": "J18.9"}, 12.0)], author="ben", seen=0
    )
    change_queue(store, ["20443"], author="eva", priority=1)
    decided = [
        DecisionDraft("accept", {"code": "J18.9"}, 8.0),
        DecisionDraft("poa", {"code": "J18.9", "value": "Y"}, 2.0),
        DecisionDraft("accept", {"code": "J44.1"}, 5.0),
        DecisionDraft("poa", {"code": "J44.1", "value": "Y"}, 2.0),
        DecisionDraft("accept", {"code": "I10"}, 3.0),
    ]
    append_decisions(store, MAIN, decided, author="ana", seen=0)


@contextmanager
def served(store: Path) -> Iterator[str]:
    """Serve a store from a process of its own, and yield the address."""
    with socket.socket() as one:
        one.bind((HOST, 0))
        port = one.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "icdcli",
        "serve",
        "--store",
        store,
        "--port",
        port,
        "--no-service",
    ]
    environment = {**os.environ, "LOGNAME": "ana"}  # the name that the page shows
    process = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.DEVNULL, env=environment
    )
    try:
        address = f"http://{HOST}:{port}"
        for _ in range(600):
            if process.poll() is not None:
                raise SystemExit("icdcode serve has ended")
            with suppress(OSError), urllib.request.urlopen(address):
                break
            time.sleep(0.1)
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def save(page: Page, name: str) -> None:
    """Write what a page shows, in 256 colors."""
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide")))
    small = io.BytesIO()
    # This method keeps rare colors: the green and the red of decisions.
    colors = picture.convert("RGB").quantize(
        256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    colors.save(small, "PNG", optimize=True)
    if small.tell() > LARGEST:
        raise SystemExit(f"{name}: {small.tell():,} bytes are more than {LARGEST:,}")
    write_atomically(PICTURES / f"{name}.png", small.getvalue())
    print(f"{name}.png: {small.tell():,} bytes")


def photograph(browser: Browser, address: str) -> None:
    """Open the pages and save them."""
    for name, scheme, locale in (
        ("review_note", "light", "en-US"),
        ("review_note_dark", "dark", "en-US"),
        ("review_note_ko", "light", "ko-KR"),
    ):
        context = browser.new_context(viewport=SIZE, color_scheme=scheme, locale=locale)
        page = context.new_page()
        if name == "review_note":
            page.goto(address)
            page.get_by_text(MAIN).wait_for()
            save(page, "review_queue")
        page.goto(f"{address}/notes/{NUMBER}/1")
        page.get_by_text("J96.01").first.wait_for()
        save(page, name)
        context.close()


def main() -> None:
    """Make all pictures."""
    chromium = shutil.which("chromium") or "/usr/bin/chromium"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "review.db"
        with open_store(path, clock=lambda: NOW) as store:
            fill(store)
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        with served(path) as address:
            photograph(browser, address)
        browser.close()


if __name__ == "__main__":
    main()
