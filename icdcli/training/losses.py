"""What training makes small: one number a document, the mean over the labels.

Shapes: B documents, L labels.
"""

import torch
from torch import Tensor
from torch.nn import functional

from icdcli.training.section import TrainConfig


def training_losses(logits_BL: Tensor, targets_BL: Tensor, config: TrainConfig) -> Tensor:
    """Each document's loss.

    ``bce`` is binary cross-entropy. ``focal`` (Lin et al. 2017) weighs each label by (1 - p)^gamma, p the probability of the
    right answer, so that what is known counts less. ``asl`` (asymmetric loss, Ridnik et al. 2021) does so for labels that the
    document doesn't have alone, after taking a margin off their probabilities: those below the margin count for nothing.

    Args:
        logits_BL: Logits, float32.
        targets_BL: 1 where the document has the label, else 0.
        config: ``loss``, ``loss_gamma``, ``loss_margin``, ``pos_weight``, ``label_smoothing``.

    Returns:
        losses_B.
    """
    smooth_BL = (
        targets_BL
        if not config.label_smoothing
        else targets_BL + config.label_smoothing * (0.5 - targets_BL)
    )
    # A fill: a copy of a number would wait for the device.
    weight = torch.full((), config.pos_weight, device=logits_BL.device)
    if config.loss == "asl":
        return _asymmetric(logits_BL, smooth_BL, config).mean(dim=1)
    losses_BL = functional.binary_cross_entropy_with_logits(
        logits_BL, smooth_BL, pos_weight=weight, reduction="none"
    )
    if config.loss == "focal":
        wrong_BL = torch.sigmoid(torch.where(targets_BL > 0, -logits_BL, logits_BL))
        losses_BL = losses_BL * wrong_BL**config.loss_gamma
    return losses_BL.mean(dim=1)


def _asymmetric(logits_BL: Tensor, targets_BL: Tensor, config: TrainConfig) -> Tensor:
    shifted_BL = (torch.sigmoid(logits_BL) - config.loss_margin).clamp(min=0)
    there_BL = -functional.logsigmoid(logits_BL) * config.pos_weight
    not_there_BL = -torch.log1p(-shifted_BL.clamp(max=1 - 1e-7)) * shifted_BL**config.loss_gamma
    return targets_BL * there_BL + (1 - targets_BL) * not_there_BL


def disagreement(first_BL: Tensor, second_BL: Tensor) -> Tensor:
    """How far two forward passes of the same documents are apart: R-Drop (Wu et al. 2021), for labels that are each yes or no.

    Args:
        first_BL: Logits.
        second_BL: Those of another draw of dropout.

    Returns:
        For each document, the Kullback-Leibler divergence both ways, halved, the mean over the labels.
    """
    first, second = torch.sigmoid(first_BL), torch.sigmoid(second_BL)
    # Both directions together: of the logarithms of p and 1 - p, only the difference of the logits is left.
    return ((first - second) * (first_BL - second_BL)).mean(dim=1) / 2
