"""Whether a coder went by the words that count most: its scores without them, and with them alone.

With p(x) for the score of a code in note x and e for the words (ERASER, DeYoung et al. 2020):

    comprehensiveness = p(x) - p(x without e)      high where e was needed
    sufficiency       = p(x) - p(e alone)          low where e is enough

Here e are the `SHARE` of the note's words that count most: one point of the area over the perturbation curve, for which these
differences are averaged over several shares. Words are taken out, not masked: not every tokenizer has a mask.

Shapes: K codes that are asked for, W words, L labels.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SHARE = 0.1

Score = Callable[[Sequence[str]], NDArray[np.float32]]
"""How a coder scores notes: scores_NL."""


class Faithfulness(NamedTuple):
    """What became of the codes' scores.

    Attributes:
        comprehensiveness_K: By how much they fall without the words.
        sufficiency_K: By how much they fall with nothing else.
    """

    comprehensiveness_K: NDArray[np.float64]
    sufficiency_K: NDArray[np.float64]


def faithfulness(
    score: Score,
    text: str,
    words: Sequence[tuple[int, int]],
    weights_KW: NDArray[np.floating],
    labels: Sequence[int],
    share: float = SHARE,
) -> Faithfulness:
    """Score a note again without the words that count most for a code, and with them alone.

    Args:
        score: Scores notes; it is called once.
        text: The note.
        words: Where each word begins and ends in it.
        weights_KW: How much each word counts for each code; of words that count the same the first are taken.
        labels: The codes.
        share: How many of the words are taken; at least one is.
    """
    taken = max(1, round(share * len(words)))
    notes = [text]
    for weights_W in weights_KW:
        chosen = sorted(np.argsort(-weights_W, kind="stable")[:taken].tolist())
        notes += [
            without(text, [words[word] for word in chosen]),
            " ".join(text[slice(*words[word])] for word in chosen),
        ]
    scores_NL = score(notes).astype(np.float64)
    rows, columns = 2 * np.arange(len(labels)), np.asarray(labels)
    whole_K = scores_NL[0, columns]
    return Faithfulness(
        whole_K - scores_NL[1 + rows, columns], whole_K - scores_NL[2 + rows, columns]
    )


def without(text: str, words: Sequence[tuple[int, int]]) -> str:
    """A text without some of its words, which are given in order."""
    borders = [0, *(border for word in words for border in word), len(text)]
    return "".join(text[begin:end] for begin, end in zip(borders[::2], borders[1::2], strict=True))
