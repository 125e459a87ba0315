"""What is computed once for a backbone: the selection, and the names of the folders it is kept in.

The names change with everything that the content depends on: every weight of the backbone, its
settings, the tokenizer, and how documents are read.

Shapes: M descriptions of labels, D width.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from icdcli.data.encoded_documents import EncodedDocuments
from icdcli.io.fingerprints import arrays_hash
from icdcli.model.heads.description_prior import WINDOW, DescriptionPrior
from icdcli.model.network import CodingNetwork

FORMAT = 2
"""The version of the files' folders. Names of version 1 depended on a part of the weights."""

# Settings of a backbone that don't change its hidden states: where it comes from, what it was for.
_NO_EFFECT = {
    "_name_or_path", "architectures", "dtype", "id2label", "label2id", "num_labels",
    "problem_type", "torch_dtype", "transformers_version", "use_cache",
}  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """The selection of what is computed before training.

    Attributes:
        states: Whether to compute the hidden states.
        prior: The prior to compute the similarities for; None: compute none.
        tokenizer: The tokenizer's fingerprint.
        backbone: The untrained backbone's fingerprint; see `backbone_fingerprint`.
    """

    states: bool
    prior: DescriptionPrior | None
    tokenizer: str
    backbone: str


def backbone_fingerprint(network: CodingNetwork) -> str:
    """Return digits that change with every weight and setting of the backbone before training.

    Adapters that are being trained don't count: they are off, or have no effect yet.
    """
    backbone: Any = network.backbone
    # A quantized weight is stored with its scales, which named_parameters doesn't have.
    weights = arrays_hash(
        (f"{name} {weight.dtype} {tuple(weight.shape)}", _bytes_of(weight))
        for name, weight in backbone.state_dict().items()
        if isinstance(weight, Tensor) and (".lora_" not in name or "pretrained" in name)
    )
    settings = {
        name: value for name, value in backbone.config.to_dict().items() if name not in _NO_EFFECT
    }
    about = {
        "weights": weights,
        "settings": settings,
        "autocast": str(network.autocast),
        "causal": getattr(backbone.config, "is_causal", None),
    }
    return _digits(about)


def _bytes_of(weight: Tensor) -> NDArray[np.uint8]:
    """Return the memory of a weight of any type."""
    flat = weight.detach().cpu().contiguous().reshape(-1)
    array: NDArray[np.uint8] = flat.view(torch.uint8).numpy()
    return array


def _digits(about: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()[:16]


def computed_folder(
    part: str, split: str, documents: EncodedDocuments, network: CodingNetwork, wanted: Wanted
) -> str:
    """Return the name of the folder of a split's ``states`` or ``similarities``.

    It changes with everything that they depend on.
    """
    about = _about(documents, network, wanted)
    if part == "states":
        about["state_pooling"] = network.state_pooling
    elif wanted.prior is not None:
        about |= _about_similarities(wanted.prior)
        about["descriptions"] = arrays_hash(
            [("descriptions", wanted.prior.descriptions_MD.cpu().numpy())]
        )
    return f"{part}-{split}-{_digits(about)}"


def reading_key(documents: EncodedDocuments, network: CodingNetwork, wanted: Wanted) -> str:
    """Return digits that change with what similarities depend on beside their descriptions."""
    about = _about(documents, network, wanted)
    if wanted.prior is not None:
        about |= _about_similarities(wanted.prior)
    return _digits(about)


def _about_similarities(prior: DescriptionPrior) -> dict[str, Any]:
    about: dict[str, Any] = {"window": WINDOW}
    if prior.precision != torch.float32:
        about["precision"] = str(prior.precision)
    return about


def _about(documents: EncodedDocuments, network: CodingNetwork, wanted: Wanted) -> dict[str, Any]:
    about = {
        "format": FORMAT,
        "backbone": wanted.backbone,
        "tokenizer": wanted.tokenizer,
        "frame": asdict(documents.special_tokens),
        "max_len": documents.max_len,
        "chunks": None if documents.chunks is None else asdict(documents.chunks),
    }
    if documents.windows is not None:
        about["long_notes"] = "windows"
    return about
