"""Runs icdcode with gradients that are summed in one of several ways.

Arguments: ``after`` the backward pass, during it in ``tiny`` buckets, or so that the main process
is ``short`` of memory in the last backward pass of its seventh step; and those of icdcode.
"""

import os
import sys

import torch

from icdcli.cli import main
from icdcli.distributed import gradient_sums
from icdcli.distributed.gradient_sums import GradientSums
from icdcli.training import setup

mode = sys.argv.pop(1)
gradient_sums.BUCKET_BYTES = 256
if mode == "after":
    setup.sums_in_backward = lambda process_group, few: None
if mode == "short" and os.environ["RANK"] == "0":
    listen, start, steps = GradientSums.listen, GradientSums._start_next, []

    def listening(self):
        steps.append(0)
        listen(self)

    def limited(self):
        if self._listening and len(steps) == 7 and len(self._under_way) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        start(self)

    GradientSums.listen, GradientSums._start_next = listening, limited
main()
