"""Python's garbage collector, paused while a lot is made that stays."""

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collection() -> Iterator[None]:
    """Don't look for garbage in the block.

    Imports and loaded models are millions of objects that stay. Looking through them again and
    again takes a fifth of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def import_quickly(module: str) -> None:
    """Import a module and all that it imports, for a process that runs one command.

    What was imported is never looked through for garbage.
    """
    if module in sys.modules:
        return
    with paused_collection():
        importlib.import_module(module)
    gc.freeze()
