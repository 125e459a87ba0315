"""The tests of the page see what goes wrong in it."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
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
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = PAGES.get(self.path, "")
        self.send_response(200 if content else 404)
        kind = "text/javascript" if self.path.endswith(".js") else "text/html"
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


def test_a_server_can_be_killed_and_started_again_at_its_port(tmp_path: Path) -> None:
    server = OwnServer(["-m", "http.server", "--bind", HOST, "{port}"], tmp_path / "log")
    server.start()
    server.kill()
    server.start()
    server.stop()
    assert server.printed().count("GET / ") == 2
