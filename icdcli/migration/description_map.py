"""What the descriptions of codes say about the weights of a head, by those that it has learned.

A head that starts from descriptions gives each label weights that are a linear function of its
description, and training adds what documents show. The function is found again by ridge regression
over the labels with training documents, whatever the head is and whatever training has done to it.
A fifth of the labels is held out to choose the penalty, and to measure the share of the variance
that descriptions explain. Predicted differences are multiplied by this share: a head whose weights
have nothing to do with descriptions isn't moved by them. With `laptop.yaml` on CodiEsp, the share
is .9998 for the queries and .2 for the outputs.

Shapes: N labels with training documents, M other labels, D width of the backbone, K weights of a
label.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

PENALTIES = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Multiples of the mean variance of the descriptions."""

LEAST_LABELS = 20
"""With fewer labels than this, nothing is predicted."""

_HELD_OUT = 5


@dataclass(frozen=True)
class DescriptionMap:
    """A linear function of descriptions.

    Attributes:
        mean_D: The mean description.
        mean_K: The mean of the weights.
        slopes_DK: The slopes, multiplied by `explained`.
        explained: The share of the variance that descriptions explain in labels held out.
    """

    mean_D: Tensor
    mean_K: Tensor
    slopes_DK: Tensor
    explained: float

    @classmethod
    def fit(cls, descriptions_ND: Tensor, weights_NK: Tensor) -> "DescriptionMap":
        """Fit it to labels; with few of them, the slopes are zero."""
        mean_D, mean_K = descriptions_ND.mean(dim=0), weights_NK.mean(dim=0)
        labels = len(descriptions_ND)
        if labels < LEAST_LABELS:
            zeros_DK = torch.zeros(len(mean_D), len(mean_K)).to(weights_NK)
            return cls(mean_D, mean_K, zeros_DK, 0.0)
        held_out_N = torch.arange(labels, device=descriptions_ND.device) % _HELD_OUT == 0
        known = descriptions_ND[~held_out_N], weights_NK[~held_out_N]
        others = descriptions_ND[held_out_N], weights_NK[held_out_N]
        shares = [_explained(_slopes(*known, penalty), known, others) for penalty in PENALTIES]
        best = max(range(len(PENALTIES)), key=shares.__getitem__)
        explained = min(max(shares[best], 0.0), 1.0)
        slopes_DK = _slopes(descriptions_ND, weights_NK, PENALTIES[best])
        return cls(mean_D, mean_K, explained * slopes_DK, explained)

    def of(self, descriptions_MD: Tensor) -> Tensor:
        """Return the weights of labels with these descriptions, (M, K)."""
        weights_MK: Tensor = self.mean_K + self.between(self.mean_D, descriptions_MD)
        return weights_MK

    def between(self, first_MD: Tensor, second_MD: Tensor) -> Tensor:
        """Return by how much the weights of the second descriptions differ from the first."""
        difference_MK: Tensor = (second_MD - first_MD) @ self.slopes_DK
        return difference_MK


def _slopes(descriptions_ND: Tensor, weights_NK: Tensor, penalty: float) -> Tensor:
    centered_ND = (descriptions_ND - descriptions_ND.mean(dim=0)).double()
    gram_DD = centered_ND.T @ centered_ND
    gram_DD.diagonal().add_(penalty * gram_DD.diagonal().mean() + 1e-9)
    moments_DK = centered_ND.T @ (weights_NK - weights_NK.mean(dim=0)).double()
    slopes_DK: Tensor = torch.linalg.solve(gram_DD, moments_DK).to(weights_NK.dtype)
    return slopes_DK


def _explained(
    slopes_DK: Tensor, known: tuple[Tensor, Tensor], others: tuple[Tensor, Tensor]
) -> float:
    means = known[0].mean(dim=0), known[1].mean(dim=0)
    wrong = others[1] - means[1] - (others[0] - means[0]) @ slopes_DK
    total = ((others[1] - means[1]) ** 2).sum()
    return float(1 - (wrong**2).sum() / total) if total > 0 else 0.0
