"""Work that is done one item ahead of its use, in another thread."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def one_ahead(
    work: Callable[[Item], Result], items: Iterable[Item]
) -> Generator[Result, None, None]:
    """Apply a function to each item, in order; the next result is computed while one is used.

    Args:
        work: The function. It is called in the other thread, for one item at a time; an exception
            is raised instead of its result.
        items: The items, which are taken in the caller's thread, one ahead.

    Yields:
        The results. A caller who stops early waits for the one being computed.
    """
    with ThreadPoolExecutor(1) as background:
        coming: Future[Result] | None = None
        for item in items:
            done, coming = coming, background.submit(work, item)
            if done is not None:
                yield done.result()
        if coming is not None:
            yield coming.result()
