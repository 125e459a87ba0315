"""Measure whether a model relies on the words that count most, by its scores without them.

With p(x) for the score of a code in note x and e for the words (ERASER, DeYoung et al. 2020):

    comprehensiveness = p(x) - p(x without e)      high if e was needed
    sufficiency       = p(x) - p(e alone)          low if e is enough

Here e is the share `SHARE` of the note's words that count most: one point of the area over the
perturbation curve, which averages these differences over several shares. Words are removed, not
masked, since not every tokenizer has a mask token.

Shapes: N notes, W words, L labels, K some of these.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SHARE = 0.1

Score = Callable[[Sequence[str]], NDArray[np.float32]]
"""Scores notes: scores_NL."""


class Faithfulness(NamedTuple):
    """The faithfulness of some words as evidence for each code.

    Attributes:
        comprehensiveness_K: The drop of the score without the words.
        sufficiency_K: The drop of the score with only these words.
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
    """Score a note again without the words that count most for a code, and with only them.

    Args:
        score: Scores notes; it is called once.
        text: The note.
        words: The beginning and end of each word in it.
        weights_KW: The weight of each word for each code; among equal weights, the first words are
            taken.
        labels: The codes.
        share: The share of the words to take; at least one word is taken.
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
    """Return a text without some of its words, which are given in order."""
    borders = [0, *(border for word in words for border in word), len(text)]
    return "".join(text[begin:end] for begin, end in zip(borders[::2], borders[1::2], strict=True))
