"""The optimizer of a run."""

import torch

from icdcli.model.network import CodingNetwork
from icdcli.training.section import TrainConfig


def make_optimizer(network: CodingNetwork, config: TrainConfig) -> torch.optim.AdamW:
    """Return AdamW (Loshchilov & Hutter 2019) over the trainable weights.

    Biases and norms (vectors) are not decayed.
    """
    groups: dict[tuple[float, float, float], list[torch.nn.Parameter]] = {}
    for name, weight in network.trainable().items():
        alone, together = (
            (1.0, 1.0)
            if name.startswith("backbone.")
            else (config.head_lr_factor, config.joint_factor)
        )
        groups.setdefault(
            (alone, together, config.weight_decay if weight.ndim > 1 else 0.0), []
        ).append(weight)
    options = [
        {"params": weights, "factor": alone, "joint_factor": together, "weight_decay": decay}
        for (alone, together, decay), weights in groups.items()
    ]
    return torch.optim.AdamW(options, lr=config.lr0, fused=network.device.type == "cuda")


def keep_other_labels(
    optimizer: torch.optim.Optimizer, weights: list[torch.nn.Parameter], learned: torch.Tensor
) -> None:
    """Make an optimizer leave the rows of labels that aren't learned as they are now.

    Their gradients are zero, but AdamW's weight decay would still shrink them.

    Args:
        optimizer: The optimizer.
        weights: Weights with a row for each label; they may be sharded.
        learned: The labels that are learned.
    """
    from torch.distributed.tensor import DTensor, distribute_tensor

    other_L = torch.ones(len(weights[0]), dtype=torch.bool, device=learned.device)
    other_L[learned] = False

    def own(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to_local() if isinstance(tensor, DTensor) else tensor

    kept = []
    for weight in weights:
        others = (
            distribute_tensor(other_L, weight.device_mesh, weight.placements, src_data_rank=None)
            if isinstance(weight, DTensor)
            else other_L
        )
        rows = own(others).nonzero()[:, 0]
        kept.append((weight, rows, own(weight.detach())[rows].clone()))

    def put_back(*_: object) -> None:
        for weight, rows, values in kept:
            own(weight.detach()).index_copy_(0, rows, values)

    optimizer.register_step_post_hook(put_back)
