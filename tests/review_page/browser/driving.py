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
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Page, Request

ROOT = Path(__file__).parents[3]
HOST = "127.0.0.1"
PATIENCE = 20_000  # milliseconds for what the page does next; two busy cores aren't fast
CHROMIUM_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Whatever a page asks for, nothing but this machine is reached.
    f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {HOST}",
)


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
    """

    address: str
    context: BrowserContext
    page: Page
    refusals: set[int] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Listen to everything that may go wrong."""
        self.context.on("request", self._asked)
        self.context.on("console", self._printed)
        self.context.on("weberror", lambda error: self.problems.append(f"exception: {error.error}"))
        self.context.on("dialog", self._dialog)

    def go(self, path: str = "/") -> Page:
        """Open a page of the server."""
        self.page.goto(f"{self.address}{path}")
        return self.page

    def _asked(self, request: Request) -> None:
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
                env={**os.environ, "PYTHONPATH": str(ROOT)},
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
