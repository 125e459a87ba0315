"""What trees know about a pair of a mention and a code, besides the numbers of `MentionPairs`.

These are, for each pair:

- how many strings were marked for the code in training;
- for how many codes the mention is considered, the rank of the code among them, and how much less
  it is worth than the best;
- the most that another mention of the document is worth for the same code, and in how many mentions
  the code is considered;
- of the longer mentions that contain this one, and of the shorter ones inside it: the most that one
  is worth for any code, and the highest probability of its words.

The place in the document isn't among them: notes of other kinds are longer or shorter.

Shapes: C pairs, M mentions, L labels, X features.
"""

import numpy as np
from numpy.typing import NDArray

from icdcli.lexical.mentions.pairs import WORTH, MentionPairs
from icdcli.metrics.arrays import Floats

CONTEXT = 10
"""The number of these features."""

_NOTHING = -7.0
"""Log-odds below those of all pairs."""


def pair_context(found: MentionPairs, strings_L: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the numbers of pairs and these features, (C, X).

    Args:
        found: The pairs of a document.
        strings_L: How many strings were marked for each label.
    """
    mention_C, label_C = found.mention_C, found.label_C
    worth_C = found.features_CK[:, WORTH]
    number_M = np.bincount(mention_C, minlength=len(found.mentions))
    best_M = np.full(len(found.mentions), _NOTHING)
    np.maximum.at(best_M, mention_C, worth_C)
    of_document_CX = np.column_stack(
        [
            np.log1p(strings_L[label_C]),
            np.log(number_M[mention_C]),
            _ranks(mention_C, worth_C),
            best_M[mention_C] - worth_C,
            *_other_mentions(label_C, worth_C),
            *(each_M[mention_C] for each_M in _nested(found, best_M)),
        ]
    )
    return np.concatenate([found.features_CK, of_document_CX], axis=1).astype(np.float32)


def _ranks(group_C: NDArray[np.int64], worth_C: Floats) -> Floats:
    """Return the rank of each pair in its group, from 0."""
    order = np.lexsort((-worth_C, group_C))
    rank_C = np.empty(len(order))
    rank_C[order] = _places(group_C[order])
    return rank_C


def _places(group_C: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the place of each pair in its group; the pairs of a group are together."""
    begins = np.flatnonzero(np.diff(group_C, prepend=-1))
    return np.arange(len(group_C)) - np.repeat(begins, np.diff(begins, append=len(group_C)))


def _other_mentions(label_C: NDArray[np.int64], worth_C: Floats) -> tuple[Floats, Floats]:
    """Return the most that another mention is worth for the label, and their number."""
    order = np.lexsort((-worth_C, label_C))
    worth_S, place_S = worth_C[order], _places(label_C[order])
    first_S = np.arange(len(order)) - place_S
    last_S = np.append(place_S[1:] == 0, True)
    second_S = np.append(worth_S[1:], _NOTHING)
    other_C, number_C = np.empty((2, len(order)))
    # The best pair has the second as its rival, if there is one; the others have the best.
    other_C[order] = np.where(
        place_S == 0, np.where(last_S, _NOTHING, second_S), worth_S[first_S] if len(order) else 0
    )
    number_C[order] = np.bincount(first_S, minlength=len(order))[first_S]
    return other_C, number_C


def _nested(found: MentionPairs, best_M: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the worth and the probability of the best mention around each, and inside it."""
    mentions = len(found.mentions)
    begin_M, end_M = np.array([one[:2] for one in found.mentions], np.int64).reshape(-1, 2).T
    mean_M = np.array([one.mean for one in found.mentions])
    around_M, around_mean_M = np.full(mentions, _NOTHING), np.zeros(mentions)
    inside_M, inside_mean_M = around_M.copy(), around_mean_M.copy()
    # Mentions are in order: if none overlaps the one some places later, none does further on.
    for offset in range(1, mentions):
        first, second = np.arange(mentions - offset), np.arange(offset, mentions)
        if not (begin_M[second] < end_M[first]).any():
            break
        for longer, shorter in ((first, second), (second, first)):
            kept = (begin_M[longer] <= begin_M[shorter]) & (end_M[shorter] <= end_M[longer])
            outer, inner = longer[kept], shorter[kept]
            around_M[inner] = np.maximum(around_M[inner], best_M[outer])
            around_mean_M[inner] = np.maximum(around_mean_M[inner], mean_M[outer])
            inside_M[outer] = np.maximum(inside_M[outer], best_M[inner])
            inside_mean_M[outer] = np.maximum(inside_mean_M[outer], mean_M[inner])
    return around_M, around_mean_M, inside_M, inside_mean_M
