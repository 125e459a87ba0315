"""Whether a network can read documents laid end to end, tried rather than believed.

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
from icdcli.model.packed_attention import PackedForm

WantedPadding = Literal["auto", "free", "batch"]
"""``padding`` of the configuration."""

_LENGTHS = (9, 9, 5)  # two of one length, which attention takes together
_WINDOW = 3
_LAYERS = {"full_attention", "sliding_attention"}

_EXACT = 1e-4
"""How much states may differ, as a share of themselves, where the network computes in float32."""

_ROUNDED = 0.1
"""How much they may differ otherwise, as a share of what every other token of a document means to the rest of it. Eight-bit
weights alone change states by some per cent, since how a token is rounded depends on its neighbours, padded or not."""


def choose_padding(network: CodingNetwork, wanted: WantedPadding) -> Padding:
    """Let a network read documents end to end, where that is wanted and it can.

    It can where the tokens' states are the same as with padded documents. That is tried on a few tokens, on the device and in
    the precision that the network has; nothing random is drawn.

    Args:
        network: Left in the mode it was found in; from now on it reads documents as the answer says.
        wanted: ``padding`` of the configuration.

    Returns:
        How documents must lie, as `CodingNetwork.padding` says from now on.

    Raises:
        ConfigError: When ``free`` is wanted and the architecture can't.
    """
    _read_padded(network)
    reason = None if wanted == "batch" else _why_not(network)
    if wanted == "free" and reason is not None:
        settings: Any = network.backbone.config
        raise ConfigError(
            f"padding: free: this architecture ({settings.model_type}) can't read documents laid end to end: {reason}; "
            "set padding: auto"
        )
    if wanted != "batch" and reason is None:
        network.packed = PackedForm.put_on(network.backbone)
    return network.padding


def _read_padded(network: CodingNetwork) -> None:
    if network.packed is not None:
        network.packed.take_off(network.backbone)
        network.packed = None


def _why_not(network: CodingNetwork) -> str | None:
    """Why the network can't read documents end to end; None where it can."""
    settings: Any = network.backbone.config
    strange = sorted(set(getattr(settings, "layer_types", None) or ()) - _LAYERS)
    if strange or getattr(settings, "attention_chunk_size", None):
        # Such layers may do as others do on short documents.
        return f"it has layers other than of full and sliding attention ({', '.join(strange) or 'chunks'})"
    places = [np.arange(length) for length in _LENGTHS]
    documents: list[Ids] = [(4 + place) % settings.vocab_size for place in places]
    others: list[Ids] = [
        (4 + place + (place % 2 == 0) * 20) % settings.vocab_size for place in places
    ]
    kept_T = torch.from_numpy(np.concatenate(places) % 2 == 1).to(network.device)
    training = network.training
    network.eval()
    try:
        with torch.inference_mode(), _short_window(settings):
            padded, otherwise = _states(network, documents), _states(network, others)
            network.packed = PackedForm.put_on(network.backbone)
            packed = _states(network, documents)
    except (TypeError, ValueError, RuntimeError, LookupError, AttributeError) as error:
        return str(error).split("\n")[0]  # what it says to arguments that it doesn't know
    finally:
        _read_padded(network)
        network.train(training)
    difference = _difference(packed, padded)
    meant = _difference(otherwise[kept_T], padded[kept_T])
    if difference <= (_EXACT if network.autocast is None else _ROUNDED * meant):
        return None
    return f"its states differ by {difference:.1%} from those of padded ones"


def _difference(found_TD: Tensor, expected_TD: Tensor) -> float:
    """The mean over the tokens; a few have states far longer than the others'."""
    return float(((found_TD - expected_TD).norm(dim=1) / expected_TD.norm(dim=1)).mean())


def _states(network: CodingNetwork, documents: list[Ids]) -> Tensor:
    """The states of the documents' tokens, one document after the other; hidden_TD in float32."""
    inputs = Batch.of(
        collate([TokenizedDocument.whole(ids) for ids in documents], 0, network.padding)
    )
    return network.hidden_states(inputs.to(network.device)).float()


@contextmanager
def _short_window(settings: Any) -> Iterator[None]:
    """A sliding window, where there is one, that is shorter than the few tokens of the trial."""
    window = getattr(settings, "sliding_window", None)
    if window is None:
        yield
        return
    settings.sliding_window = _WINDOW
    try:
        yield
    finally:
        settings.sliding_window = window
