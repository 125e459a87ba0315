"""Chromium for the tests of the page, skipped where it is missing."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # for the modules that these tests share

pytest.importorskip("playwright", reason="playwright isn't there: pip install -e '.[dev]'")

from driving import PATIENCE, OwnServer, Visit
from playwright.sync_api import Browser, expect

REPORTS = pytest.StashKey[dict[str, pytest.TestReport]]()

expect.set_options(timeout=PATIENCE)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Keep the reports of a test, by which its fixtures know if it has failed."""
    report = yield
    item.stash.setdefault(REPORTS, {})[report.when] = report
    return report


@pytest.fixture
def new_visit(
    chromium: Browser, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[..., Visit]]:
    """Return a function that opens a window for a person, with cookies of its own.

    After the test, nothing may have gone wrong in any window. If the test fails, pictures of the
    windows are in its temporary folder.
    """
    visits: list[Visit] = []

    def open_window(address: str, **options: object) -> Visit:
        values = {"viewport": {"width": 1280, "height": 800}, "locale": "en-US", **options}
        context = chromium.new_context(**values)
        context.set_default_timeout(PATIENCE)
        visit = Visit(address, context, context.new_page())
        visit.watch()
        visits.append(visit)
        return visit

    yield open_window

    call = request.node.stash.get(REPORTS, {}).get("call")
    problems = [problem for visit in visits for problem in visit.problems]
    if problems or (call is not None and call.failed):
        name = re.sub(r"\W+", "-", request.node.name)
        for number, visit in enumerate(visits, start=1):
            picture = tmp_path / f"{name}-{number}.png"
            visit.page.screenshot(path=picture)
            print(f"window {number}: {picture}")
    for visit in visits:
        visit.context.close()
    assert not problems, "\n".join(problems)


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., OwnServer]]:
    """Return a function that serves a store; the servers end after the tests of the module.

    They must end in order, and print neither a defect nor a warning.
    """
    servers: list[OwnServer] = []

    def start(store: Path, *options: str) -> OwnServer:
        log = tmp_path_factory.mktemp("server") / "log"
        words = ["-m", "icdcli", "serve", "--store", str(store), "--port", "{port}", *options]
        server = OwnServer(words, log)
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        assert server.stop() == 0, server.printed()
        assert "Traceback" not in server.printed(), server.printed()
        assert "Warning" not in server.printed(), server.printed()
