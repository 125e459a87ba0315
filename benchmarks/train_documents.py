"""Documents for `train.py`: made-up token ids of real lengths, with a rule that can be learned, and the order they are read in.

Every label has a few token ids of its own, and a document holds more of those of its labels than of others. No text is needed,
and the same seed gives the same documents on any machine.

Shapes: N documents, L labels.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LABELS, LABELS_A_DOCUMENT = 50, 4.0
VOCABULARY, IDS_A_LABEL, SHARE_OF_RULE = 8_192, 8, 0.3
TOKENS_A_WORD = 400 / 298
# Median and standard deviation of the logarithm, in tokens. CodiEsp: fitted to its 750 English cases. MIMIC-III: this deviation
# gives, at 1.5 tokens a word, the mean of 1,513 words that Mullenbach et al. (2018) counted.
LOG_NORMAL = {"codiesp": (361.0, 0.474), "mimic": (1_900.0, 0.6)}


@dataclass(frozen=True)
class Documents:
    """What all sides train on.

    Attributes:
        ids: Each document's token ids, cut.
        targets: Each document's label indices, ascending.
        order: The documents of each step.
    """

    ids: list[NDArray[np.uint32]]
    targets: list[NDArray[np.int32]]
    order: list[NDArray[np.int64]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each document."""
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
    """Make documents, and draw which of them make which step.

    A step's documents are drawn as Hugging Face's Trainer does by itself, at random, each once a pass. icdcode's own plan puts
    documents of like length together, which without padding makes no difference to its speed.

    Args:
        lengths: ``codiesp`` or ``mimic``.
        codiesp: The published folder, for its real lengths; None draws them from the log-normal distribution fitted to them.
        count: Different documents.
        max_len: Where they are cut.
        steps: How many steps there will be.
        batch_size: Documents a step.
        seed: What all draws follow from.
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
        0.9, frequency_L * LABELS_A_DOCUMENT / frequency_L.sum()
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
    """Random ids, some of them replaced by those of the document's labels; 0 is kept for padding."""
    ids = draw.integers(1, VOCABULARY, length)
    if len(labels):
        of_the_rule = (
            1 + draw.choice(labels, length) * IDS_A_LABEL + draw.integers(0, IDS_A_LABEL, length)
        )
        ids = np.where(draw.random(length) < SHARE_OF_RULE, of_the_rule, ids)
    return ids.astype(np.uint32)


def _real_lengths(folder: Path) -> NDArray[np.float64]:
    """Tokens of CodiEsp's English cases, estimated from their words."""
    files = sorted(folder.glob("*/text_files_en/*.txt"))
    return (
        np.array([len(file.read_text(encoding="utf-8").split()) for file in files]) * TOKENS_A_WORD
    )
