"""The service that `serve.py` measures, and its clients."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

_START_SECONDS = 300


class Answer(NamedTuple):
    """What a client got for a note.

    Attributes:
        id: The id of the note.
        line: Its codes, as `predict` writes them.
        seconds: The time from sending the note to receiving the last byte.
    """

    id: str
    line: str
    seconds: float


class RunningService:
    """``icdcode serve`` in a process of its own, which ends with the block.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, run: Path, threads: int, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        command = ["-m", "icdcli", "serve", run, "--no-page", "--port", self.port]
        store = ["--store", folder / "review.db"]
        self._process = subprocess.Popen(
            [sys.executable, *map(str, [*command, *store])],
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdout=sys.stderr,
        )

    def __enter__(self) -> "RunningService":
        until = time.monotonic() + _START_SECONDS
        while True:
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the service did not start")
            try:
                with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                    return self
            except (HTTPError, URLError, OSError):
                time.sleep(0.2)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(60)

    def cpu_seconds(self) -> float:
        """Return the CPU time that the process has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mb(self) -> float:
        """Return the memory of the process, in MB."""
        return self._memory("VmRSS")

    def peak_mb(self) -> float:
        """Return the most memory that the process has had, in MB."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> float:
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        [line] = [line for line in lines if line.startswith(f"{name}:")]
        return int(line.split()[1]) * 1024 / 1e6


def ask_all(
    port: int, notes: Sequence[dict[str, str]], clients: int, evidence: bool
) -> tuple[list[Answer], float]:
    """Let clients send all notes; each sends the next one when it has the codes of the last.

    Returns:
        The answers, and the seconds from the first request to the last answer.
    """
    return asyncio.run(_ask_all(port, notes, clients, evidence))


async def _ask_all(
    port: int, notes: Sequence[dict[str, str]], clients: int, evidence: bool
) -> tuple[list[Answer], float]:
    waiting = iter(notes)
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(clients)]
    try:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_client(reader, writer, waiting, evidence))
                for reader, writer in connections
            ]
        seconds = time.perf_counter() - began
    except* RuntimeError as errors:
        raise errors.exceptions[0] from None
    finally:
        for _, writer in connections:
            writer.close()
            await writer.wait_closed()
    return [answer for task in tasks for answer in task.result()], seconds


async def _client(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    waiting: Iterator[dict[str, str]],
    evidence: bool,
) -> list[Answer]:
    answers = []
    for note in waiting:
        body = json.dumps({**note, "evidence": evidence}).encode()
        head = (
            "POST /v1/code HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Accept: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        writer.write(head.encode() + body)
        await writer.drain()
        received = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        if received[0].split()[1] != "200":
            raise RuntimeError(f"the service answered {received[0]}")
        headers = {
            key.lower(): value for key, _, value in (one.partition(": ") for one in received)
        }
        line = (await reader.readexactly(int(headers["content-length"]))).decode()
        answers.append(Answer(note["id"], line.rstrip("\n"), time.perf_counter() - began))
    return answers


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median, the 95th and the 99th percentile: of the measured times, the next one."""
    ordered = sorted(seconds)
    return {
        f"p{percent}": ordered[max(0, -(-percent * len(ordered) // 100) - 1)]
        for percent in (50, 95, 99)
    }
