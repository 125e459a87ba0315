"""Make the pictures of the report pages, in Chromium, from pages that icdcode wrote.

    .venv/bin/python docs/make_report_pictures.py REPORT.html COMPARISON.html

writes report.png and comparison.png, the first screens of both, to docs/pictures/. The pages must
be without texts of notes (no ``--evidence``). The first is of a run of configs/laptop.yaml on
CodiEsp in English, the second compares such a run with one of configs/tfidf.yaml, both trained with
``label_space=seen``:

    icdcode evaluate outputs/laptop --split validation --html --no-behavior
    icdcode compare outputs/tfidf outputs/laptop_seen --split validation --html

It needs the packages of `.[dev]` and Chromium.
"""

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from icdcli.io.files import write_atomically

PICTURES = Path(__file__).parent / "pictures"
SIZE = {"width": 1120, "height": 640}


def main() -> None:
    """Make both pictures."""
    parser = argparse.ArgumentParser(description="Make pictures of the report pages.")
    for name in ("report", "comparison"):
        parser.add_argument(name, type=Path, help=f"the page {name}.html")
    given = vars(parser.parse_args())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or "/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu"],
        )
        for name, path in given.items():
            page = browser.new_page(viewport=SIZE, color_scheme="light")
            page.goto(path.resolve().as_uri())
            picture = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
            small = io.BytesIO()
            picture.convert("RGB").quantize(128).save(small, "PNG", optimize=True)
            write_atomically(PICTURES / f"{name}.png", small.getvalue())
            print(f"{name}.png: {small.tell():,} bytes")
        browser.close()


if __name__ == "__main__":
    main()
