"""What is known about a checkpoint of any kind without loading the model."""

from dataclasses import dataclass
from pathlib import Path

from icdcli.data.corpus.reader import Labels
from icdcli.errors import ResumeError
from icdcli.io.manifest import manifest_sha256
from icdcli.model.files.checkpoint_files import peek_settings
from icdcli.model.files.checkpoint_labels import checkpoint_labels
from icdcli.model.threshold import Threshold


@dataclass(frozen=True)
class CheckpointFacts:
    """What is known about a checkpoint.

    Attributes:
        manifest: The hash of its manifest.
        labels: The label space.
        threshold: The threshold.
        max_len: The most tokens of a note that the model reads at once.
    """

    manifest: str
    labels: Labels
    threshold: Threshold
    max_len: int


def checkpoint_facts(folder: Path) -> CheckpointFacts:
    """Read what is known about a checkpoint; its weights are neither read nor verified.

    Raises:
        ResumeError: If its settings can't be read.
    """
    settings = peek_settings(folder)
    try:
        threshold = Threshold.from_json(settings["threshold"])
        max_len = int(settings["model"]["max_len"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ResumeError(
            f"{folder}: its settings are missing or damaged. Restore the checkpoint."
        ) from None
    return CheckpointFacts(manifest_sha256(folder), checkpoint_labels(folder), threshold, max_len)
