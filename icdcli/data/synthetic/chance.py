"""Random draws that are the same in every Python version: only `Random.random` is used."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


def pick(rng: Random, choices: Sequence[T]) -> T:
    """Draw one of the choices."""
    return choices[int(rng.random() * len(choices))]


def between(rng: Random, low: int, high: int) -> int:
    """Draw an integer from low to high, both included."""
    return low + int(rng.random() * (high - low + 1))


def shuffled(rng: Random, items: Sequence[T]) -> list[T]:
    """Return the items in random order."""
    return [
        item
        for _, item in sorted(((rng.random(), item) for item in items), key=lambda pair: pair[0])
    ]
