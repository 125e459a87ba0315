"""Evidence that was annotated in a text, carried over to the text's translation."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from icdcli.data.sources.admission import AnnotatedSpan
from icdcli.data.sources.translations.alignment import TextWords, WordAlignment

_LEAST_SHARE = 0.5
"""How likely the words behind a word of the translation must be annotated ones."""


def carry_over(
    alignment: WordAlignment, text: str, translation: str, spans: Sequence[AnnotatedSpan]
) -> tuple[AnnotatedSpan, ...]:
    """Return the annotations of a text as spans of its translation.

    Words next to each other are one fragment. An annotation without counterpart is left out.
    """
    source, target = TextWords.of(text), TextWords.of(translation)
    if not source.words or not target.words:
        return ()
    sources_C, targets_C, shares_C = alignment.sources_behind(source.words, target.words)
    carried: list[AnnotatedSpan] = []
    for group in dict.fromkeys(span.group for span in spans):
        fragments = [span for span in spans if span.group == group]
        annotated = np.array(
            [any(begin < each.end and end > each.begin for each in fragments)
             for begin, end in source.places]
        )  # fmt: skip
        share_T = np.bincount(targets_C, shares_C * annotated[sources_C], len(target.words))
        carried += [
            AnnotatedSpan(fragments[0].code, target.places[first][0], target.places[last][1], group)
            for first, last in _runs(np.flatnonzero(share_T >= _LEAST_SHARE).tolist())
        ]
    return tuple(carried)


def _runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and last of each run of consecutive numbers."""
    if not places:
        return []
    breaks = [(left, right) for left, right in pairwise(places) if right > left + 1]
    firsts = [places[0], *(right for _, right in breaks)]
    lasts = [*(left for left, _ in breaks), places[-1]]
    return list(zip(firsts, lasts, strict=True))
