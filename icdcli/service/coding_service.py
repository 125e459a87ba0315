"""The service behind the routes: the model when it is there, clients, limits and counts."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fastapi import Request

from icdcli.data.notes.text import Note
from icdcli.predict.batches import CodedNote
from icdcli.service.clients import Client, ServiceClients
from icdcli.service.engine import CodingEngine, CodingOptions, EngineClosedError
from icdcli.service.metrics import ServiceMetrics
from icdcli.service.refusals import RETRY_SECONDS, RefusedError

GetEngine = Callable[[], CodingEngine | None]
"""Returns the engine; None: the model is still being loaded."""


@dataclass(frozen=True)
class ServiceSettings:
    """What a service allows.

    Attributes:
        clients: The clients with their tokens; None: everybody who reaches it is a client.
        note_characters: The longest note.
        request_notes: The most notes of one request.
        body_bytes: The largest request.
    """

    clients: ServiceClients | None = None
    note_characters: int = 1_000_000
    request_notes: int = 256
    body_bytes: int = 16 * 2**20


@dataclass
class CodingService:
    """A service with its engine.

    Attributes:
        get_engine: Returns the engine when it is there.
        settings: What is allowed.
        metrics: What is counted.
        on_stop: Called when the service begins to end, such as to begin no further job.
    """

    get_engine: GetEngine
    settings: ServiceSettings = field(default_factory=ServiceSettings)
    metrics: ServiceMetrics = field(default_factory=ServiceMetrics)
    on_stop: list[Callable[[], object]] = field(default_factory=list)
    stopping: bool = False
    _watched: CodingEngine | None = None
    _watching: threading.Lock = field(default_factory=threading.Lock)

    @property
    def status(self) -> str:
        """Return ``ready``, ``loading``, ``stopping`` or ``failed``."""
        if self.stopping:
            return "stopping"
        engine = self._engine()
        if engine is None:
            return "loading"
        return "ready" if engine.ready else "failed"

    @property
    def engine(self) -> CodingEngine:
        """Return the engine.

        Raises:
            RefusedError: If the model is still being loaded.
            EngineClosedError: If the service is ending.
        """
        if self.stopping:
            raise EngineClosedError
        engine = self._engine()
        if engine is None:
            retry = {"Retry-After": str(RETRY_SECONDS)}
            raise RefusedError(503, "the model is still being loaded.", retry)
        return engine

    def client_of(self, request: Request) -> Client:
        """Return who sends a request.

        Raises:
            RefusedError: If it has no valid token, and needs one.
        """
        clients = self.settings.clients
        if clients is None:
            return Client()
        client = clients.client_of(request.headers.get("authorization"))
        if client is None:
            raise RefusedError(
                401,
                "this needs a valid token, in the header Authorization: Bearer TOKEN.",
                {"WWW-Authenticate": "Bearer"},
            )
        return client

    async def code(
        self, notes: Sequence[Note], options: CodingOptions | None = None
    ) -> list[CodedNote]:
        """Return the codes of notes. If the caller is cancelled, they aren't coded any more.

        Raises:
            RefusedError: If there are too many notes, or one is too long.
            QueueFullError: If too much waits already.
            EngineClosedError: If the service is ending.
        """
        self._refuse_large(notes)
        return await asyncio.wrap_future(self.engine.submit(notes, options))

    async def code_with_evidence(self, notes: Sequence[Note]) -> list[CodedNote]:
        """Return the predicted codes of notes, with the words behind them; see `code`."""
        return await self.code(notes, CodingOptions(evidence=True))

    def _refuse_large(self, notes: Sequence[Note]) -> None:
        settings = self.settings
        if len(notes) > settings.request_notes:
            raise RefusedError(
                413,
                f"the request has {len(notes):,} notes, more than {settings.request_notes:,}. Send "
                "several requests, or a file to /v1/jobs.",
            )
        for place, note in enumerate(notes):
            if len(note.text) > settings.note_characters:
                raise RefusedError(
                    413,
                    f"note {place + 1} has {len(note.text):,} characters, more than "
                    f"{settings.note_characters:,}.",
                )

    def stop(self) -> None:
        """Refuse new requests; those that were accepted are finished."""
        if not self.stopping:
            self.stopping = True
            for end in self.on_stop:
                end()
            if (engine := self._engine()) is not None:
                engine.close(timeout=0)

    @property
    def idle(self) -> bool:
        """Return whether nothing that was accepted is unfinished."""
        engine = self._engine()
        return engine is None or not engine.load.requests

    def give_up(self) -> None:
        """Answer what isn't finished with an error, at once."""
        self.stop()
        if (engine := self._engine()) is not None:
            engine.close(drain=False, timeout=0)

    def _engine(self) -> CodingEngine | None:
        """Return the engine if it is there; begin to count what it does."""
        engine = self.get_engine()
        if engine is not None and engine is not self._watched:
            with self._watching:
                if self._watched is None:
                    engine.on_batch = self.metrics.count_batch
                    self.metrics.watch(lambda: engine.load, engine.name, engine.sha256)
                    self._watched = engine
        return engine
