"""What trees know about pairs, compared with plain loops."""

import numpy as np
import pytest

from icdcli.lexical.mentions.pair_context import CONTEXT, pair_context
from icdcli.lexical.mentions.pairs import NUMBERS, WORTH, MentionPairs
from icdcli.lexical.mentions.tagger import TaggedMention

LABELS, WORDS = 5, 40
DRAW = np.random.default_rng(0)


def made_up(mentions: int) -> MentionPairs:
    """Return pairs of mentions, some of which overlap."""
    stretches = {
        (begin, min(begin + int(length), WORDS))
        for begin, length in zip(
            DRAW.integers(0, WORDS - 1, mentions).tolist(),
            DRAW.integers(1, 7, mentions),
            strict=True,
        )
    }
    found = [
        TaggedMention(begin, end, float(DRAW.random()), 0.0, 0.0, 0.0)
        for begin, end in sorted(stretches)
    ]
    pairs = [
        (place, label)
        for place in range(len(found))
        for label in range(LABELS)
        if DRAW.random() < 0.4
    ]
    mention_C, label_C = np.array(pairs, np.int64).reshape(-1, 2).T
    return MentionPairs(found, mention_C, label_C, DRAW.normal(size=(len(pairs), NUMBERS)))


def by_loops(found: MentionPairs, strings_L: np.ndarray) -> list[list[float]]:
    """Return the same as `pair_context`, without the numbers of the pairs themselves."""
    worth = found.features_CK[:, WORTH].tolist()
    pairs = list(zip(found.mention_C.tolist(), found.label_C.tolist(), worth, strict=True))
    mentions = found.mentions

    def best_of(mention: int) -> float:
        return max((own for at, _, own in pairs if at == mention), default=-7.0)

    rows = []
    for at, label, own in pairs:
        begin, end = mentions[at][:2]
        rivals = [other for place, _, other in pairs if place == at]
        elsewhere = [w for place, code, w in pairs if code == label and place != at]
        others = [place for place in range(len(mentions)) if place != at]
        around = [p for p in others if mentions[p].begin <= begin and end <= mentions[p].end]
        inside = [p for p in others if begin <= mentions[p].begin and mentions[p].end <= end]
        rows.append(
            [
                np.log1p(strings_L[label]),
                np.log(len(rivals)),
                sum(other > own for other in rivals),
                max(rivals) - own,
                max(elsewhere, default=-7.0),
                len(elsewhere) + 1,
                max(map(best_of, around), default=-7.0),
                max((mentions[p].mean for p in around), default=0),
                max(map(best_of, inside), default=-7.0),
                max((mentions[p].mean for p in inside), default=0),
            ]
        )
    return rows


@pytest.mark.parametrize("mentions", [1, 2, 7, 30])
def test_the_features_are_those_of_plain_loops(mentions):
    found, strings_L = made_up(mentions), DRAW.integers(0, 9, LABELS)
    features_CX = pair_context(found, strings_L)
    assert features_CX.shape == (len(found.label_C), NUMBERS + CONTEXT)
    assert np.array_equal(features_CX[:, :NUMBERS], found.features_CK.astype(np.float32))
    expected = np.array(by_loops(found, strings_L), np.float32).reshape(-1, CONTEXT)
    assert np.allclose(features_CX[:, NUMBERS:], expected)


def test_a_document_without_mentions_has_none():
    nothing = MentionPairs([], *np.zeros((2, 0), np.int64), np.zeros((0, NUMBERS)))
    assert pair_context(nothing, np.ones(LABELS, np.int64)).shape == (0, NUMBERS + CONTEXT)
