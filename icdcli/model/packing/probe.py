"""Find out by a trial whether a network can read packed documents.

Shapes: T tokens, D width.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from icdcli.data.batching import Ids, Padding, TokenizedDocument, collate
from icdcli.errors import ConfigError
from icdcli.model.batch import Batch
from icdcli.model.network import CodingNetwork
from icdcli.model.packing.attention import PackedForm

WantedPadding = Literal["auto", "free", "batch"]
"""``padding`` of the configuration."""

_LENGTHS = (9, 9, 5)  # two of the same length, which attention computes together
_WINDOW = 3
_LAYERS = {"full_attention", "sliding_attention"}

_EXACT = 1e-4
"""The largest relative difference of hidden states, if the network computes in float32."""

_ROUNDED = 0.1
"""The largest difference of hidden states otherwise, relative to the difference that other tokens
in every other position make. Eight-bit weights alone change hidden states by a few per cent, since
the rounding of a token depends on its neighbors, padded or not."""


def choose_padding(network: CodingNetwork, wanted: WantedPadding) -> Padding:
    """Let a network read packed documents if that is wanted and possible.

    It is possible if the tokens' hidden states are the same as with padded documents. A trial on a
    few tokens finds out, on the network's device and in its precision. No random number is drawn.

    Args:
        network: The network. Its mode is restored; it reads documents as returned from now on.
        wanted: ``padding`` of the configuration.

    Returns:
        The padding that the network needs, as in `CodingNetwork.padding`.

    Raises:
        ConfigError: If `wanted` is ``free`` and the architecture can't read packed documents.
    """
    _use_padding(network)
    reason = None if wanted == "batch" else _reason_against(network)
    if wanted == "free" and reason is not None:
        settings: Any = network.backbone.config
        raise ConfigError(
            f"padding: free: this architecture ({settings.model_type}) can't read packed "
            f"documents: {reason}. Set padding: auto."
        )
    if wanted != "batch" and reason is None:
        network.packed = PackedForm.install(network.backbone)
    elif _depends_on_padding(network):
        network.without_padding = True
        settings = network.backbone.config
        network.on_warning(
            f"this architecture ({settings.model_type}) takes padding for text: a document's "
            "scores would depend on the length of the others. So documents of one length are read "
            "at a time, which is slower"
        )
    return network.padding


def _use_padding(network: CodingNetwork) -> None:
    if network.packed is not None:
        network.packed.uninstall(network.backbone)
        network.packed = None
    network.without_padding = False


def _reason_against(network: CodingNetwork) -> str | None:
    """Return why the network can't read packed documents; None if it can."""
    settings: Any = network.backbone.config
    unknown = sorted(set(getattr(settings, "layer_types", None) or ()) - _LAYERS)
    if unknown or getattr(settings, "attention_chunk_size", None):
        # On short documents, such layers may give the same results as others.
        kinds = ", ".join(unknown) or "chunks"
        return f"it has layers other than of full and sliding attention ({kinds})"
    positions = [np.arange(length) for length in _LENGTHS]
    documents: list[Ids] = [(4 + position) % settings.vocab_size for position in positions]
    others: list[Ids] = [
        (4 + position + (position % 2 == 0) * 20) % settings.vocab_size for position in positions
    ]
    kept_T = torch.from_numpy(np.concatenate(positions) % 2 == 1).to(network.device)
    training = network.training
    network.eval()
    try:
        with torch.inference_mode(), _short_window(settings):
            padded, otherwise = _hidden_states(network, documents), _hidden_states(network, others)
            network.packed = PackedForm.install(network.backbone)
            packed = _hidden_states(network, documents)
    except (TypeError, ValueError, RuntimeError, LookupError, AttributeError) as error:
        return str(error).split("\n")[0]  # e.g. about arguments that it doesn't know
    finally:
        _use_padding(network)
        network.train(training)
    difference = _difference(packed, padded)
    if difference <= _allowed(network, otherwise[kept_T], padded[kept_T]):
        return None
    return f"its hidden states differ by {difference:.1%} from those of padded documents"


def _depends_on_padding(network: CodingNetwork) -> bool:
    """Return whether a document's hidden states change if it is padded beside a longer one."""
    settings: Any = network.backbone.config
    longer, short = (
        (4 + np.arange(length)) % settings.vocab_size for length in (max(_LENGTHS), min(_LENGTHS))
    )
    other = (24 + np.arange(len(short))) % settings.vocab_size
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            beside = _hidden_states(network, [longer, short])[len(longer) :]
            alone, otherwise = (_hidden_states(network, [ids]) for ids in (short, other))
    finally:
        network.train(training)
    return _difference(beside, alone) > _allowed(network, otherwise, alone)


def _allowed(network: CodingNetwork, otherwise: Tensor, expected: Tensor) -> float:
    """Return the largest difference that can come from rounding.

    Args:
        network: The network.
        otherwise: Hidden states of other tokens.
        expected: The hidden states to compare with.
    """
    return _EXACT if network.autocast is None else _ROUNDED * _difference(otherwise, expected)


def _difference(found_TD: Tensor, expected_TD: Tensor) -> float:
    """Return the mean relative difference per token: a few have far longer vectors than others."""
    return float(((found_TD - expected_TD).norm(dim=1) / expected_TD.norm(dim=1)).mean())


def _hidden_states(network: CodingNetwork, documents: list[Ids]) -> Tensor:
    """Return hidden_TD of the documents' tokens in float32, one document after another."""
    parts = [TokenizedDocument.whole(ids) for ids in documents]
    batch = Batch.of(collate(parts, 0, network.padding))
    return network.hidden_states(batch.to(network.device)).float()


@contextmanager
def _short_window(settings: Any) -> Iterator[None]:
    """Make a sliding window, if there is one, shorter than the few tokens of the trial."""
    window = getattr(settings, "sliding_window", None)
    if window is None:
        yield
        return
    settings.sliding_window = _WINDOW
    try:
        yield
    finally:
        settings.sliding_window = window
