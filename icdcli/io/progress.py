"""The progress of long work, as it is reported to a progress bar."""

from typing import Protocol


class Progress(Protocol):
    """A function that is called from time to time during long work."""

    def __call__(
        self, stage: str, done: int, total: int, unit: str = "documents", note: str = ""
    ) -> None:
        """Report progress.

        Args:
            stage: The present work, e.g. ``reading NOTEEVENTS.csv.gz``.
            done: The amount done.
            total: The complete amount; 0 if unknown.
            unit: The unit of both: ``documents``, ``rows`` or ``bytes``.
            note: A few more words, e.g. ``59,652 kept``.
        """
