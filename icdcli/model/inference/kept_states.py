"""The hidden states of the last forward passes, for networks that share a backbone.

The first network of an ensemble that reads a note computes its hidden states, and the others take
them from here.
"""

from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor

from icdcli.model.batch import Batch, Segments

MOST_BYTES = 1 << 30
"""The most memory; the states of the earliest passes are dropped beyond it."""

_Key = tuple[bytes, tuple[int, ...] | bytes, bytes]


class KeptStates:
    """Hidden states by what a forward pass reads.

    Attributes:
        passes: The number of passes that were computed so far.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.passes = 0
        self._most, self._bytes = most_bytes, 0
        self._states: OrderedDict[_Key, Tensor] = OrderedDict()

    def of(self, batch: Batch, compute: Callable[[Batch], Tensor]) -> Tensor:
        """Return the hidden states of a batch, which may be kept from the pass of another network.

        Args:
            batch: The documents, by their token ids.
            compute: Computes them.
        """
        key = _key_of(batch)
        found = self._states.get(key)
        if found is None:
            self.passes += 1
            found = compute(batch)
            self._keep(key, found)
        return found

    def clear(self) -> None:
        """Drop all states: no other network will read these documents."""
        self._states.clear()
        self._bytes = 0

    def _keep(self, key: _Key, states_TD: Tensor) -> None:
        self._states[key] = states_TD
        self._bytes += states_TD.nbytes
        while self._bytes > self._most:
            _, dropped = self._states.popitem(last=False)
            self._bytes -= dropped.nbytes


def _key_of(batch: Batch) -> _Key:
    """Return all that hidden states depend on, beside the backbone."""
    layout, kept_T = batch.layout, batch.kept_T
    assert batch.ids is not None
    return (
        _bytes(batch.ids),
        layout.lengths if isinstance(layout, Segments) else _bytes(layout),
        _bytes(kept_T),
    )


def _bytes(tensor: Tensor | None) -> bytes:
    return b"" if tensor is None else tensor.cpu().numpy().tobytes()
