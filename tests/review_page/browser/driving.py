"""What the tests of the page share: a browser that is watched, and servers of their own."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Locator, Page, Request

from icdcli.review.decisions import DecisionEvent
from icdcli.review.notes import note_numbers
from icdcli.review.readings import read_events, read_state
from icdcli.review.state import ReviewState
from icdcli.review.store import open_store

ROOT = Path(__file__).parents[3]
HOST = "127.0.0.1"
PATIENCE = 20_000  # milliseconds for what the page does next; two busy cores aren't fast


@dataclass
class Visit:
    """A person's browser window, with cookies of its own, and all that went wrong in it.

    Attributes:
        address: The server, such as ``http://127.0.0.1:8765``.
        context: The window's cookies and settings.
        page: The page that is shown.
        refusals: Statuses of answers, such as 409, that the test provokes: they aren't problems.
        problems: Errors of the console, violations of the content security policy, exceptions,
            dialogs, and requests to other machines.
        requests: The method and address of every request.
        open_requests: How many requests have no answer yet.
    """

    address: str
    context: BrowserContext
    page: Page
    refusals: set[int] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    open_requests: int = 0

    def watch(self) -> None:
        """Listen to everything that may go wrong."""
        self.context.on("request", self._asked)
        self.context.on("requestfinished", self._answered)
        self.context.on("requestfailed", self._answered)
        self.context.on("console", self._printed)
        self.context.on("weberror", lambda error: self.problems.append(f"exception: {error.error}"))
        self.context.on("dialog", self._dialog)

    def go(self, path: str = "/") -> Page:
        """Open a page of the server."""
        self.page.goto(f"{self.address}{path}")
        return self.page

    def wait_for_answers(self) -> None:
        """Wait until no request is open."""
        self.page.wait_for_timeout(50)
        while self.open_requests > 0:
            self.page.wait_for_timeout(50)

    def _answered(self, _: Request) -> None:
        self.open_requests -= 1

    def _asked(self, request: Request) -> None:
        self.open_requests += 1
        self.requests.append(f"{request.method} {request.url}")
        asked = urlsplit(request.url)
        if asked.scheme != "data" and asked.netloc != urlsplit(self.address).netloc:
            self.problems.append(f"request to another place: {request.url}")

    def _printed(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        status = re.search(r"responded with a status of (\d+)", message.text)
        # Chromium reports every refused request; that the server is away is reported so, too.
        if status and int(status[1]) in self.refusals:
            return
        if "net::ERR_" in message.text and 0 in self.refusals:
            return
        self.problems.append(f"console: {message.text}")

    def _dialog(self, dialog: Dialog) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()


# The first occurrence of words in the note, across elements, as the boxes of its first and last
# character.
_PLACE_OF_WORDS = """(words) => {
const nodes = [];
const walker = document.createTreeWalker(document.querySelector('#note'), NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  if (walker.currentNode.parentElement.closest('.block')) nodes.push(walker.currentNode);
}
const at = nodes.map((one) => one.data).join('').indexOf(words);
if (at < 0) return null;
const place = (position) => {
  let left = position;
  for (const node of nodes) {
    if (left < node.length) return [node, left];
    left -= node.length;
  }
};
const box = (position) => {
  const [node, offset] = place(position);
  const range = document.createRange();
  range.setStart(node, offset);
  range.setEnd(node, offset + 1);
  return range.getBoundingClientRect();
};
const first = box(at);
const last = box(at + words.length - 1);
return [first.left, first.top + first.height / 2, last.right, last.top + last.height / 2];
}"""


class NotePage:
    """The page of a note, as a person uses it.

    Args:
        visit: The window that shows it.
    """

    def __init__(self, visit: Visit) -> None:
        self.visit, self.page = visit, visit.page

    def ready(self) -> "NotePage":
        """Wait until it shows the codes."""
        self.page.locator("#loading").wait_for(state="detached")
        return self

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def write(self, words: str) -> None:
        """Type a text where the focus is."""
        self.page.keyboard.type(words)

    def code(self, code: str) -> Locator:
        """Return the place of a code."""
        return self.page.locator(f"article[data-code='{code}']")

    @property
    def found(self) -> Locator:
        """Return the codes that a search has found."""
        return self.page.get_by_role("listbox").get_by_role("option")

    @property
    def chosen(self) -> str | None:
        """Return the code that keys act on."""
        return self.page.locator("article[aria-current=true]").get_attribute("data-code")

    def choose(self, code: str) -> None:
        """Go to a code by j and k."""
        for key in ("j", "k"):
            for _ in range(20):
                if self.chosen == code:
                    return
                self.press(key)
        raise AssertionError(f"{code} can't be reached by j and k")

    def drag_over(self, words: str) -> None:
        """Select words of the note with the mouse."""
        place = self.page.evaluate(_PLACE_OF_WORDS, words)
        assert place is not None, f"the note doesn't show {words!r}"
        left, top, right, bottom = place
        self.page.mouse.move(left + 1, top)
        self.page.mouse.down()
        self.page.mouse.move((left + right) / 2, (top + bottom) / 2)
        self.page.mouse.move(right - 1, bottom)
        self.page.mouse.up()

    def button(self, name: str) -> Locator:
        """Return a button by its words."""
        return self.page.get_by_role("button", name=name)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])


class OwnServer:
    """A server in a process of its own, which can be killed and started again at the same port.

    Args:
        command: The words of the command after the Python; ``{port}`` in them becomes the port.
        log: The file that the server's output is appended to.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.port, self.log = free_port(), log
        self.command = [word.replace("{port}", str(self.port)) for word in command]
        self.address = f"http://{HOST}:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, timeout: float = 90) -> None:
        """Start it, and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.log.parent,
                env={**os.environ, "PYTHONPATH": str(ROOT), "LOGNAME": "local"},
            )
        end = time.monotonic() + timeout
        while not self._answers():
            assert self.process.poll() is None, f"the server has ended:\n{self.printed()}"
            assert time.monotonic() < end, f"the server doesn't answer:\n{self.printed()}"
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.address, timeout=5):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return True
        except OSError:
            return False

    def kill(self) -> None:
        """Kill it without a chance to finish anything."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> int:
        """End it as Ctrl-C does, and return its status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def printed(self) -> str:
        """Return what the server has printed until now."""
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""


@dataclass
class Served:
    """A store and the server of its page.

    Attributes:
        path: The file of the store.
        server: The server.
    """

    path: Path
    server: OwnServer

    def state(self, id: str, reading: int = 1) -> ReviewState:
        """Return what is stored on a reading."""
        with open_store(self.path, create=False) as store:
            return read_state(store, id, reading)

    def events(self, id: str, reading: int = 1) -> list[DecisionEvent]:
        """Return the stored events of a reading."""
        with open_store(self.path, create=False) as store:
            return read_events(store, id, reading)

    def until(
        self, visit: Visit, id: str, holds: Callable[[ReviewState], object], reading: int = 1
    ) -> ReviewState:
        """Wait until something holds for the state of a reading, and return the state."""
        end = time.monotonic() + PATIENCE / 1000
        while not holds(state := self.state(id, reading)):
            assert time.monotonic() < end, f"the store still has {state}"
            visit.page.wait_for_timeout(50)
        return state

    def number(self, id: str) -> int:
        """Return the number of a note, which its address has."""
        with open_store(self.path, create=False) as store, store.reading() as connection:
            return note_numbers(connection, [id], store.name)[id]

    def open(self, visit: Visit, id: str, reading: int = 1) -> NotePage:
        """Open the page of a note."""
        visit.go(f"/notes/{self.number(id)}/{reading}")
        return NotePage(visit).ready()
