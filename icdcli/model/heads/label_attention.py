"""One query a code: each code looks for its own evidence in a document, and its logit is made of what it finds.

Label attention as in CAML (Mullenbach et al. 2018) and, as cross-attention with keys and values of their own, PLM-CA (Edin et
al. 2024). Where the descriptions of the codes are given, it starts from them: a code looks at once for words that mean what its
title says, whether or not it was ever trained on.

It goes through fused attention with the codes as queries, so that no matrix of codes and tokens is ever held.

Shapes: B documents, T tokens, L labels, K some of these, D width of the backbone, W width of the attention, N documents of one
length, S their length.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from icdcli.model.batch import Segments

QUERY_SCALE, OUTPUT_SCALE = 8.0, 0.3
"""How sharply codes look for their descriptions at the start, and how much finding them counts (tuned on CodiEsp)."""


class LabelAttention(nn.Module):
    """A document's logits: each code's output vector times the layer-normed value that the code attends to, plus a bias.

    Attributes:
        queries_LW: What each code looks for.
        outputs_LW: What it makes of what it finds.
        bias_L: The logit that it starts from.
    """

    def __init__(self, width: int, labels: int, attention_width: int, dropout: float) -> None:
        super().__init__()
        self.key = nn.Linear(width, attention_width)
        self.value = nn.Linear(width, attention_width)
        self.norm = nn.LayerNorm(attention_width)
        self.dropout = nn.Dropout(dropout)
        self.queries_LW = nn.Parameter(torch.randn(labels, attention_width))
        self.outputs_LW = nn.Parameter(torch.randn(labels, attention_width) * attention_width**-0.5)
        self.bias_L = nn.Parameter(torch.zeros(labels))

    @torch.no_grad()
    def start_from_descriptions(self, descriptions_LD: Tensor, known_L: Tensor) -> None:
        """Start from what the codes say.

        Keys and values start as the projection on the leading singular directions of all descriptions, queries and outputs as
        the projected descriptions.

        Args:
            descriptions_LD: The mean of the backbone's states over each code's description, float32.
            known_L: True where a code has a description; the others keep their random start, as long as the rest.
        """
        directions = torch.linalg.svd(descriptions_LD[known_L], full_matrices=False).Vh[
            : self.key.out_features
        ]
        for layer in (self.key, self.value):
            layer.weight.zero_()  # where there are fewer descriptions than directions
            layer.weight[: len(directions)] = directions
            layer.bias.zero_()
        projected_LW = descriptions_LD @ self.key.weight.T
        length = projected_LW[known_L].norm(dim=1).mean()
        random_LW = functional.normalize(self.queries_LW, dim=1) * length
        projected_LW = torch.where(known_L[:, None], projected_LW, random_LW)
        self.queries_LW.copy_(QUERY_SCALE * projected_LW)
        self.outputs_LW.copy_(OUTPUT_SCALE * functional.normalize(projected_LW, dim=1))

    def forward(
        self, hidden_TD: Tensor, documents: Segments, labels: Tensor | None = None
    ) -> Tensor:
        """Compute logits_BL, float32, from token states of any floating dtype; of some labels alone, where they are given."""
        weights: tuple[Tensor, ...] = (self.queries_LW, self.outputs_LW, self.bias_L)
        queries_LW, outputs_LW, bias_L = (
            weights if labels is None else (weight[labels] for weight in weights)
        )
        with torch.autocast(
            hidden_TD.device.type, enabled=False
        ):  # the softmax of thousands of tokens needs float32
            hidden_TD = self.dropout(hidden_TD.float())
            found_BLW = attend(queries_LW, self.key(hidden_TD), self.value(hidden_TD), documents)
            found_BLW = self.dropout(self.norm(found_BLW))
            logits_BL: Tensor = torch.einsum("blw,lw->bl", found_BLW, outputs_LW) + bias_L
        return logits_BL

    def weights(self, hidden_SD: Tensor, labels_K: Tensor | None = None) -> Tensor:
        """What codes attend to in one document.

        Args:
            hidden_SD: The document's states.
            labels_K: Of which codes; None: of all. What is given back is as large as it looks: ask for few, or short documents.

        Returns:
            weights_KS, float32; each row sums to 1.
        """
        queries_KW = self.queries_LW if labels_K is None else self.queries_LW[labels_K]
        scores_KS = queries_KW @ self.key(hidden_SD.float()).T * self.key.out_features**-0.5
        weights_KS: Tensor = scores_KS.softmax(dim=-1)
        return weights_KS


def attend(queries_LW: Tensor, keys_TW: Tensor, values_TW: Tensor, documents: Segments) -> Tensor:
    """Attention of every query over each document's tokens alone, without a matrix of queries and tokens.

    Returns:
        found_BLW, of the values' dtype.
    """
    runs = documents.runs
    sizes = [length * count for length, count in runs]
    found = []
    for (length, count), keys, values in zip(
        runs, keys_TW.split(sizes), values_TW.split(sizes), strict=True
    ):
        keys_NSW, values_NSW = (part.unflatten(0, (count, length)) for part in (keys, values))
        # One head; the kernels want the dimension of heads to be there.
        queries_NLW = queries_LW.expand(count, 1, *queries_LW.shape)
        found.append(
            functional.scaled_dot_product_attention(
                queries_NLW, keys_NSW[:, None], values_NSW[:, None]
            )[:, 0]
        )
    return torch.cat(found)
