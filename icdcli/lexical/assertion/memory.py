"""A reader that remembers what it has read: the parts of a model read the same notes several times.

Only the classes are kept, with a digest of the text, not the text itself.
"""

from functools import cache
from hashlib import blake2b
from threading import Lock

import numpy as np

from icdcli.lexical.assertion.classes import Assertions
from icdcli.lexical.assertion.reader import AssertionReader, reader_of

MOST_TEXTS = 1 << 16
"""The texts that are remembered: discharge summaries take about 25 MB."""
_MOST_STRETCHES = 2_000
_DIGEST = 16
_WITHOUT_FAMILY = b"without family"


class RememberingReader:
    """An assertion reader that reads a text once; of very long texts, it remembers the last."""

    def __init__(self, reader: AssertionReader, most_texts: int = MOST_TEXTS) -> None:
        """Remember what a reader reads.

        Args:
            reader: The reader.
            most_texts: The number of texts to remember; the oldest are forgotten.
        """
        self._reader, self._most = reader, most_texts
        self._known: dict[bytes, tuple[bytes, bytes]] = {}
        self._long: dict[bytes, Assertions] = {}
        self._lock = Lock()

    def read(self, text: str) -> Assertions:
        """Return the assertion class of every character of a text; see `AssertionReader.read`."""
        key = _key(text)
        return self._remembered(key) or self._remember(key, self._reader.read(text))

    def read_twice(self, text: str) -> tuple[Assertions, Assertions]:
        """Return the classes, and those without relatives; see `AssertionReader.read_twice`."""
        key = _key(text)
        read, without = self._remembered(key), self._remembered(key + _WITHOUT_FAMILY)
        if read is None or without is None:
            read, without = self._reader.read_twice(text)
            self._remember(key, read)
            self._remember(key + _WITHOUT_FAMILY, without)
        return read, without

    def _remembered(self, key: bytes) -> Assertions | None:
        if (known := self._known.get(key)) is not None:
            starts, classes = known
            return Assertions(
                np.frombuffer(starts, np.int32).astype(np.int64), np.frombuffer(classes, np.uint8)
            )
        return self._long.get(key)

    def _remember(self, key: bytes, read: Assertions) -> Assertions:
        with self._lock:
            if len(read.starts_S) <= _MOST_STRETCHES:
                if len(self._known) >= self._most:
                    del self._known[next(iter(self._known))]
                self._known[key] = (
                    read.starts_S.astype(np.int32).tobytes(),
                    read.classes_S.tobytes(),
                )
            else:
                if not any(key.startswith(other[:_DIGEST]) for other in self._long):
                    self._long.clear()
                self._long[key] = read
        return read


def _key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest()


@cache
def remembering_reader(cues: str) -> RememberingReader:
    """Return the reader of a table of cues that remembers, made once per process.

    Args:
        cues: The content of the table; see `icdcli.lexical.assertion.cues`.
    """
    return RememberingReader(reader_of(cues))
