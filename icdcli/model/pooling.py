"""From one vector a token to one vector a document.

Shapes: B documents, T tokens, D width.

Sources: ``mean``, ``weighted_mean`` (position-weighted, Muennighoff 2022, SGPT) and ``eos_token`` as LLM2Vec (BehnamGhader et
al. 2024) defines them; ``bos_token`` is BERT's first token (Devlin et al. 2019).
"""

import torch
from torch import Tensor

from icdcli.model.inputs import Segments


def pool(hidden_BTD: Tensor, mask_BT: Tensor, mode: str) -> Tensor:
    """Pool token states into document vectors.

    Args:
        hidden_BTD: Token states of any floating dtype; the sums are taken in float32.
        mask_BT: True where a token is real; every document has at least one, the real ones come first.
        mode: ``mean``, ``weighted_mean``, ``bos_token`` or ``eos_token``.

    Returns:
        pooled_BD, float32; equal for a document whatever it is padded to.

    Raises:
        ValueError: For another mode.
    """
    rows = torch.arange(hidden_BTD.shape[0], device=hidden_BTD.device)
    if mode == "bos_token":
        return hidden_BTD[:, 0].float()
    if mode == "eos_token":
        return hidden_BTD[rows, mask_BT.sum(dim=1) - 1].float()
    if mode == "mean":
        weights_BT = mask_BT.float()
    elif mode == "weighted_mean":
        positions_T = torch.arange(1, mask_BT.shape[1] + 1, device=mask_BT.device, dtype=torch.float32)
        weights_BT = mask_BT.float() * positions_T
    else:
        raise ValueError(f"unknown pooling mode {mode!r}")
    weights_BT = weights_BT / weights_BT.sum(dim=1, keepdim=True)
    # A product with zero would let a NaN or infinity in the padding through.
    hidden_BTD = hidden_BTD.float().masked_fill(~mask_BT.unsqueeze(-1), 0.0)
    return torch.einsum("btd,bt->bd", hidden_BTD, weights_BT)


def pool_packed(hidden_TD: Tensor, segments: Segments, mode: str) -> Tensor:
    """Pool the token states of documents that are laid end to end; the same vectors as `pool` gives.

    Args:
        hidden_TD: Token states of any floating dtype; the sums are taken in float32.
        segments: Where the documents lie.
        mode: ``mean``, ``weighted_mean``, ``bos_token`` or ``eos_token``.

    Returns:
        pooled_BD, float32.

    Raises:
        ValueError: For another mode.
    """
    starts = segments.starts.long()
    if mode == "bos_token":
        return hidden_TD[starts[:-1]].float()
    if mode == "eos_token":
        return hidden_TD[starts[1:] - 1].float()
    documents_T, lengths_B = segments.documents_T(), starts.diff().float()
    if mode == "mean":
        weights_T = (1 / lengths_B)[documents_T]
    elif mode == "weighted_mean":
        weights_T = (segments.positions_T() + 1) * (2 / (lengths_B * (lengths_B + 1)))[documents_T]
    else:
        raise ValueError(f"unknown pooling mode {mode!r}")
    pooled_BD = torch.zeros(len(segments.lengths), hidden_TD.shape[1], device=hidden_TD.device)
    return pooled_BD.index_add(0, documents_T, hidden_TD.float() * weights_T[:, None])
