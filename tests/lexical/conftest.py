"""Synthetic notes: each code has words of its own, mixed with words of no code."""

from random import Random
from typing import NamedTuple

import numpy as np
import pytest

SYLLABLES = [first + second for first in "bdfglmnprstv" for second in "aeiou"]


class Notes(NamedTuple):
    texts: list
    targets: list
    annotations: list
    names: list


@pytest.fixture(scope="session")
def synthetic_notes():
    """Return a function that makes notes, the same for the same numbers."""

    def make(documents=40, labels=12):
        random = Random(documents * 1000 + labels)
        words = ["".join(random.choices(SYLLABLES, k=4)) for _ in range(400)]
        names = [" ".join(words[2 * label : 2 * label + 2]) for label in range(labels)]
        notes = Notes([], [], [], names)
        for _ in range(documents):
            mine = sorted(random.sample(range(labels), random.randint(1, 3)))
            parts = [names[label] for label in mine] + random.choices(words[2 * labels :], k=30)
            random.shuffle(parts)
            notes.texts.append(" ".join(parts))
            notes.targets.append(np.array(mine, np.int32))
            notes.annotations.append([(label, names[label]) for label in mine])
        return notes

    return make
