"""Stores with invented notes, and people who visit their pages."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # for the modules that these tests share

from made_up_store import made_up_store
from visiting import PageVisitor, visitor_of

from icdcli.review.store import Store


@pytest.fixture
def new_store(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Return a function that makes a store with invented notes."""
    with ExitStack() as opened:

        def make(**options: object) -> Store:
            return opened.enter_context(made_up_store(tmp_path / "review.db", **options))

        yield make


@pytest.fixture
def store(new_store: Callable[..., Store]) -> Store:
    return new_store()


@pytest.fixture
def visitor(store: Store) -> PageVisitor:
    """Return the local user, who has opened the queue."""
    return visitor_of(store)
