"""Work that a server does beside answering requests, and its progress."""

from dataclasses import asdict, dataclass
from typing import Any


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
    """The work of a server.

    Attributes:
        progress: How many notes have suggestions.
    """

    def __init__(self) -> None:
        self.progress = WorkProgress()
