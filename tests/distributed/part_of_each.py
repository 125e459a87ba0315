"""Sets a training up under torchrun and prints this process's share of the weights."""

import sys

from torch.distributed.tensor import DTensor

from icdcli.config.loading import load_config
from icdcli.distributed.process_group import join_process_group, leave_process_group
from icdcli.training.setup import new_training

training, _ = new_training(load_config(sys.argv[1]), join_process_group("cpu"), None)
weights = list(training.model.network.parameters())
held = sum(
    weight.to_local().numel() if isinstance(weight, DTensor) else weight.numel()
    for weight in weights
)
sys.stdout.write(
    f"{held / sum(weight.numel() for weight in weights)}\n"
)  # at once, so that lines stay apart
leave_process_group()
