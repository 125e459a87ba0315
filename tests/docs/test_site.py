"""The documentation as a site: one navigation per language, no request elsewhere, copy buttons."""

import functools
import http.server
import importlib.util
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def neighbor(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages = neighbor("pages")
ROOT, PAGES = pages.ROOT, pages.PAGES
text_of, blocks = pages.text_of, pages.blocks


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    def log_message(self, format: str, *args: object) -> None:
        pass


def site_configuration() -> dict:
    """Read mkdocs.yml, in which Python objects are named."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)
    return yaml.load(text_of(ROOT / "mkdocs.yml"), Loader)


def test_each_language_has_its_own_navigation() -> None:
    """The theme shows pages in ko/ the section of this title, and all other pages the rest."""
    site = site_configuration()
    *english, korean = site["nav"]
    [(title, entries)] = korean.items()
    assert f'section.title == "{title}"' in text_of(
        ROOT / "docs" / "theme" / "partials" / "nav.html"
    )
    assert all(page.startswith("ko/") for entry in entries for page in entry.values())
    assert "ko/" not in str(english)
    assert [one["link"] for one in site["extra"]["alternate"]] == ["index.html", "ko/index.html"]


@pytest.mark.parametrize(
    ("page", "links"),
    [
        ("own-notes.html", ["own-notes.html", "ko/own-notes.html"]),
        ("ko/own-notes.html", ["own-notes.html", "ko/own-notes.html"]),
        ("training.html", ["training.html", "ko/index.html"]),
        ("ko/guide.html", ["index.html", "ko/guide.html"]),
    ],
)
def test_a_page_leads_to_itself_in_the_other_language(page: str, links: list[str]) -> None:
    site = site_configuration()
    assert site["hooks"] == ["docs/site_languages.py"]
    spec = importlib.util.spec_from_file_location("hook", ROOT / site["hooks"][0])
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    names = [one.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for one in PAGES]
    nav = SimpleNamespace(pages=[SimpleNamespace(url=name) for name in names])
    hook.on_page_context({}, page=SimpleNamespace(url=page), config=site, nav=nav)
    assert [one["link"] for one in site["extra"]["alternate"]] == links


def test_the_site_has_every_page_once() -> None:
    def pages(entries: list) -> list[str]:
        values = [value for entry in entries for value in entry.values()]
        return [
            page
            for value in values
            for page in (pages(value) if isinstance(value, list) else [value])
        ]

    nav = site_configuration()["nav"]
    assert sorted(pages(nav)) == sorted(
        page.relative_to(ROOT / "docs").as_posix() for page in PAGES
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site, without a warning and without a network, and return its folder."""
    pytest.importorskip("material", reason="the extra docs isn't installed")
    folder = tmp_path_factory.mktemp("built") / "site"
    build = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(folder),
    ]
    environment = os.environ | {
        "NO_MKDOCS_2_WARNING": "1",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        build, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    fetched = r'<(?:script|link|img)[^>]*(?:src|href)="?https?://'
    assert [page for page in site.rglob("*.html") if re.search(fetched, text_of(page))] == []


@pytest.mark.slow
def test_korean_pages_are_korean_all_over(site: Path) -> None:
    korean, english = (text_of(site / name) for name in ("ko/own-notes.html", "own-notes.html"))
    assert '<html lang="ko"' in korean
    assert '<html lang="en"' in english
    navigations = [
        page.partition("md-sidebar--primary")[2].partition("md-sidebar--secondary")[0]
        for page in (korean, english)
    ]
    assert ["문제 해결" in one for one in navigations] == [True, False]
    assert ["Getting started" in one for one in navigations] == [False, True]
    assert 'id="1-표-준비"' in korean  # as links to it say


@pytest.mark.slow
def test_the_switch_of_the_header_leads_to_the_same_page(site: Path) -> None:
    links = re.findall(r'<a href="?([^ "]+)"? hreflang', text_of(site / "ko" / "own-notes.html"))
    assert links == ["../own-notes.html", "own-notes.html"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "breaks"), [("ko/guide.html", "keep-all"), ("own-notes.html", "normal")]
)
def test_korean_lines_break_between_words(
    site: Path, chromium: "Browser", name: str, breaks: str
) -> None:
    page = chromium.new_page(viewport={"width": 375, "height": 800})
    page.goto((site / name).as_uri())
    style = "one => getComputedStyle(one).wordBreak"
    assert page.locator(".md-content p").first.evaluate(style) == breaks
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.close()


@pytest.mark.slow
def test_copy_buttons_copy_commands_alone(site: Path, chromium: "Browser") -> None:
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    serve = functools.partial(QuietHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/own-notes.html")
        block = page.locator(".highlight:has(.gp)").first
        block.hover()
        block.locator("button").first.click()
        page.wait_for_timeout(300)
        copied = page.evaluate("navigator.clipboard.readText()")
        server.shutdown()
    context.close()
    [(command, output)] = blocks(ROOT / "docs" / "own-notes.md", "console")[0].commands()
    assert output
    assert copied == command
