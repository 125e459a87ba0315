"""One model for many clients: requests wait in a queue and are coded in batches by one thread.

A note's codes don't depend on the notes that it is coded together with, so a request gets what
``icdcode predict`` prints, whatever else is going on.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from threading import Condition, Thread
from time import monotonic
from typing import Any, TypeVar

from icdcli.data.notes.text import Note
from icdcli.explain.evidence import evidence_finder
from icdcli.explain.spans import FindEvidence
from icdcli.io.manifest import manifest_sha256
from icdcli.model.checkpoint import LoadedCheckpoint
from icdcli.model.coding_model import CodingModel
from icdcli.predict.batches import CodedNote, NotePredictor, Selection
from icdcli.predict.checking import Checking, NoteChecks, note_checks

Result = TypeVar("Result")

BATCH_NOTES, BATCH_CHARACTERS = 16, 50_000
"""The most that is coded together. A longer note is coded alone."""

WAITING_REQUESTS, WAITING_CHARACTERS = 1_000, 20_000_000
"""The most that waits for the model, in requests and in characters of their notes."""

_LONGEST_WAIT = 600
_FIRST_RATE = 2_000.0  # characters per second, before the first batch is measured
_RATE_SHARE = 0.2
_PREDICTORS = 64


class QueueFullError(Exception):
    """Too many requests wait for the model.

    Attributes:
        seconds: The time until some of them will be done, a whole number.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many requests wait for the model; try again in {seconds} s")
        self.seconds = seconds


class EngineClosedError(Exception):
    """The engine accepts nothing more, or was closed before it could do what it had accepted."""

    def __init__(self) -> None:
        super().__init__("the service is shutting down")


@dataclass(frozen=True)
class CodingOptions:
    """What a request asks for.

    Attributes:
        selection: Which codes are reported.
        evidence: Whether the words behind each code are found.
        checking: How the predicted codes are checked; None: they aren't.
    """

    selection: Selection = field(default_factory=Selection)
    evidence: bool = False
    checking: Checking | None = None


@dataclass(frozen=True)
class EngineLoad:
    """How much waits for the model.

    Attributes:
        requests: The requests, the one in work included.
        notes: Their notes that aren't done.
        characters: The characters of these notes.
        background: Those of these notes that are coded when nothing else waits.
    """

    requests: int = 0
    notes: int = 0
    characters: int = 0
    background: int = 0


@dataclass(eq=False)
class _Request:
    """Notes that wait for their codes; or a function that waits for the model.

    The future stays pending until everything is done, so that it can be cancelled at any time.
    """

    notes: Sequence[Note]
    options: CodingOptions
    use: Callable[[CodingModel], Any] | None = None
    future: "Future[Any]" = field(default_factory=Future)
    taken: int = 0
    coded: list[CodedNote] = field(default_factory=list)
    result: Any = None
    error: Exception | None = None

    @property
    def waiting(self) -> Sequence[Note]:
        """Return the notes that aren't taken yet."""
        return self.notes[self.taken :]

    def finish(self) -> None:
        """Set the result, unless the request was cancelled."""
        if not self.future.set_running_or_notify_cancel():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


_Part = tuple[_Request, Sequence[Note]]


class CodingEngine:
    """A trained model that codes the notes of many clients.

    Args:
        loaded: The checkpoint.
        name: The name of the model, for people.
        batch_notes: The most notes that are coded together.
        batch_characters: The most characters of these notes; a longer note is coded alone.
        waiting_requests: The most requests that wait, of each kind: in the background or not.
        waiting_characters: The most characters of their notes. A request is always accepted if none
            of its kind waits.
        on_batch: Called by the engine's thread after each batch, with the notes, their characters
            and the seconds that it took.
        on_warning: Called with a message for each warning of a check.

    Attributes:
        model: The model. Only the engine's thread may use it; see `call`.
        loaded: The checkpoint.
        name: The name of the model, for people.
        sha256: The hash of the checkpoint's manifest, and so of all its files.

    Example:
        >>> engine = CodingEngine(load_checkpoint("outputs/demo/tiny"), "tiny")  # doctest: +SKIP
        >>> engine.submit([Note("1", "Chest pain.")]).result()  # doctest: +SKIP
    """

    def __init__(
        self,
        loaded: LoadedCheckpoint,
        name: str,
        *,
        batch_notes: int = BATCH_NOTES,
        batch_characters: int = BATCH_CHARACTERS,
        waiting_requests: int = WAITING_REQUESTS,
        waiting_characters: int = WAITING_CHARACTERS,
        on_batch: Callable[[int, int, float], object] | None = None,
        on_warning: Callable[[str], object] | None = None,
    ) -> None:
        self.loaded, self.name = loaded, name
        self.model = loaded.model
        self.sha256 = manifest_sha256(loaded.folder)
        self.on_batch = on_batch
        self._on_warning = on_warning
        self._batch = batch_notes, batch_characters
        self._bounds = waiting_requests, waiting_characters
        self._find: FindEvidence | None = None
        self._checks: dict[Checking, NoteChecks] = {}
        self._predictors: dict[CodingOptions, NotePredictor] = {}
        self._rate = _FIRST_RATE
        self._closed = False
        self._changed = Condition()
        self._queues: dict[bool, deque[_Request]] = {False: deque(), True: deque()}
        self._thread = Thread(target=self._work, name="coding", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Return whether requests are accepted."""
        return not self._closed and self._thread.is_alive()

    @property
    def load(self) -> EngineLoad:
        """Return how much waits for the model."""
        with self._changed:
            waiting = [request for queue in self._queues.values() for request in queue]
            notes = [note for request in waiting for note in request.notes[len(request.coded) :]]
            background = sum(len(one.notes) - len(one.coded) for one in self._queues[True])
        return EngineLoad(len(waiting), len(notes), _characters(notes), background)

    def checks(self, checking: Checking) -> NoteChecks:
        """Return the checks that notes with this option get.

        Raises:
            ConfigError: If the model's editions are unknown, or not at hand.
            DataError: If an edition can't be read.
        """
        if checking not in self._checks:
            self._checks[checking] = note_checks(self.model.labels, checking, self._on_warning)
        return self._checks[checking]

    def submit(
        self,
        notes: Sequence[Note],
        options: CodingOptions | None = None,
        *,
        background: bool = False,
    ) -> "Future[list[CodedNote]]":
        """Ask for the codes of notes.

        Args:
            notes: The notes.
            options: The options of the request.
            background: Whether the notes are coded only when no other request waits. Other requests
                don't wait for all of them, only for the batch in work.

        Returns:
            The notes with their codes, in the same order, or the error of the first that failed.
            A future that is cancelled isn't worked on any more.

        Raises:
            QueueFullError: If too much waits already.
            EngineClosedError: If the engine was closed.
        """
        return self._add(_Request(list(notes), options or CodingOptions()), background)

    def call(
        self, use: Callable[[CodingModel], Result], *, background: bool = True
    ) -> "Future[Result]":
        """Let the engine's thread call a function with the model; keep the call short.

        Args:
            use: The function.
            background: Whether it is called only when no other request waits.

        Raises:
            QueueFullError: If too much waits already.
            EngineClosedError: If the engine was closed.
        """
        return self._add(_Request((), CodingOptions(), use=use), background)

    def close(self, drain: bool = True, timeout: float | None = None) -> bool:
        """Accept nothing more, and wait until the engine's thread has ended.

        Args:
            drain: Whether what was accepted is finished; otherwise only the batch in work is.
            timeout: The most seconds to wait.

        Returns:
            Whether the thread has ended.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if not drain:
            self._give_up()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _add(self, request: _Request, background: bool) -> "Future[Any]":
        with self._changed:
            if not self.ready:
                raise EngineClosedError
            queue = self._queues[background]
            requests, characters = self._bounds
            if queue:
                before = sum(_characters(one.waiting) for one in queue)
                if len(queue) >= requests or before + _characters(request.notes) > characters:
                    raise QueueFullError(self._seconds_for(before))
            queue.append(request)
            self._changed.notify_all()
        return request.future

    def _seconds_for(self, characters: int) -> int:
        return max(1, min(_LONGEST_WAIT, math.ceil(characters / self._rate)))

    def _give_up(self) -> None:
        with self._changed:
            waiting = [request for queue in self._queues.values() for request in queue]
        for request in waiting:
            request.error = EngineClosedError()
        self._finish(waiting)

    def _work(self) -> None:
        try:
            while parts := self._next():
                self._run(parts)
        finally:
            self._closed = True
            self._give_up()

    def _next(self) -> list[_Part]:
        """Wait for the parts of requests to work on next; return none when all is done."""
        while True:
            with self._changed:
                queue = next((one for one in self._queues.values() if one), None)
                if queue is None:
                    if self._closed:
                        return []
                    self._changed.wait()
                    continue
                cancelled = [one for one in queue if one.future.cancelled()]
                if not cancelled:
                    return self._take(queue)
            self._finish(cancelled)

    def _take(self, queue: deque[_Request]) -> list[_Part]:
        """Take notes of the first request, and of others that ask for the same."""
        first = queue[0]
        if first.use is not None:
            return [(first, ())]
        most_notes, most_characters = self._batch
        parts: list[_Part] = []
        notes = characters = 0
        for request in queue:
            if request.use is not None or request.options != first.options:
                continue
            begin = request.taken
            for note in request.waiting:
                size = len(note.text)
                if notes and (notes == most_notes or characters + size > most_characters):
                    break
                notes, characters, request.taken = notes + 1, characters + size, request.taken + 1
            if request.taken > begin or not request.notes:
                parts.append((request, request.notes[begin : request.taken]))
            if request.waiting:
                break
        return parts

    def _run(self, parts: list[_Part]) -> None:
        """Work on parts of requests; an error reaches only the request whose part causes it."""
        first = parts[0][0]
        begun = monotonic()
        try:
            if first.use is not None:
                first.result = first.use(self.model)
                self._finish([first])
                return
            notes = [note for _, part in parts for note in part]
            coded = iter(self._predictor(first.options).predict(notes))
        except Exception as error:
            if len(parts) > 1:
                for alone in parts:
                    self._run([alone])
            else:
                first.error = error
                self._finish([first])
            return
        self._measure(len(notes), _characters(notes), monotonic() - begun)
        for request, part in parts:
            request.coded += islice(coded, len(part))
            request.result = request.coded
        self._finish([one for one, _ in parts if len(one.coded) == len(one.notes)])

    def _finish(self, requests: Sequence[_Request]) -> None:
        """Set the results of requests that are still in their queues, and remove them."""
        ended: list[_Request] = []
        with self._changed:
            for request in requests:
                for queue in self._queues.values():
                    if request in queue:
                        queue.remove(request)
                        ended.append(request)
        for (
            request
        ) in ended:  # outside the lock, since a callback of the result may call the engine
            request.finish()

    def _measure(self, notes: int, characters: int, seconds: float) -> None:
        if characters:
            self._rate += _RATE_SHARE * (characters / max(seconds, 1e-6) - self._rate)
        if self.on_batch is not None:
            self.on_batch(notes, characters, seconds)

    def _predictor(self, options: CodingOptions) -> NotePredictor:
        found = self._predictors.get(options)
        if found is None:
            if options.evidence and self._find is None:
                self._find = evidence_finder(self.model)
            found = NotePredictor(
                self.model,
                options.selection,
                self._find if options.evidence else None,
                self.checks(options.checking).apply if options.checking else None,
            )
            while len(self._predictors) >= _PREDICTORS:
                del self._predictors[next(iter(self._predictors))]
            self._predictors[options] = found
        return found


def _characters(notes: Sequence[Note]) -> int:
    return sum(len(note.text) for note in notes)
