"""Find out by a trial whether a network can read packed documents."""

from typing import Any, Literal

import numpy as np
import torch

from icdcli.data.batching import Padding
from icdcli.errors import ConfigError
from icdcli.model.few_tokens import (
    LENGTHS,
    allowed_difference,
    difference,
    few_documents,
    in_evaluation,
    states_of,
)
from icdcli.model.network import CodingNetwork
from icdcli.model.packing.attention import PackedForm

WantedPadding = Literal["auto", "free", "batch"]
"""``padding`` of the configuration."""

_LAYERS = {"full_attention", "sliding_attention"}


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
    documents, others = few_documents(network)
    kept = np.concatenate([np.arange(length) % 2 == 1 for length in LENGTHS])
    kept_T = torch.from_numpy(kept).to(network.device)
    try:
        with torch.inference_mode(), in_evaluation(network):
            padded, otherwise = states_of(network, documents), states_of(network, others)
            network.packed = PackedForm.install(network.backbone)
            packed = states_of(network, documents)
    except (TypeError, ValueError, RuntimeError, LookupError, AttributeError) as error:
        return str(error).split("\n")[0]  # e.g. about arguments that it doesn't know
    finally:
        _use_padding(network)
    found = difference(packed, padded)
    if found <= allowed_difference(network, otherwise[kept_T], padded[kept_T]):
        return None
    return f"its hidden states differ by {found:.1%} from those of padded documents"


def _depends_on_padding(network: CodingNetwork) -> bool:
    """Return whether a document's hidden states change if it is padded beside a longer one."""
    settings: Any = network.backbone.config
    longer, short = (
        (4 + np.arange(length)) % settings.vocab_size for length in (max(LENGTHS), min(LENGTHS))
    )
    other = (24 + np.arange(len(short))) % settings.vocab_size
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            beside = states_of(network, [longer, short])[len(longer) :]
            alone, otherwise = (states_of(network, [ids]) for ids in (short, other))
    finally:
        network.train(training)
    return difference(beside, alone) > allowed_difference(network, otherwise, alone)
