"""Label attention as GPUs compute it next to a half-precision backbone: is it exact, is it fast?

Four ways to compute the same head:

    float32     fused attention in float32: what a CPU and bit: 32 use
    split       products of bfloat16 parts and TF32 gradients: what a GPU uses with bit: 16, 8, 4
    bfloat16    fused attention of queries, keys and values rounded to bfloat16
    float16     the same, rounded to float16

On a GPU (``--gpu``): made-up hidden states of four documents of about 2,000 tokens, 8,929 codes,
width 256, with and without six assertion classes; milliseconds, memory, and the largest difference
of logits and gradients from float32. With a run (``--run``): the differences of the logits for its
validation notes on this machine, where the parts' products are computed in float32, which adds them
up as a GPU does.

    python benchmarks/label_attention_gpu.py --gpu --json label_attention_gpu.json
    python benchmarks/label_attention_gpu.py --tiny             small sizes on a CPU, to try it
    python benchmarks/label_attention_gpu.py --run outputs/laptop/laptop --corpus CORPUS
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional

from icdcli.data.corpus.reader import open_corpus
from icdcli.model.batch import Segments
from icdcli.model.checkpoint import load_model
from icdcli.model.heads import label_attention
from icdcli.model.heads.assertion_terms import CLASSES
from icdcli.model.heads.label_attention import LabelAttention
from icdcli.model.neural_model import NeuralModel

LENGTHS, LABELS, WIDTHS, WIDTH = (2_200, 2_050, 1_950, 1_800), 8_929, (2_048, 4_096), 256
TINY = ((40, 9, 3), 50, (32,), 16)
SHARPNESS = 3.0  # the standard deviation of scores; at the end of laptop.yaml, it is 0.8 to 3
WAYS = ("float32", "split", "bfloat16", "float16")
TIMES = 5


@contextmanager
def computed(way: str) -> Iterator[None]:
    """Compute heads in one of the ways."""
    attend = label_attention.attend
    dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(way)

    def rounded(queries: Tensor, keys: Tensor, values: Tensor, *others: Any, **more: Any) -> Tensor:
        parts = (part.to(dtype) for part in (queries, keys, values))
        if not queries.is_cuda:  # a CPU may add up half-precision numbers in half precision
            parts = (part.float() for part in parts)
        return attend(*parts, *others, **more).float()

    with (
        mock.patch.object(label_attention, "is_fast", return_value=way == "split"),
        mock.patch.object(label_attention, "attend", attend if dtype is None else rounded),
    ):
        yield


def made_up(
    device: torch.device,
    lengths: Sequence[int],
    labels: int,
    width: int,
    attention: int,
    classes: bool,
) -> list[dict[str, Any]]:
    """Measure all ways for made-up hidden states.

    Args:
        device: The device.
        lengths: The number of hidden states of each document.
        labels: The number of codes.
        width: The width of hidden states.
        attention: The width of queries, keys and values.
        classes: Whether the head knows assertion classes.
    """
    torch.manual_seed(0)
    head = LabelAttention(width, labels, attention, dropout=0.0).to(device)
    head.half_precision = True
    with torch.no_grad():
        for layer in (head.key, head.value):
            torch.nn.init.orthogonal_(layer.weight)
        head.queries_LW.mul_(SHARPNESS)
        head.outputs_LW.copy_(0.3 * functional.normalize(head.outputs_LW, dim=1))
    documents = Segments.of(lengths)
    shares_TA = None
    if classes:
        head.learn_classes(CLASSES)
        head.to(device)
        numbers = torch.randint(0, 1 + len(CLASSES), (sum(lengths),), device=device)
        shares_TA = functional.one_hot(numbers, 1 + len(CLASSES)).float()
    hidden_TD = torch.randn(sum(lengths), width, device=device).bfloat16().requires_grad_()
    targets_BL = (torch.rand(len(lengths), labels, device=device) < 0.002).float()
    weights = [weight for weight in head.parameters() if weight.ndim > 1]

    def run() -> tuple[float, float, list[Tensor]]:
        head.zero_grad(set_to_none=True)
        hidden_TD.grad = None
        start = synchronized()
        logits_BL = head(hidden_TD, documents, None, shares_TA)
        middle = synchronized()
        functional.binary_cross_entropy_with_logits(logits_BL, targets_BL).backward()
        end = synchronized()
        gradients = [each.grad.float() for each in (hidden_TD, *weights) if each.grad is not None]
        return 1e3 * (middle - start), 1e3 * (end - start), [logits_BL.detach(), *gradients]

    rows: list[dict[str, Any]] = []
    reference: list[Tensor] = []
    for way in WAYS:
        with computed(way):
            run()
            before = torch.cuda.memory_allocated() if device.type == "cuda" else 0
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            runs = [run() for _ in range(TIMES)]
            peak = torch.cuda.max_memory_allocated() - before if device.type == "cuda" else 0
        found = runs[-1][2]
        reference = reference or found
        rows.append(
            {
                "width": width,
                "classes": classes,
                "way": way,
                "forward_ms": min(run[0] for run in runs),
                "both_ms": min(run[1] for run in runs),
                "peak_mb": peak / 1e6,
                "logits": (found[0] - reference[0]).abs().max().item(),
                "gradients": max(
                    ((one - other).norm() / other.norm()).item()
                    for one, other in zip(found[1:], reference[1:], strict=True)
                ),
            }
        )
    return rows


def synchronized() -> float:
    """Wait for the GPU and return the time."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def of_run(run: Path, corpus: Path, count: int) -> list[dict[str, Any]]:
    """Compare the logits of the head of a run for notes of its validation split."""
    model = load_model(run)
    assert isinstance(model, NeuralModel)
    head = model.network.head
    assert isinstance(head, LabelAttention)
    head.half_precision = True
    notes = list(open_corpus(corpus).texts("validation"))[:count]
    differences: dict[str, list[Tensor]] = {way: [] for way in WAYS[1:]}
    sizes: list[Tensor] = []
    plain: Callable[..., Tensor] = head.forward

    def all_ways(*inputs: Any) -> Tensor:
        with computed("float32"):
            logits_BL = plain(*inputs)
        sizes.append(logits_BL.flatten())
        for way, found in differences.items():
            with computed(way):
                found.append((plain(*inputs) - logits_BL).flatten())
        return logits_BL

    with mock.patch.object(head, "forward", all_ways):
        model.scores(notes)
    logits = torch.cat(sizes)
    print(
        f"{len(notes)} notes, {logits.numel():,} logits from {logits.min():.1f} to "
        f"{logits.max():.1f}, standard deviation {logits.std():.2f}"
    )
    return [
        {
            "way": way,
            "logits": torch.cat(found).abs().max().item(),
            "root_mean_square": torch.cat(found).square().mean().sqrt().item(),
        }
        for way, found in differences.items()
    ]


def main() -> None:
    """Measure and print a line per way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--documents", type=int, default=250)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    if options.gpu or options.tiny:
        device = torch.device("cpu" if options.tiny else "cuda")
        lengths, labels, widths, attention = (
            TINY if options.tiny else (LENGTHS, LABELS, WIDTHS, WIDTH)
        )
        for width, classes in product(widths, (False, True)):
            rows += made_up(device, lengths, labels, width, attention, classes)
    if options.run:
        with torch.inference_mode():
            rows += of_run(options.run, options.corpus, options.documents)
    for row in rows:
        print(
            json.dumps(
                {
                    name: float(f"{value:.3g}") if isinstance(value, float) else value
                    for name, value in row.items()
                }
            ),
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
