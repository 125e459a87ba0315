"""Memory and time of label attention at full size: fused, as in icdcode, and by the plain formula.

One document of 8,192 tokens and 8,929 codes, width 128, forward and backward, float32 on the CPU.
Each variant runs in its own process, which has its own peak of memory. Both start from the same
numbers, and their logits and gradients must agree.

    python benchmarks/label_attention.py
    python benchmarks/label_attention.py --tokens 1024 --labels 2000 --json label_attention.json
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from icdcli.model.batch import Segments
from icdcli.model.heads.label_attention import LabelAttention

VARIANTS = ("fused", "plain")
WIDTH = 384


def plain(head: LabelAttention, hidden_TD: Tensor) -> Tensor:
    """Compute the logits by the formula, with the matrix of codes and tokens."""
    keys_TW, values_TW = head.key(hidden_TD), head.value(hidden_TD)
    weights_LT = (head.queries_LW @ keys_TW.T * keys_TW.shape[1] ** -0.5).softmax(dim=-1)
    found_LW = functional.layer_norm(
        weights_LT @ values_TW, (keys_TW.shape[1],), head.norm.weight, head.norm.bias
    )
    logits_L: Tensor = (found_LW * head.outputs_LW).sum(dim=-1) + head.bias_L
    return logits_L


def run_variant(variant: str, tokens: int, labels: int, into: Path) -> None:
    """Run one variant, forward and backward, and write the results."""
    torch.manual_seed(0)
    head = LabelAttention(WIDTH, labels, 128, dropout=0.0)
    hidden_TD = torch.randn(tokens, WIDTH, requires_grad=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    logits_L = (
        head(hidden_TD, Segments.of((tokens,)))[0] if variant == "fused" else plain(head, hidden_TD)
    )
    # Gradients of the size that training has.
    functional.binary_cross_entropy_with_logits(logits_L, torch.zeros(labels)).backward()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert hidden_TD.grad is not None
    assert head.queries_LW.grad is not None
    arrays = {
        "logits": logits_L.detach(),
        "states": hidden_TD.grad,
        "queries": head.queries_LW.grad,
    }
    np.savez(
        into,
        seconds=seconds,
        megabytes=(peak - before) / 1024,
        **{name: each.numpy() for name, each in arrays.items()},
    )


def main() -> int:
    """Run both variants, print a table, and return 0 if they agree."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=8_192)
    parser.add_argument("--labels", type=int, default=8_929)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.variant:
        run_variant(arguments.variant, arguments.tokens, arguments.labels, arguments.into)
        return 0
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for variant in VARIANTS:
            into = Path(folder) / f"{variant}.npz"
            sizes = ["--tokens", str(arguments.tokens), "--labels", str(arguments.labels)]
            subprocess.run(
                [sys.executable, __file__, "--variant", variant, "--into", str(into), *sizes],
                check=True,
            )
            found[variant] = dict(np.load(into))
    difference = max(
        float(np.abs(found["fused"][name] - found["plain"][name]).max())
        for name in ("logits", "states", "queries")
    )
    print(f"{arguments.labels:,} codes, {arguments.tokens:,} tokens, forward and backward")
    print(f"{'':<8}{'seconds':>10}{'peak MB':>10}{'times the memory':>19}")
    for variant in VARIANTS:
        times = found[variant]["megabytes"] / found["fused"]["megabytes"]
        print(
            f"{variant:<8}{found[variant]['seconds']:>10.2f}{found[variant]['megabytes']:>10,.0f}{times:>19.1f}"
        )
    print(f"largest difference of logits and gradients: {difference:.1e}")
    if arguments.json:
        measured = {
            variant: {key: float(found[variant][key]) for key in ("seconds", "megabytes")}
            for variant in VARIANTS
        }
        arguments.json.write_text(
            json.dumps({"difference": difference, **measured}, indent=2) + "\n", encoding="utf-8"
        )
    return 0 if difference < 1e-5 else 1


if __name__ == "__main__":
    sys.exit(main())
