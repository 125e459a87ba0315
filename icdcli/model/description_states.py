"""What the backbone makes of the codes' descriptions: one vector a description.

Shapes: L labels, M descriptions, D width.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from icdcli.data.batching import SpecialTokens, collate
from icdcli.data.token_cache import encode
from icdcli.lexical.descriptions import Descriptions
from icdcli.model.batch import Inputs
from icdcli.model.heads.pooled import pool
from icdcli.model.network import CodingNetwork

_AT_ONCE = 64
_LONGEST = 128  # tokens; the longest title of ICD-10-CM has about a hundred


@dataclass(frozen=True)
class EmbeddedDescriptions:
    """The descriptions as vectors.

    Attributes:
        counts: How many vectors each label has: at least one.
        vectors_MD: Their mean states, float32, in the order of the labels; zero for a label without a description.
        titles_LD: The first of each label.
        known_L: True where a label has a description.
    """

    counts: tuple[int, ...]
    vectors_MD: Tensor
    titles_LD: Tensor
    known_L: Tensor


@torch.no_grad()
def embed_descriptions(
    network: CodingNetwork,
    tokenizer: PreTrainedTokenizerFast,
    special_tokens: SpecialTokens,
    descriptions: Descriptions,
) -> EmbeddedDescriptions:
    """The mean of the backbone's states over each description.

    Args:
        network: Whose backbone reads them; left in the mode it was found in.
        tokenizer: The backbone's.
        special_tokens: What stands around each description.
        descriptions: For each label.

    Returns:
        The vectors, on the network's device.
    """
    counts = tuple(max(len(texts), 1) for texts in descriptions)
    firsts = np.cumsum([0, *counts[:-1]])
    texts = {
        int(first) + place: text
        for first, own in zip(firsts, descriptions, strict=True)
        for place, text in enumerate(own)
    }
    ids = dict(zip(texts, encode(tokenizer.backend_tokenizer)(list(texts.values())), strict=True))
    longest_first = sorted(ids, key=lambda place: -len(ids[place]))
    vectors_MD = torch.zeros(sum(counts), _width(network), device=network.device)
    training = network.training
    network.eval()
    for start in range(0, len(longest_first), _AT_ONCE):
        places = longest_first[start : start + _AT_ONCE]
        documents = [special_tokens.read(ids[place], _LONGEST) for place in places]
        inputs = Inputs.of(collate(documents, special_tokens.pad, network.padding)).to(
            network.device
        )
        vectors_MD[places] = pool(network.states(inputs), inputs.documents, "mean")
    network.train(training)
    known_L = torch.tensor([len(texts) > 0 for texts in descriptions], device=network.device)
    return EmbeddedDescriptions(counts, vectors_MD, vectors_MD[firsts.tolist()], known_L)


def _width(network: CodingNetwork) -> int:
    settings = getattr(network.backbone, "config")  # noqa: B009  (peft's wrapper and transformers' models both have it)
    return int(settings.hidden_size)
