"""Notices at once that a process of several is gone, however it went, and takes the others down.

A collective operation waits for everybody. Where one process has been killed, the others would wait in it for hours (NCCL), or
end with an error that says nothing of the cause (gloo). So each process holds a connection to the first one. The system closes
it with the process, SIGKILL included, and a thread of its own sees that, also while the process waits in an operation.
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

# What one process tells another: its work is done, or it fails and has said why.
_DONE, _FAILS = b"D", b"F"
_TO_CONNECT = 30.0
_TO_LEAVE = 2.0  # so long the launcher has to see who was first, and to send a signal
_TOKEN = 16
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

say_lost: Callable[[str], None] = logging.getLogger(__name__).error
"""Told of a process that is gone without a word; the command line puts its own way of telling here."""


class Watchdog:
    """This process's connections to its fellows: the first process has one to each of the others.

    Args:
        rank: This process's number.
        size: How many there are.
        others: The connections, by number.

    Attributes:
        lost: Set as soon as another process is gone; this one then ends soon.
    """

    def __init__(self, rank: int, size: int, others: dict[int, socket.socket]) -> None:
        self.rank, self.size, self.lost = rank, size, threading.Event()
        self._others = others
        self._parent = os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else None
        for connection in others.values():
            _keep_alive(connection)
        threading.Thread(target=self._watch, name="lifeline", daemon=True).start()

    @classmethod
    def between(
        cls, rank: int, size: int, host: str, broadcast: Callable[[object], object]
    ) -> "Watchdog":
        """Connect all processes; to be called in all of them.

        Args:
            rank: This process's number.
            size: How many there are.
            host: Where the first one is.
            broadcast: Gives all processes what the first one hands it.
        """
        if rank > 0:
            told = broadcast(None)
            assert isinstance(told, tuple)
            # Where a firewall is in the way, the first process watches the others without this one.
            with suppress(OSError):
                return cls(rank, size, {0: _connect(host, rank, *told)})
            return cls(rank, size, {})
        with _listening(host) as server:
            token = secrets.token_bytes(_TOKEN)
            broadcast((server.getsockname()[1], token))
            return cls(rank, size, _accept(server, size - 1, token))

    def finish(self) -> None:
        """Say that this process's work is done, and that it may go."""
        self._tell(_DONE)

    def fail(self) -> None:
        """Say that this process fails and has said why: the others end without a word."""
        self._tell(_FAILS)

    def _tell(self, what: bytes) -> None:
        for connection in self._others.values():
            with suppress(OSError):  # that one is gone, too
                connection.send(what)

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            for rank, connection in self._others.items():
                selector.register(connection, selectors.EVENT_READ, rank)
            while selector.get_map() or self._parent:
                for key, _ in selector.select(timeout=1):
                    connection = self._others[key.data]
                    told = b""
                    with suppress(OSError):  # reset rather than closed
                        told = connection.recv(1)
                    if told != _DONE:
                        self._leave(key.data, silently=told == _FAILS)
                    selector.unregister(connection)
                if self._parent and os.getppid() != self._parent:
                    os._exit(
                        1
                    )  # the launcher was killed, and nobody is left who would end this process

    def _leave(self, rank: int, silently: bool) -> None:
        self.lost.set()
        self._tell(_FAILS)
        # The first process speaks, or the one after it where the first is gone.
        if not silently and self.rank == (rank == 0):
            say_lost(
                f"process {rank} of {self.size} (counted from 0) is gone, so that the others end as well. Where it said "
                "nothing itself, it was killed: most often by the system, for want of memory. What was saved before is whole, "
                "and can be gone on from"
            )
        time.sleep(_TO_LEAVE)
        os._exit(1)


def _listening(host: str) -> socket.socket:
    if host in _LOOPBACK:
        return socket.create_server(("127.0.0.1", 0))
    # The address that others know this machine by need not be one that it knows itself.
    both = socket.has_dualstack_ipv6()
    return socket.create_server(
        ("", 0), family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both
    )


def _connect(host: str, rank: int, port: int, token: bytes) -> socket.socket:
    connection = socket.create_connection(
        ("127.0.0.1" if host in _LOOPBACK else host, port), _TO_CONNECT
    )
    connection.settimeout(None)
    connection.sendall(token + struct.pack("!I", rank))
    return connection


def _accept(server: socket.socket, count: int, token: bytes) -> dict[int, socket.socket]:
    """The connections of the others, strangers left out; fewer where some can't come through."""
    found: dict[int, socket.socket] = {}
    deadline = time.monotonic() + _TO_CONNECT
    while len(found) < count and (left := deadline - time.monotonic()) > 0:
        server.settimeout(left)
        with suppress(OSError):
            connection, _ = server.accept()
            connection.settimeout(1)
            said = connection.recv(_TOKEN + 4, socket.MSG_WAITALL)
            if len(said) == _TOKEN + 4 and hmac.compare_digest(said[:_TOKEN], token):
                connection.settimeout(None)
                found[struct.unpack("!I", said[_TOKEN:])[0]] = connection
            else:
                connection.close()
    return found


def _keep_alive(connection: socket.socket) -> None:
    """Let the system notice within half a minute that the other machine is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
