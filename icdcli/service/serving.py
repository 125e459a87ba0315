"""Serve an application: the address, signals, and an end that finishes what was accepted."""

import errno
import os
import socket
from time import monotonic
from types import FrameType

import uvicorn
from fastapi import FastAPI

from icdcli.errors import ConfigError
from icdcli.offline import refuse_connection
from icdcli.service.coding_service import CodingService

DRAIN_SECONDS = 30.0
"""How long requests that were accepted may take when the service ends."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, so that a wrong address shows before a model is loaded.

    Args:
        host: The name or address of this machine.
        port: The port; 0: any that is free.

    Raises:
        ConfigError: If it isn't possible.
    """
    if not 0 <= port <= 65_535:
        raise ConfigError(f"--port {port}: isn't between 0 and 65,535.")
    refuse_connection(f"--host {host}", host)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it isn't a name"
        raise ConfigError(f"--host {host}: can't be found ({reason}).") from None
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # a port that was used a minute ago is free
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise ConfigError(_reason(error, host, port)) from None
    return listening


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is taken by another program. Choose another one with --port, "
            "or end that program."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"--port {port}: isn't allowed for this user. Choose one from 1,024 on."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host {host}: isn't an address of this machine."
    return f"--host {host} --port {port}: can't listen there ({error.strerror})."


def serve(
    app: FastAPI,
    listening: socket.socket,
    service: CodingService | None = None,
    drain_seconds: float = DRAIN_SECONDS,
) -> None:
    """Serve an application until a signal comes (SIGTERM, SIGINT), and return.

    After the signal, new requests for codes are refused with 503, and what was accepted is
    finished. A second signal ends it at once.

    Args:
        app: The application.
        listening: The socket, from `listen`; it is closed in the end.
        service: The service to end; None: there is none.
        drain_seconds: How long requests that were accepted may take.
    """
    ApplicationServer(app, service, drain_seconds).run(sockets=[listening])


class ApplicationServer(uvicorn.Server):
    """A server that ends its service first; see `serve`."""

    def __init__(
        self,
        app: FastAPI,
        service: CodingService | None = None,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        # Requests aren't logged: other programs' addresses may have what identifies people.
        config = uvicorn.Config(
            app,
            access_log=False,
            log_level="warning",
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=max(1, round(drain_seconds)),
        )
        super().__init__(config)
        self._service, self._drain_seconds = service, drain_seconds
        self._until: float | None = None

    def end(self) -> None:
        """Begin to end, as after a signal."""
        if self._until is None:
            self._until = monotonic() + self._drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal: the first begins the end, the second doesn't wait for it.

        It isn't raised again after the end, as uvicorn does: an end by a signal is no error.
        """
        if self._until is not None:
            self.should_exit = self.force_exit = True
        self.end()

    async def on_tick(self, counter: int) -> bool:
        """Return whether to end, ten times per second."""
        if self._until is not None:
            if self._service is None:
                self.should_exit = True
            else:
                self._service.stop()
                if self._service.idle or monotonic() > self._until:
                    self._service.give_up()
                    self.should_exit = True
        return await super().on_tick(counter)
