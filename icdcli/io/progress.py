"""How far something is, told to whoever shows it."""

from typing import Protocol


class Progress(Protocol):
    """Called every now and then while something goes on."""

    def __call__(
        self, stage: str, done: int, total: int, unit: str = "documents", note: str = ""
    ) -> None:
        """Take the news.

        Args:
            stage: What is being done, e.g. ``reading NOTEEVENTS.csv.gz``.
            done: How much of it is done.
            total: How much there is; 0 where that isn't known.
            unit: What is counted: ``documents``, ``rows`` or ``bytes``.
            note: What else is worth knowing, in a few words, e.g. ``59,652 kept``.
        """
