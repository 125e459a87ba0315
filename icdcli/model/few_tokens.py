"""A trial on a few tokens: is a network's result the same if it is computed in another way?

Shapes: T tokens, D width.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from torch import Tensor

from icdcli.data.batching import Ids, TokenizedDocument, collate
from icdcli.model.batch import Batch
from icdcli.model.network import CodingNetwork

LENGTHS = (9, 9, 5)  # two of the same length, which attention computes together
_WINDOW = 3

EXACT = 1e-4
"""The largest relative difference of hidden states, if the network computes in float32."""

_ROUNDED = 0.1
"""The largest difference of hidden states otherwise, relative to the difference that other tokens
make. Half precision rounds every product, and kernels for packed and for padded documents round in
other places."""


def few_documents(network: CodingNetwork) -> tuple[list[Ids], list[Ids]]:
    """Return a few documents, and others that have other tokens in every second position."""
    settings: Any = network.backbone.config
    positions = [np.arange(length) for length in LENGTHS]
    documents: list[Ids] = [(4 + position) % settings.vocab_size for position in positions]
    others: list[Ids] = [
        (4 + position + (position % 2 == 0) * 20) % settings.vocab_size for position in positions
    ]
    return documents, others


def states_of(network: CodingNetwork, documents: list[Ids]) -> Tensor:
    """Return hidden_TD of the documents' tokens in float32, one document after another."""
    parts = [TokenizedDocument.whole(ids) for ids in documents]
    batch = Batch.of(collate(parts, 0, network.padding))
    return network.hidden_states(batch.to(network.device)).float()


def difference(found_TD: Tensor, expected_TD: Tensor) -> float:
    """Return the mean relative difference per token: a few have far longer vectors than others."""
    return float(((found_TD - expected_TD).norm(dim=1) / expected_TD.norm(dim=1)).mean())


def allowed_difference(network: CodingNetwork, otherwise: Tensor, expected: Tensor) -> float:
    """Return the largest difference that can come from rounding.

    Args:
        network: The network.
        otherwise: Hidden states of other tokens.
        expected: The hidden states to compare with.
    """
    return EXACT if network.autocast is None else _ROUNDED * difference(otherwise, expected)


@contextmanager
def in_evaluation(network: CodingNetwork) -> Iterator[None]:
    """Switch dropout off in the block, and make a sliding window shorter than the documents."""
    settings: Any = network.backbone.config
    window = getattr(settings, "sliding_window", None)
    training = network.training
    network.eval()
    if window is not None:
        settings.sliding_window = _WINDOW
    try:
        yield
    finally:
        if window is not None:
            settings.sliding_window = window
        network.train(training)
