"""What is known about a file of predicted codes once it is written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icdcli.errors import ConfigError
from icdcli.icd.editions.records import Editions
from icdcli.io.remote.paths import any_path
from icdcli.predict.batches import CutNotes, Selection
from icdcli.predict.shards.records import Shard


@dataclass(frozen=True)
class PredictionFile:
    """A file of predicted codes.

    Attributes:
        output: The file.
        notes: The number of notes in it.
        checkpoint: The folder of the checkpoint.
        labels: The number of codes of the model.
        threshold: The model's threshold, in words.
        selection: Which codes the file has.
        cut: The notes of which the model reads only the beginning.
        editions: The editions of the model's codes; None: unknown.
        shard: The part of the notes that the file has; None: all.
    """

    output: Path
    notes: int
    checkpoint: Path
    labels: int
    threshold: str
    selection: Selection
    cut: CutNotes
    editions: Editions | None = None
    shard: Shard | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the values that ``icdcode predict --output FILE --json`` prints."""
        return {
            "output": self.output,
            **({} if self.shard is None else {"shard": str(self.shard)}),
            "notes": self.notes,
            "checkpoint": self.checkpoint,
            "editions": self.editions,
            "threshold": self.threshold,
            "top": self.selection.top,
            "min_score": self.selection.min_score,
            "accept_score": self.selection.accept_score,
            "cut_notes": self.cut.notes,
            "cut_notes_read": round(self.cut.mean_share, 6) if self.cut.notes else None,
        }


def output_path(name: Path | str) -> Path:
    """Return the path of an output file, or of its URL.

    Raises:
        ConfigError: If there can't be such a file.
    """
    try:
        return any_path(name)
    except OSError as error:
        raise ConfigError(f"--output {name}: can't be written ({error.strerror}).") from None
