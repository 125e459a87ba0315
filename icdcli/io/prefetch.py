"""Work that is done one item ahead of whoever uses its results."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def one_ahead(
    work: Callable[[Item], Result], items: Iterable[Item]
) -> Generator[Result, None, None]:
    """What the work makes of each item, in order; the next one is under way in another thread while one is used.

    Args:
        work: Called in the other thread, one item at a time; what it raises is raised where its result would have come.
        items: Taken in the caller's thread, one more than has been used.

    Yields:
        The results. Whoever stops early waits for the one under way.
    """
    with ThreadPoolExecutor(1) as background:
        coming: Future[Result] | None = None
        for item in items:
            done, coming = coming, background.submit(work, item)
            if done is not None:
                yield done.result()
        if coming is not None:
            yield coming.result()
