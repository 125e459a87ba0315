"""The command `icdcode` with fused layers on a CPU: plain functions stand for Liger's kernels."""

from functools import partial

from icdcli.cli import main
from icdcli.model import execution
from icdcli.model.kernels.choice import choose_kernels
from icdcli.model.kernels.functions import PLAIN

execution.choose_kernels = partial(choose_kernels, load=lambda: PLAIN, kind="cpu")
main()
