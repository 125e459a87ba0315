"""Words with one wrong letter, as a keyboard produces them.

Damerau (1964) found that one letter too few, too many, wrong, or exchanged with its neighbor
accounts for most misspellings. A wrong or additional letter is a neighbor on the keyboard.
"""

import random
import re

KINDS = ("exchange", "substitution", "deletion", "insertion")
"""The kinds of typos."""
LETTERS = 7
"""The shortest word that gets a typo."""

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def _neighbors() -> dict[str, str]:
    places = {char: (x + y / 2, y) for y, row in enumerate(_ROWS) for x, char in enumerate(row)}
    return {
        char: "".join(
            other
            for other, (x, y) in places.items()
            if other != char and abs(x - place[0]) <= 1 and abs(y - place[1]) <= 1
        )
        for char, place in places.items()
    }


_NEIGHBORS = _neighbors()


def with_typo(name: str, kind: str, seed: str) -> str | None:
    """Return a name with one typo in one of its long words; None if it has none.

    The first letter of the word is right, as in most typos (Pollock and Zamora 1984).

    Args:
        name: The name.
        kind: One of `KINDS`.
        seed: The same seed gives the same typo.
    """
    rng = random.Random(seed)
    words = list(re.finditer(rf"[^\W\d_]{{{LETTERS},}}", name))
    if not words:
        return None
    chosen = rng.choice(words)
    word, begin = chosen.group(), chosen.start()
    places = [
        place
        for place in range(1, len(word) - (kind == "exchange"))
        if (kind != "exchange" or word[place] != word[place + 1])
        and (kind == "deletion" or word[place].lower() in _NEIGHBORS or kind == "exchange")
    ]
    if not places:
        return None
    place = rng.choice(places)
    before, char, after = word[:place], word[place], word[place + 1 :]
    if kind == "exchange":
        wrong = before + after[0] + char + after[1:]
    elif kind == "deletion":
        wrong = before + after
    else:
        other = rng.choice(_NEIGHBORS[char.lower()])
        wrong = before + (char if kind == "insertion" else "") + other + after
    return name[:begin] + wrong + name[begin + len(word) :]
