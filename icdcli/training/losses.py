"""Training losses: one number per document, the mean over the labels; and their scaling.

Shapes: B documents, L labels.
"""

import torch
from torch import Tensor
from torch.nn import functional

from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import ConfigError
from icdcli.model.batch import Batch
from icdcli.model.inference.scoring import document_losses
from icdcli.model.network import CodingNetwork
from icdcli.model.principal.head import principal_losses
from icdcli.training.section import TrainConfig
from icdcli.training.state import Training


def micro_batch_losses(training: Training, batch: Batch, targets_BL: Tensor) -> Tensor:
    """Run the network on a micro-batch and return losses_B.

    With ``rdrop_alpha`` it runs twice, with two draws of dropout; how far the two disagree is added
    to the mean of both losses.
    """
    network, config, learned = training.model.network, training.config, training.learned_labels
    if learned is not None:
        targets_BL = targets_BL[:, learned]
    logits_BL, losses_B = _losses(network, batch, targets_BL, learned, config)
    if not config.rdrop_alpha:
        return losses_B
    again_BL, again_B = _losses(network, batch, targets_BL, learned, config)
    both_B = (losses_B + again_B) / 2
    return both_B + config.rdrop_alpha * disagreement(logits_BL, again_BL)


def _losses(
    network: CodingNetwork,
    batch: Batch,
    targets_BL: Tensor,
    learned: Tensor | None,
    config: TrainConfig,
) -> tuple[Tensor, Tensor]:
    """Return logits_BL, and losses_B with that of the principal diagnosis if it is learned."""
    if batch.principal_B is None:
        logits_BL: Tensor = network(batch, learned)
        return logits_BL, training_losses(logits_BL, targets_BL, config)
    logits_BL, principal_BL = network(batch, learned, with_principal=True).chunk(2, dim=1)
    losses_B = training_losses(logits_BL, targets_BL, config)
    return logits_BL, losses_B + principal_losses(principal_BL, batch.principal_B, learned)


def training_losses(logits_BL: Tensor, targets_BL: Tensor, config: TrainConfig) -> Tensor:
    """Return the loss of each document.

    ``bce`` is binary cross-entropy. ``focal`` (Lin et al. 2017) weights each label by (1 -
    p)^gamma, p the probability of the right answer, so that easy labels count less. ``asl``
    (asymmetric loss, Ridnik et al. 2021) does so only for labels that the document doesn't have,
    after subtracting a margin from their probabilities: those below the margin count for nothing.

    Args:
        logits_BL: Logits, float32.
        targets_BL: 1 if the document has the label, else 0.
        config: ``loss``, ``loss_gamma``, ``loss_margin``, ``pos_weight``, ``label_smoothing``.

    Returns:
        losses_B.
    """
    smooth_BL = (
        targets_BL
        if not config.label_smoothing
        else targets_BL + config.label_smoothing * (0.5 - targets_BL)
    )
    if config.loss == "asl":
        return _asymmetric(logits_BL, smooth_BL, config).mean(dim=1)
    if config.loss == "bce":
        return document_losses(logits_BL, smooth_BL, config.pos_weight)
    # A fill: copying a number to the device would wait for it.
    weight = torch.full((), config.pos_weight, device=logits_BL.device)
    losses_BL = functional.binary_cross_entropy_with_logits(
        logits_BL, smooth_BL, pos_weight=weight, reduction="none"
    )
    wrong_BL = torch.sigmoid(torch.where(targets_BL > 0, -logits_BL, logits_BL))
    return (losses_BL * wrong_BL**config.loss_gamma).mean(dim=1)


def _asymmetric(logits_BL: Tensor, targets_BL: Tensor, config: TrainConfig) -> Tensor:
    shifted_BL = (torch.sigmoid(logits_BL) - config.loss_margin).clamp(min=0)
    positive_BL = -functional.logsigmoid(logits_BL) * config.pos_weight
    negative_BL = -torch.log1p(-shifted_BL.clamp(max=1 - 1e-7)) * shifted_BL**config.loss_gamma
    return targets_BL * positive_BL + (1 - targets_BL) * negative_BL


def disagreement(first_BL: Tensor, second_BL: Tensor) -> Tensor:
    """Return how far two forward passes of the same documents disagree: R-Drop (Wu et al. 2021).

    Args:
        first_BL: Logits.
        second_BL: Logits of another draw of dropout.

    Returns:
        For each document, half the sum of the Kullback-Leibler divergences in both directions, the
        mean over the labels, each of which is a yes-or-no decision.
    """
    first, second = torch.sigmoid(first_BL), torch.sigmoid(second_BL)
    # Both directions together: of the logarithms of p and 1 - p, only the difference of the logits
    # remains.
    return ((first - second) * (first_BL - second_BL)).mean(dim=1) / 2


def loss_scaler(network: CodingNetwork, process_group: ProcessGroup) -> torch.amp.GradScaler | None:
    """Return what scales the losses of a network that computes in float16; None: it doesn't.

    Small gradients are zero in float16. So the loss is multiplied by a large number before the
    backward pass, and the gradients are divided by it afterwards (Micikevicius et al. 2018). If
    one of them was too large for float16, the step is skipped and the number halved; after 2,000
    steps without that, it is doubled.

    Raises:
        ConfigError: If only some of the processes compute in float16.
    """
    scaled = network.autocast is torch.float16
    if process_group.agree(scaled, not scaled) == (1, 1):
        raise ConfigError(
            "device: some of these GPUs compute in bfloat16, and others, older than Ampere, in "
            "float16. Train on GPUs of one kind, or set bit: 32"
        )
    if not scaled:
        return None
    return torch.amp.GradScaler(network.device.type)
