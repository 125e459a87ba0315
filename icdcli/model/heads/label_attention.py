"""Label attention: each code attends to its own evidence in a document.

Label attention as in CAML (Mullenbach et al. 2018), and as cross-attention with separate keys and
values as in PLM-CA (Edin et al. 2024). If the codes have descriptions, it starts from them: a code
then attends to words with the meaning of its title before any training, also if it is never
trained.

If the words have assertion classes, each code learns how much it attends to what is denied, said of
a relative and so on, and what it makes of what it finds there: codes of diseases look away, and
those of a family history look on purpose. The classes are further dimensions of keys and values.

It uses fused attention with the codes as queries, so that no matrix of codes and tokens is stored;
or, next to a backbone that computes in half precision on a GPU, products of matrices that are as
exact and faster (`icdcli.model.heads.split_attention`). If what the codes find in the documents is
large, some codes are computed at a time, and once more in the backward pass.

Shapes: B documents, T tokens, L labels, K some of these, D width of the backbone, W width of the
attention, S hidden states of one document, N documents of one length, S their length, A assertion
classes, C those but affirmed.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from icdcli.model.batch import Segments
from icdcli.model.heads.assertion_terms import AssertionTerm, known_shares
from icdcli.model.heads.registry import Head, register_head
from icdcli.model.heads.split_attention import attend_split, is_fast, linear
from icdcli.model.section import ModelConfig

QUERY_SCALE, OUTPUT_SCALE = 8.0, 0.3
"""The sharpness of the initial attention and the weight of its result (tuned on CodiEsp)."""

SCORE_UNITS, LOGIT_UNITS = (16.0, 4.0), (8.0, 2.0)
"""The units of the classes' weights, shared and of each code, in the scores of the attention and in
the logits. A code's own are smaller, since most codes have few documents. Checkpoints have
weights in these units."""

FOUND = 2**27
"""The most numbers that all codes find in all documents at a time (512 MB): B x L x W."""

_ALIGNMENT = 8  # fused attention on GPUs needs widths that are multiples of it


class LabelAttention(Head):
    """A head with one query per code.

    The logit of a code is its output vector times the layer-normalized value that it attends to,
    plus a bias. With assertion classes, a number per code and class is added to the scores from
    which the attention is computed, and another to the logit, times the share of the class in what
    the code attends to.

    Attributes:
        queries_LW: The query of each code.
        outputs_LW: The output vector of each code.
        bias_L: The bias of each logit.
        class_scores: What a class adds to the scores of the attention; None: no classes.
        class_logits: What a class adds to the logit, if all that a code attends to is of the class.
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
        self.class_scores: AssertionTerm | None = None
        self.class_logits: AssertionTerm | None = None

    def label_weights(self) -> list[nn.Parameter]:
        """Return the weights with a row for each label."""
        terms = [term.own_LC for term in (self.class_scores, self.class_logits) if term is not None]
        return [self.queries_LW, self.outputs_LW, self.bias_L, *terms]

    def learn_classes(self, classes: Sequence[str]) -> None:
        """Add weights for assertion classes; see `Head.learn_classes`."""
        self.classes = tuple(classes)
        labels, zeros = len(self.bias_L), [0.0] * len(self.classes)
        self.class_scores = AssertionTerm(labels, zeros, *SCORE_UNITS)
        self.class_logits = AssertionTerm(labels, zeros, *LOGIT_UNITS)

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
        self,
        hidden_TD: Tensor,
        documents: Segments,
        labels: Tensor | None = None,
        shares_TA: Tensor | None = None,
    ) -> Tensor:
        """Return logits_BL (float32) of all labels, or of some.

        Args:
            hidden_TD: Hidden states of any floating dtype.
            documents: The borders of the documents.
            labels: The labels; None: all.
            shares_TA: The share of each assertion class in each hidden state, if the head knows
                classes.
        """
        weights: list[Tensor] = [self.queries_LW, self.outputs_LW, self.bias_L]
        if labels is not None:
            weights = [weight[labels] for weight in weights]
        split = self.half_precision and is_fast(hidden_TD.device)
        # The softmax over thousands of tokens needs float32.
        with torch.autocast(hidden_TD.device.type, enabled=False):
            hidden_TD = self.dropout(hidden_TD.float())
            keys_TW, values_TW = (
                linear(hidden_TD, layer.weight, layer.bias) if split else layer(hidden_TD)
                for layer in (self.key, self.value)
            )
            shares_TC = None
            if self.class_scores is not None and self.class_logits is not None:
                shares_TC = known_shares(self.classes, shares_TA).float()
                weights += [self.class_scores(labels), self.class_logits(labels)]
            states = (keys_TW, values_TW, shares_TC, documents, split)
            size = max(FOUND // (len(documents.lengths) * self.queries_LW.shape[1]), 1)
            parts = [weight.split(size) for weight in weights]
            if len(parts[0]) == 1:
                return self._logits(states, *weights)
            return torch.cat(
                [
                    checkpoint(self._logits, states, *part, use_reentrant=False)
                    if torch.is_grad_enabled()
                    else self._logits(states, *part)
                    for part in zip(*parts, strict=True)
                ],
                dim=1,
            )

    def _logits(
        self,
        states: tuple[Tensor, Tensor, Tensor | None, Segments, bool],
        queries_KW: Tensor,
        outputs_KW: Tensor,
        bias_K: Tensor,
        scores_KC: Tensor | None = None,
        numbers_KC: Tensor | None = None,
    ) -> Tensor:
        """Return logits_BK of some labels.

        Args:
            states: Keys, values and shares of the classes, the borders of the documents, and
                whether to use `attend_split`.
            queries_KW: The labels' queries.
            outputs_KW: Their output vectors.
            bias_K: Their biases.
            scores_KC: What the classes add to their scores, if the head knows classes.
            numbers_KC: What the classes add to their logits.
        """
        keys_TW, values_TW, shares_TC, documents, split = states
        if shares_TC is None or scores_KC is None:
            found_BKW = attend(queries_KW, keys_TW, values_TW, documents, split=split)
            added_BK = None
        else:
            found_BKW, found_BKC = _attend_with_classes(
                queries_KW, scores_KC, keys_TW, values_TW, shares_TC, documents, split
            )
            added_BK = torch.einsum("blc,lc->bl", found_BKC, numbers_KC)
        found_BKW = self.dropout(self.norm(found_BKW))
        logits_BK: Tensor = torch.einsum("blw,lw->bl", found_BKW, outputs_KW) + bias_K
        return logits_BK if added_BK is None else logits_BK + added_BK

    def attention_weights(
        self,
        hidden_SD: Tensor,
        labels_K: Tensor | None = None,
        shares_SA: Tensor | None = None,
    ) -> Tensor:
        """Return how much each code attends to each hidden state of one document.

        Args:
            hidden_SD: The hidden states of the document.
            labels_K: The codes; None: all. The result is a full matrix, so that many codes need
                short documents.
            shares_SA: The share of each assertion class in each state, if the head knows classes.

        Returns:
            weights_KS, float32; each row sums to 1.
        """
        queries_KW = self.queries_LW if labels_K is None else self.queries_LW[labels_K]
        scores_KS = queries_KW @ self.key(hidden_SD.float()).T * self.key.out_features**-0.5
        if self.class_scores is not None:
            shares_SC = known_shares(self.classes, shares_SA).float()
            scores_KS = scores_KS + self.class_scores(labels_K) @ shares_SC.T
        weights_KS: Tensor = scores_KS.softmax(dim=-1)
        return weights_KS


@register_head("label_attention")
def _label_attention(width: int, labels: int, config: ModelConfig) -> Head:
    return LabelAttention(width, labels, config.label_width, config.head_dropout)


def _attend_with_classes(
    queries_LW: Tensor,
    scores_LC: Tensor,
    keys_TW: Tensor,
    values_TW: Tensor,
    shares_TC: Tensor,
    documents: Segments,
    split: bool,
) -> tuple[Tensor, Tensor]:
    """Compute the attention with a score per class, in one more dimension for each class.

    Returns:
        found_BLW, and the shares of the classes in it: found_BLC.
    """
    width, classes = queries_LW.shape[1], shares_TC.shape[1]
    more = -(width + classes) % _ALIGNMENT
    shares_TC = functional.pad(shares_TC, (0, more))
    found_BLV = attend(
        torch.cat([queries_LW, functional.pad(scores_LC * width**0.5, (0, more))], dim=1),
        torch.cat([keys_TW, shares_TC], dim=1),
        torch.cat([values_TW, shares_TC], dim=1),
        documents,
        width**-0.5,
        split,
    )
    found_BLW, found_BLC, _ = found_BLV.split([width, classes, more], dim=-1)
    return found_BLW, found_BLC


def attend(
    queries_LW: Tensor,
    keys_TW: Tensor,
    values_TW: Tensor,
    documents: Segments,
    scale: float | None = None,
    split: bool = False,
) -> Tensor:
    """Compute the attention of every query within each document.

    Args:
        queries_LW: The queries.
        keys_TW: The keys.
        values_TW: The values.
        documents: The borders of the documents.
        scale: The factor of the products of queries and keys; None: W to the power of -1/2.
        split: Whether to use `attend_split`.

    Returns:
        found_BLW, of the values' dtype.
    """
    if split:
        factor = queries_LW.shape[1] ** -0.5 if scale is None else scale
        return attend_split(queries_LW, keys_TW, values_TW, documents.lengths, factor)
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
                queries_NLW, keys_NSW[:, None], values_NSW[:, None], scale=scale
            )[:, 0]
        )
    return torch.cat(found)
