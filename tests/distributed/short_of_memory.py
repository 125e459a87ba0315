"""Runs icdcode; the second process has memory for few tokens per forward pass without gradients.

Arguments: the number of tokens, and those of icdcode.
"""

import os
import sys

import torch

from icdcli.cli import main
from icdcli.model.network import CodingNetwork

limit, forward = int(sys.argv.pop(1)), CodingNetwork.forward


def limited(self, batch, *rest, **more):
    if not torch.is_grad_enabled() and batch.ids.numel() > limit:
        raise torch.OutOfMemoryError("CUDA out of memory")
    return forward(self, batch, *rest, **more)


if os.environ["RANK"] == "1":
    CodingNetwork.forward = limited
main()
