"""Work that a server does beside answering requests: load the model, and suggest codes with it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from icdcli.errors import IcdcodeError
from icdcli.review.store import StoreUnavailableError

if TYPE_CHECKING:  # which import torch
    from icdcli.model.checkpoint import LoadedCheckpoint
    from icdcli.service.engine import CodingEngine

_BETWEEN = 20.0
"""Seconds after which notes are looked for that another process has imported."""


@dataclass(frozen=True)
class WorkProgress:
    """How many notes have suggestions.

    Attributes:
        done: The number of notes with suggestions of the model.
        total: The number of notes that get some; 0: nothing is being suggested.
    """

    done: int = 0
    total: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


class BackgroundWork:
    """The work of a server without a model: none.

    Attributes:
        progress: How many notes have suggestions.
    """

    def __init__(self) -> None:
        self.progress = WorkProgress()

    @property
    def suggests(self) -> bool:
        """Return whether notes without suggestions get some, sooner or later."""
        return False


@dataclass(frozen=True)
class ModelUse:
    """What is done with a model.

    Attributes:
        name: The name of the model, for people.
        load: Loads it.
        count: Returns how many notes have suggestions; None: it suggests none.
        suggest: Suggests codes until the work is `stopping`, and sets its progress.
        always: Whether it is loaded even if all notes have suggestions: others use it, too.
    """

    name: str
    load: "Callable[[], LoadedCheckpoint]"
    count: Callable[[], WorkProgress] | None
    suggest: "Callable[[CodingEngine, ModelWork], object]"
    always: bool


class ModelWork(BackgroundWork):
    """Load a model in a thread, so that the page opens at once; then suggest codes with it.

    Attributes:
        error: Why the model can't be used; None: nothing is wrong.
    """

    def __init__(
        self,
        use: ModelUse,
        on_error: Callable[[], object],
        on_warning: Callable[[str], object],
        between: float = _BETWEEN,
    ) -> None:
        """Describe the work.

        Args:
            use: What is done with the model.
            on_error: Called if something fails that doesn't pass.
            on_warning: Called with a message if something fails that is tried again.
            between: The seconds until notes are looked for again.
        """
        super().__init__()
        self.error: Exception | None = None
        self._use, self._on_error, self._on_warning = use, on_error, on_warning
        self._between = between
        self._engine: CodingEngine | None = None
        self._stop = Event()
        self._thread = Thread(target=self._run, name="suggesting", daemon=True)

    @property
    def name(self) -> str:
        """Return the name of the model, for people."""
        return self._use.name

    @property
    def suggests(self) -> bool:
        """Return whether notes without suggestions get some, sooner or later."""
        return self._use.count is not None and not self.stopping()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def engine(self) -> "CodingEngine | None":
        """Return the engine; None: the model is still being loaded."""
        return self._engine

    def stopping(self) -> bool:
        """Return whether to suggest no further codes."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Begin to stop, after the notes in work; another server continues with the others."""
        self._stop.set()

    def close(self, timeout: float | None = None) -> None:
        """Stop, and wait until nothing uses the model or the store any more."""
        self.stop()
        if self._engine is not None:
            self._engine.close(drain=False, timeout=timeout)
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:
            if self.stopping():  # the model is closed while it codes
                return
            self.error = error
            if not isinstance(error, IcdcodeError):
                error.args = ()  # its message may have words of a note
            self._on_error()
        finally:
            self.progress = WorkProgress()

    def _work(self) -> None:
        from icdcli.service.engine import CodingEngine, QueueFullError

        while not self.stopping():
            try:
                self.progress = self._use.count() if self._use.count else WorkProgress()
                waiting = self.progress.done < self.progress.total
                if self._engine is None and (waiting or self._use.always):
                    self._engine = CodingEngine(self._use.load(), self._use.name)
                if waiting and self._engine is not None and not self.stopping():
                    self._use.suggest(self._engine, self)
            except (StoreUnavailableError, QueueFullError) as error:
                self._on_warning(f"no codes are suggested at the moment: {error}")
            self.progress = WorkProgress()
            if self._use.count is None:
                return
            self._stop.wait(self._between)
