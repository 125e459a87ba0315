"""Where signs and boxes of a list stand: before their words, or after them."""

from icdcli.lexical.assertion.finder import BOXES
from icdcli.lexical.assertion.sentences import Sentence
from icdcli.lexical.assertion.tokens import Kind

SIGNS = frozenset("+-")


def signs_lead(sentence: Sentence, begin: int) -> bool:
    """Return if the first sign in brackets is before its word."""
    tokens = sentence.tokens
    for place in range(begin, len(tokens) - 3):
        if tokens[place] == "(" and tokens[place + 1] in SIGNS and tokens[place + 2] == ")":
            after = place + 3
            labels = tokens[place - 1] == ":" and ":" not in tokens[after:]
            return (place == begin or labels) and sentence.kinds[after] is Kind.WORD
    return False


def boxes_trail(sentence: Sentence, begin: int) -> bool:
    """Return if boxes are after their words: ``gout [ ] asthma [x]``; the last token is one."""
    tokens = sentence.tokens
    boxes = [place for place in range(begin, len(tokens)) if tokens[place] in BOXES]
    labeled = [tokens[place - 1] == ":" for place in boxes]
    return boxes[0] > begin and (not labeled[0] or all(labeled))
