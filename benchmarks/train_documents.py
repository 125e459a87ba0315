"""Documents for `train.py`: made-up token ids of realistic lengths with a rule that can be learned.

Each label has a few token ids of its own, and a document has more of those of its labels than of
others. No text is needed, and the same seed gives the same documents on any machine.

Shapes: N documents, L labels.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LABELS, LABELS_PER_DOCUMENT = 50, 4.0
VOCABULARY, IDS_PER_LABEL, SHARE_OF_RULE = 8_192, 8, 0.3
TOKENS_PER_WORD = 400 / 298
# Median and standard deviation of the logarithm, in tokens. CodiEsp: fitted to its 750 English
# cases. MIMIC-III: with 1.5 tokens per word, this deviation gives the mean of 1,513 words of
# Mullenbach et al. (2018).
LOG_NORMAL = {"codiesp": (361.0, 0.474), "mimic": (1_900.0, 0.6)}


@dataclass(frozen=True)
class Documents:
    """The documents that all sides train on.

    Attributes:
        ids: Each document's token ids, truncated.
        targets: Each document's label indices, ascending.
        order: The documents of each step.
    """

    ids: list[NDArray[np.uint32]]
    targets: list[NDArray[np.int32]]
    order: list[NDArray[np.int64]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Return the tokens of each document."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)


def documents(
    lengths: str,
    codiesp: Path | None,
    count: int,
    max_len: int,
    steps: int,
    batch_size: int,
    seed: int,
) -> Documents:
    """Make documents, and draw the documents of each step.

    They are drawn as Hugging Face's Trainer does by default: at random, each once per pass.
    icdcode's own plan puts documents of similar length together, which doesn't change its speed
    without padding.

    Args:
        lengths: ``codiesp`` or ``mimic``.
        codiesp: The published folder, for its real lengths; None draws lengths from the log-normal
            distribution fitted to them.
        count: The number of documents.
        max_len: The most tokens of a document.
        steps: The number of steps.
        batch_size: Documents per step.
        seed: The seed of all draws.
    """
    draw = np.random.default_rng(seed)
    if codiesp is not None:
        lengths_N = draw.permutation(np.resize(_real_lengths(codiesp), count))
    else:
        median, deviation = LOG_NORMAL[lengths]
        lengths_N = draw.lognormal(np.log(median), deviation, count)
    lengths_N = np.clip(lengths_N.round().astype(np.int64), 4, max_len)
    frequency_L = 1 / np.sqrt(np.arange(1, LABELS + 1))
    targets_NL = draw.random((count, LABELS)) < np.minimum(
        0.9, frequency_L * LABELS_PER_DOCUMENT / frequency_L.sum()
    )
    targets = [np.flatnonzero(row).astype(np.int32) for row in targets_NL]
    ids = [_tokens(length, labels, draw) for length, labels in zip(lengths_N, targets, strict=True)]
    passes = [draw.permutation(count) for _ in range(-(-steps * batch_size // count))]
    return Documents(
        ids, targets, list(np.concatenate(passes)[: steps * batch_size].reshape(steps, batch_size))
    )


def _tokens(
    length: int, labels: NDArray[np.int32], draw: np.random.Generator
) -> NDArray[np.uint32]:
    """Draw token ids, some of them those of the document's labels; 0 is for padding."""
    ids = draw.integers(1, VOCABULARY, length)
    if len(labels):
        of_the_rule = (
            1
            + draw.choice(labels, length) * IDS_PER_LABEL
            + draw.integers(0, IDS_PER_LABEL, length)
        )
        ids = np.where(draw.random(length) < SHARE_OF_RULE, of_the_rule, ids)
    return ids.astype(np.uint32)


def _real_lengths(folder: Path) -> NDArray[np.float64]:
    """Estimate the tokens of CodiEsp's English cases from their words."""
    files = sorted(folder.glob("*/text_files_en/*.txt"))
    return (
        np.array([len(file.read_text(encoding="utf-8").split()) for file in files])
        * TOKENS_PER_WORD
    )
