"""The network's own output for the principal diagnosis.

A softmax over the label space. Its logits begin with what is known without reading for it: the
logit of the code, and how often the code is the principal diagnosis of documents that have it.
Training adds what the text says: a few queries of its own look for the words that say why the
patient came, and each code has an output vector for what they find. The logits of the codes are
only read: no gradient of this output reaches their head. But all gradients are clipped together,
and a backbone that is trained learns from both outputs.

Shapes: B documents, T tokens, L labels, D width of the backbone, W width of what is found, H
queries, N documents of one length, S their length.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from icdcli.model.batch import Segments

_QUERIES, _WIDTH = 4, 128


class PrincipalHead(nn.Module):
    """The logits of the principal diagnosis, float32.

    Attributes:
        query: The scores of each hidden state for each query.
        found: What the queries find, in fewer numbers.
        norm: The layer norm of these.
        outputs_LW: The output vector of each code; zero before training.
        bias_L: The bias of each code.
        scale: The factor of the codes' own logits.
    """

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, _QUERIES, bias=False)
        self.found = nn.Linear(width * _QUERIES, _WIDTH)
        self.norm = nn.LayerNorm(_WIDTH)
        self.outputs_LW = nn.Parameter(torch.zeros(labels, _WIDTH))
        self.bias_L = nn.Parameter(torch.zeros(labels))
        self.scale = nn.Parameter(torch.ones(1))

    def label_weights(self) -> list[nn.Parameter]:
        """Return the weights with a row for each label."""
        return [self.outputs_LW, self.bias_L]

    @torch.no_grad()
    def start_from_rates(self, log_rates_L: Tensor) -> None:
        """Start from how often each code is the principal diagnosis of documents that have it."""
        self.bias_L.copy_(log_rates_L)

    def forward(
        self,
        hidden_TD: Tensor,
        documents: Segments,
        logits_BL: Tensor,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Return principal_BL of all labels, or of some.

        Args:
            hidden_TD: The hidden states as the head reads them.
            documents: The borders of the documents.
            logits_BL: The logits of these labels; no gradient flows through them.
            labels: The labels; None: all.
        """
        weights = self.label_weights()
        outputs_LW, bias_L = weights if labels is None else [one[labels] for one in weights]
        with torch.autocast(hidden_TD.device.type, enabled=False):
            found_BW = self.norm(self.found(self._look(hidden_TD.float(), documents)))
            known_BL = functional.logsigmoid(logits_BL.detach().float())
            principal_BL: Tensor = self.scale * known_BL + bias_L + found_BW @ outputs_LW.T
        return principal_BL

    def _look(self, hidden_TD: Tensor, documents: Segments) -> Tensor:
        """Return what each query finds in each document, one query after another."""
        scores_TH = self.query(hidden_TD)
        runs = documents.runs
        sizes = [length * count for length, count in runs]
        parts = []
        for (length, count), states, scores in zip(
            runs, hidden_TD.split(sizes), scores_TH.split(sizes), strict=True
        ):
            shares_NSH = scores.unflatten(0, (count, length)).softmax(dim=1)
            found_NHD = shares_NSH.transpose(1, 2) @ states.unflatten(0, (count, length))
            parts.append(found_NHD.flatten(1))
        return torch.cat(parts)


def principal_losses(principal_BL: Tensor, gold_B: Tensor, learned: Tensor | None) -> Tensor:
    """Return the cross-entropy of each document, divided by the number of labels.

    Divided so, it weighs as much as the loss of one code, which is a mean over the labels.

    Args:
        principal_BL: The logits of the principal diagnosis.
        gold_B: Its label; documents below 0, where it is unknown, have no loss.
        learned: The labels of the logits, ascending; None: all.
    """
    known_B = gold_B >= 0
    place_B = gold_B.clamp(min=0)
    if learned is not None:
        place_B = torch.searchsorted(learned, place_B).clamp(max=len(learned) - 1)
        known_B = known_B & (learned[place_B] == gold_B)
    losses_B = functional.cross_entropy(principal_BL, place_B, reduction="none")
    return torch.where(known_B, losses_B, 0.0) / principal_BL.shape[1]
