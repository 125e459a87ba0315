"""Notices at once that one of several processes has died, however it died, and ends the others.

A collective operation waits for all processes. If one has been killed, the others would wait for
hours (NCCL), or fail with an error that doesn't name the cause (gloo). So each process keeps a
connection to the main one. The operating system closes it with the process, even after SIGKILL,
and a thread sees that even while the process waits in a collective.
"""

import hmac
import logging
import os
import secrets
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

# The messages of a process: its work is done, or it fails and has reported why.
_DONE, _FAILS = b"D", b"F"
_CONNECT_TIMEOUT = 30.0
_TIME_TO_LEAVE = 2.0  # for the launcher to see which process was first, and to send a signal
_TOKEN_BYTES = 16
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _log_lost(text: str, reported: bool) -> None:
    if not reported:
        logging.getLogger(__name__).error(text)


on_lost: Callable[[str, bool], None] = _log_lost
"""Reports that a process died, and whether it has reported why itself; the command line sets its
own way to do so."""


class Watchdog:
    """This process's connections: the main process has one to each of the others, these one to it.

    Args:
        rank: The number of this process.
        size: The number of processes.
        others: The connections, by rank.

    Attributes:
        lost: Set as soon as another process has died; this one then ends soon.
    """

    def __init__(self, rank: int, size: int, others: dict[int, socket.socket]) -> None:
        self.rank, self.size, self.lost = rank, size, threading.Event()
        self._others = others
        self._parent = os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else None
        for connection in others.values():
            _keep_alive(connection)
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    @classmethod
    def between(
        cls, rank: int, size: int, host: str, broadcast: Callable[[object], object]
    ) -> "Watchdog":
        """Connect all processes; each of them must call this.

        Args:
            rank: The number of this process.
            size: The number of processes.
            host: The host of the main process.
            broadcast: Returns the main process's value in all processes.
        """
        if rank > 0:
            address = broadcast(None)
            assert isinstance(address, tuple)
            # If a firewall is in the way, the main process watches the others without this one.
            with suppress(OSError):
                return cls(rank, size, {0: _connect(host, rank, *address)})
            return cls(rank, size, {})
        with _listen(host) as server:
            token = secrets.token_bytes(_TOKEN_BYTES)
            broadcast((server.getsockname()[1], token))
            return cls(rank, size, _accept(server, size - 1, token))

    def finish(self) -> None:
        """Report that this process's work is done, and that it may exit."""
        self._send(_DONE)

    def fail(self) -> None:
        """Report that this process fails and has printed why: the others end without a message."""
        self._send(_FAILS)

    def _send(self, message: bytes) -> None:
        for connection in self._others.values():
            with suppress(OSError):  # that process has died, too
                connection.send(message)

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            for rank, connection in self._others.items():
                selector.register(connection, selectors.EVENT_READ, rank)
            while selector.get_map() or self._parent:
                for key, _ in selector.select(timeout=1):
                    connection = self._others[key.data]
                    message = b""
                    with suppress(OSError):  # reset rather than closed
                        message = connection.recv(1)
                    if message != _DONE:
                        self._leave(key.data, silently=message == _FAILS)
                    selector.unregister(connection)
                if self._parent and os.getppid() != self._parent:
                    os._exit(1)  # the launcher was killed, and nothing else would end this process

    def _leave(self, rank: int, silently: bool) -> None:
        which = f"process {rank} of {self.size} (counted from 0)"
        # The main process reports it, or rank 1 if the main process is the one that died.
        reports = self.rank == (rank == 0)
        if reports and not silently:
            on_lost(
                f"{which} has died, so the others end as well. If it printed no error, it was "
                "killed: most often by the system, because memory ran out. Everything saved before "
                "is complete and can be resumed",
                False,
            )
        self.lost.set()
        self._send(_FAILS)
        time.sleep(_TIME_TO_LEAVE)
        if reports and silently:  # if this process has the same error, it reports it first
            on_lost(f"{which} failed, and its error is on standard error", True)
        os._exit(1)


def _listen(host: str) -> socket.socket:
    if host in _LOOPBACK:
        return socket.create_server(("127.0.0.1", 0))
    # The address under which others reach this machine need not be one of its own interfaces.
    both = socket.has_dualstack_ipv6()
    return socket.create_server(
        ("", 0), family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both
    )


def _connect(host: str, rank: int, port: int, token: bytes) -> socket.socket:
    connection = socket.create_connection(
        ("127.0.0.1" if host in _LOOPBACK else host, port), _CONNECT_TIMEOUT
    )
    connection.settimeout(None)
    connection.sendall(token + struct.pack("!I", rank))
    return connection


def _accept(server: socket.socket, count: int, token: bytes) -> dict[int, socket.socket]:
    """Accept the connections of the other processes; fewer if some can't reach this one."""
    found: dict[int, socket.socket] = {}
    deadline = time.monotonic() + _CONNECT_TIMEOUT
    while len(found) < count and (left := deadline - time.monotonic()) > 0:
        server.settimeout(left)
        with suppress(OSError):
            connection, _ = server.accept()
            connection.settimeout(1)
            message = connection.recv(_TOKEN_BYTES + 4, socket.MSG_WAITALL)
            if len(message) == _TOKEN_BYTES + 4 and hmac.compare_digest(
                message[:_TOKEN_BYTES], token
            ):
                connection.settimeout(None)
                found[struct.unpack("!I", message[_TOKEN_BYTES:])[0]] = connection
            else:
                connection.close()
    return found


def _keep_alive(connection: socket.socket) -> None:
    """Make the system notice within half a minute that the other machine is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
