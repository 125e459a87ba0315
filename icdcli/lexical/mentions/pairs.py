"""The pairs of a mention and a code that are worth considering.

Shapes: C pairs of a mention and a code, K numbers.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from icdcli.lexical.mentions.tagger import TaggedMention

NUMBERS = 14
"""How many numbers are known about a pair by itself."""

WORTH = 7
"""The column with the log-odds of what the mention is worth for the code."""


class MentionPairs(NamedTuple):
    """The pairs of a document.

    Attributes:
        mentions: The mentions of the document, in order.
        mention_C: The mention of each pair.
        label_C: Its label.
        features_CK: The numbers that are known about it.
    """

    mentions: list[TaggedMention]
    mention_C: NDArray[np.int64]
    label_C: NDArray[np.int64]
    features_CK: NDArray[np.float64]
