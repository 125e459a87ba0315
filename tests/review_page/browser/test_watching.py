"""The tests of the page see what goes wrong in it."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from checks import barriers, misplaced, tab_through
from driving import HOST, OwnServer, Visit

pytestmark = pytest.mark.slow

PAGES = {
    "/": "<!doctype html><html lang=en><title>Page</title><p>Hello",
    "/console": "<!doctype html><script src=/script.js></script>",
    "/script.js": "console.error('a mistake'); missing();",
    "/inline": "<!doctype html><script>document.title = 'ran'</script>",
    "/elsewhere": "<!doctype html><img src=http://example.org/picture.png>",
    "/alert": "<!doctype html><script src=/alert.js></script>",
    "/alert.js": "alert('here')",
    "/barriers": """<!doctype html><html lang=en><title>Page</title><link rel=stylesheet
        href=/style.css><main><h1>Page</h1><button></button><p class=pale>Pale words</p></main>""",
    "/misplaced": """<!doctype html><html lang=en><title>Page</title><link rel=stylesheet
        href=/style.css><button>Under</button><div class=over>Over it</div><p class=wide>Wide</p>
        <p class=cut>A text that is cut off</p><button>Free</button>""",
    "/focus": """<!doctype html><html lang=en><title>Page</title><link rel=stylesheet
        href=/style.css><button>Shown</button><a href=/ class=bare>Bare</a>""",
    "/style.css": """.pale { color: #ccc } .wide { width: 120vw } .bare:focus { outline: none }
        .over { position: absolute; top: 0; left: 0; width: 90px; height: 40px }
        .cut { width: 50px; overflow: hidden; white-space: nowrap }""",
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = PAGES.get(self.path, "")
        self.send_response(200 if content else 404)
        kind = {".js": "text/javascript", "css": "text/css"}.get(self.path[-3:], "text/html")
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Security-Policy", "default-src 'self'; img-src *")
        self.end_headers()
        self.wfile.write((content or "There is no such page.").encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ThreadingHTTPServer((HOST, 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/console", ["console: a mistake", "exception: missing is not defined"]),
        ("/inline", ["console: Executing inline script violates"]),
        ("/elsewhere", ["request to another place: http://example.org/picture.png", "net::ERR"]),
        ("/alert", ["dialog: here"]),
        ("/missing", ["console: Failed to load resource"]),
    ],
)
def test_what_goes_wrong_is_seen(
    new_visit: Callable[..., Visit], address: str, path: str, seen: list[str]
) -> None:
    visit = new_visit(address)
    visit.go(path)
    visit.page.wait_for_timeout(200)
    for words in seen:
        assert any(words in problem for problem in visit.problems), visit.problems
    visit.problems.clear()


def test_a_page_in_order_has_no_problems(new_visit: Callable[..., Visit], address: str) -> None:
    visit = new_visit(address)
    assert visit.go("/").title() == "Page"
    visit.refusals.add(404)
    visit.go("/missing")
    assert visit.problems == []


def test_barriers_are_found(new_visit: Callable[..., Visit], address: str) -> None:
    found = barriers(new_visit(address).go("/barriers"))
    assert len(found) == 2
    assert any("button-name" in one for one in found)
    assert any("color-contrast" in one for one in found)


def test_misplaced_elements_are_found(new_visit: Callable[..., Visit], address: str) -> None:
    found = misplaced(new_visit(address).go("/misplaced"))
    assert "button Under is covered by div.over Over it" in found
    assert any("Wide" in one for one in found)
    assert any("cut off" in one for one in found)
    assert any("the page is" in one for one in found)
    assert len(found) == 4


def test_tab_goes_everywhere_and_a_missing_ring_is_found(
    new_visit: Callable[..., Visit], address: str
) -> None:
    visited = tab_through(new_visit(address).go("/focus"))
    assert [(one["name"], one["ring"]) for one in visited] == [
        ("button Shown", True),
        ("a Bare", False),
    ]


def test_a_server_can_be_killed_and_started_again_at_its_port(tmp_path: Path) -> None:
    server = OwnServer(["-m", "http.server", "--bind", HOST, "{port}"], tmp_path / "log")
    server.start()
    server.kill()
    server.start()
    server.stop()
    assert server.printed().count("GET / ") == 2
