"""What the second pass of a tagger knows about a word.

These are, for each word:

- the log-odds of the first pass, of the word and of three words on either side;
- of the marked strings that cover the word: the share of documents in which the likeliest was
  marked if they contain it, its length and how often it was marked; the share and the length of the
  longest; their number; the largest share of those that begin here; and the share of the longest
  string that covers each of the words beside it;
- how often the word occurs in training, its share inside mentions, and that of the words beside it;
- its place in the document and the number of words of the document, which only the trees of
  earlier checkpoints ask for (`PLACE`), and the number of its letters.

Shapes: W words of a document, M matches of marked strings, X features.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from icdcli.lexical.mentions.marked_strings import (
    Hashes,
    MarkedStrings,
    OwnCounts,
    StringMatches,
)
from icdcli.lexical.mentions.word_features import stem_hashes
from icdcli.metrics.arrays import Floats

PLACE = slice(-3, -1)
"""The columns of the place and of the document's length: new trees are fitted without them, because
they mislead in shorter notes than those of training."""

_AROUND, _FAR = 3, -6.0
_PRIOR = 2.0
_SURE = 1e-5
_SHARE_OF_LONGEST = 3  # its column in `_of_strings`


def context_features(
    document: Sequence[str],
    likely_W2: Floats,
    strings: MarkedStrings,
    own: OwnCounts | None = None,
) -> NDArray[np.float32]:
    """Return the features of a document's words, (W, X).

    Args:
        document: Its folded words.
        likely_W2: The probabilities of the first pass.
        strings: The counts of training.
        own: What the document itself added to the counts, which is left out.
    """
    number, hash_W = len(document), stem_hashes(document)
    clipped_W2 = np.clip(likely_W2, _SURE, 1 - _SURE)
    padded = np.pad(
        np.log(clipped_W2 / (1 - clipped_W2)), ((_AROUND, _AROUND), (0, 0)), constant_values=_FAR
    )
    columns = [padded[offset : offset + number] for offset in range(2 * _AROUND + 1)]
    of_strings_WX = _of_strings(number, strings.matches(hash_W), strings, own)
    longest_W = of_strings_WX[:, _SHARE_OF_LONGEST]
    inside_W, words_W = _of_words(hash_W, strings, own)
    of_word_WX = np.column_stack(
        [
            *(inside_W, np.log1p(words_W), *_beside(inside_W), *_beside(longest_W)),
            *(np.arange(number) / max(number, 1), np.full(number, np.log(max(number, 1)))),
            [len(word) for word in document],
        ]
    )
    return np.concatenate([*columns, of_strings_WX, of_word_WX], axis=1).astype(np.float32)


def _of_strings(
    number: int, found: StringMatches, strings: MarkedStrings, own: OwnCounts | None
) -> Floats:
    """Return the features that come from the strings covering each word, (W, 7)."""
    marked_S, contain_S = strings.marked_S, strings.contain_S
    if own is not None:
        marked_S, contain_S = marked_S - own.marked_S, contain_S - own.contain_S
    kept_M = marked_S[found.string_M] > 0
    begin_M, length_M, string_M = (each[kept_M] for each in found)
    marked_M = marked_S[string_M]
    share_M = marked_M / (np.maximum(contain_S[string_M], marked_M) + 1)
    # Every word that a match covers.
    match_X = np.repeat(np.arange(len(begin_M)), length_M)
    first_X = np.repeat(np.cumsum(length_M) - length_M, length_M)
    word_X = begin_M[match_X] + np.arange(len(match_X)) - first_X
    values_MY = np.column_stack([share_M, length_M, np.log1p(marked_M)])

    def of_highest(*keys: NDArray[np.generic]) -> Floats:
        """Return the values of the match with the highest last key that covers each word."""
        order = np.lexsort(keys)
        rank_M, rank_W = np.empty(len(order), np.int64), np.full(number, -1)
        rank_M[order] = np.arange(len(order))
        np.maximum.at(rank_W, word_X, rank_M[match_X])
        values_WY = np.zeros((number, values_MY.shape[1]))
        values_WY[rank_W >= 0] = values_MY[order[rank_W[rank_W >= 0]]]
        return values_WY

    begins_W = np.zeros(number)
    np.maximum.at(begins_W, begin_M, share_M)
    likeliest_WY = of_highest(length_M, share_M)
    longest_WY = of_highest(share_M, length_M)
    covering_W = np.bincount(word_X, minlength=number)
    return np.column_stack([likeliest_WY, longest_WY[:, :2], covering_W, begins_W])


def _of_words(
    hash_W: Hashes, strings: MarkedStrings, own: OwnCounts | None
) -> tuple[Floats, Floats]:
    """Return the share of each word's occurrences inside mentions, and their number."""
    inside_V, words_V = strings.inside_V, strings.words_V
    if own is not None:
        inside_V, words_V = inside_V - own.inside_V, words_V - own.words_V
    prior = inside_V.sum() / max(words_V.sum(), 1)
    place_W, known_W = strings.words(hash_W)
    if not len(words_V):
        return np.full(len(hash_W), prior), np.zeros(len(hash_W))
    inside_W, words_W = (np.where(known_W, each[place_W], 0) for each in (inside_V, words_V))
    return (inside_W + _PRIOR * prior) / (words_W + _PRIOR), words_W.astype(np.float64)


def _beside(values_W: Floats) -> tuple[Floats, Floats]:
    """Return the values of the next word and of the one before; 0 if there is none."""
    padded = np.concatenate([[0.0], values_W, [0.0]])
    return padded[2:], padded[:-2]
