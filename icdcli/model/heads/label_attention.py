"""Label attention: each code attends to its own evidence in a document.

Label attention as in CAML (Mullenbach et al. 2018), and as cross-attention with separate keys and
values as in PLM-CA (Edin et al. 2024). If the codes have descriptions, it starts from them: a code
then attends to words with the meaning of its title before any training, also if it is never
trained.

It uses fused attention with the codes as queries, so that no matrix of codes and tokens is stored.

Shapes: B documents, T tokens, L labels, K some of these, D width of the backbone, W width of the
attention, S hidden states of one document, N documents of one length, S their length.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from icdcli.model.batch import Segments
from icdcli.model.heads.registry import Head, register_head
from icdcli.model.section import ModelConfig

QUERY_SCALE, OUTPUT_SCALE = 8.0, 0.3
"""The sharpness of the initial attention and the weight of its result (tuned on CodiEsp)."""


class LabelAttention(Head):
    """A head with one query per code.

    The logit of a code is its output vector times the layer-normalized value that it attends to,
    plus a bias.

    Attributes:
        queries_LW: The query of each code.
        outputs_LW: The output vector of each code.
        bias_L: The bias of each logit.
    """

    averages_neighbors = True

    def __init__(self, width: int, labels: int, attention_width: int, dropout: float) -> None:
        super().__init__()
        self.key = nn.Linear(width, attention_width)
        self.value = nn.Linear(width, attention_width)
        self.norm = nn.LayerNorm(attention_width)
        self.dropout = nn.Dropout(dropout)
        self.queries_LW = nn.Parameter(torch.randn(labels, attention_width))
        self.outputs_LW = nn.Parameter(torch.randn(labels, attention_width) * attention_width**-0.5)
        self.bias_L = nn.Parameter(torch.zeros(labels))

    def label_weights(self) -> list[nn.Parameter]:
        """Return the weights with a row for each label."""
        return [self.queries_LW, self.outputs_LW, self.bias_L]

    @torch.no_grad()
    def start_from_descriptions(self, descriptions_LD: Tensor, known_L: Tensor) -> None:
        """Start from the descriptions of the codes.

        Keys and values start as the projection onto the leading singular directions of all
        descriptions, queries and outputs as the projected descriptions.

        Args:
            descriptions_LD: The mean of the backbone's hidden states over each code's description,
                float32.
            known_L: True if the code has a description; the others keep their random start, scaled
                to the same length.
        """
        directions = torch.linalg.svd(descriptions_LD[known_L], full_matrices=False).Vh[
            : self.key.out_features
        ]
        for layer in (self.key, self.value):
            layer.weight.zero_()  # in case that there are fewer descriptions than directions
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
        """Return logits_BL (float32) of all labels, or of some.

        Args:
            hidden_TD: Hidden states of any floating dtype.
            documents: The borders of the documents.
            labels: The labels; None: all.
        """
        weights: tuple[Tensor, ...] = (self.queries_LW, self.outputs_LW, self.bias_L)
        queries_LW, outputs_LW, bias_L = (
            weights if labels is None else (weight[labels] for weight in weights)
        )
        # The softmax over thousands of tokens needs float32.
        with torch.autocast(hidden_TD.device.type, enabled=False):
            hidden_TD = self.dropout(hidden_TD.float())
            found_BLW = attend(queries_LW, self.key(hidden_TD), self.value(hidden_TD), documents)
            found_BLW = self.dropout(self.norm(found_BLW))
            logits_BL: Tensor = torch.einsum("blw,lw->bl", found_BLW, outputs_LW) + bias_L
        return logits_BL

    def attention_weights(self, hidden_SD: Tensor, labels_K: Tensor | None = None) -> Tensor:
        """Return how much each code attends to each hidden state of one document.

        Args:
            hidden_SD: The hidden states of the document.
            labels_K: The codes; None: all. The result is a full matrix, so that many codes need
                short documents.

        Returns:
            weights_KS, float32; each row sums to 1.
        """
        queries_KW = self.queries_LW if labels_K is None else self.queries_LW[labels_K]
        scores_KS = queries_KW @ self.key(hidden_SD.float()).T * self.key.out_features**-0.5
        weights_KS: Tensor = scores_KS.softmax(dim=-1)
        return weights_KS


@register_head("label_attention")
def _label_attention(width: int, labels: int, config: ModelConfig) -> Head:
    return LabelAttention(width, labels, config.label_width, config.head_dropout)


def attend(queries_LW: Tensor, keys_TW: Tensor, values_TW: Tensor, documents: Segments) -> Tensor:
    """Compute the attention of every query within each document.

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
        # One head; the kernels need a dimension of heads.
        queries_NLW = queries_LW.expand(count, 1, *queries_LW.shape)
        found.append(
            functional.scaled_dot_product_attention(
                queries_NLW, keys_NSW[:, None], values_NSW[:, None]
            )[:, 0]
        )
    return torch.cat(found)
