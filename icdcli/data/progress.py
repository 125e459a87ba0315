"""How far something is, told to whoever shows it."""

from typing import Protocol


class Progress(Protocol):
    """Called every now and then while something goes on."""

    def __call__(self, stage: str, done: int, total: int, unit: str = "documents") -> None:
        """Take the news.

        Args:
            stage: What is being done, e.g. ``reading NOTEEVENTS.csv.gz``.
            done: How much of it is done.
            total: How much there is; 0 where that isn't known.
            unit: What is counted: ``documents``, ``rows`` or ``bytes``.
        """
