"""The sides of `predict.py`.

Shapes: N notes, L labels, B notes of a batch.
"""

import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from train_documents import LABELS, documents
from train_network import (
    SIZES,
    Plain,
    Wanted,
    adapter_weights,
    ours,
    peak_operations,
    theirs,
    useful_operations,
)
from train_profile import profiled
from train_watch import synchronize
from transformers import PreTrainedTokenizerFast

from icdcli.data.batching import SpecialTokens
from icdcli.data.corpus.reader import Labels
from icdcli.data.notes.text import Note
from icdcli.distributed.devices import let_memory_grow
from icdcli.model.execution import FASTEST
from icdcli.model.inference.passes import release_memory
from icdcli.model.neural_model import NeuralModel
from icdcli.model.threshold import Threshold
from icdcli.predict.run import predict_notes

WARM_UP = 8
"""Notes that are predicted before the clock starts."""

Predict = Callable[[list[str]], NDArray[np.float32]]
"""From texts to scores_NL."""


def measure(options: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], float]]:
    """Measure the sides one after another.

    Yields:
        The side, its figures or why it wasn't measured, and the largest difference of its scores
        from those of the first side.
    """
    size = SIZES[options["size"]]
    if size.device != "cpu" and not torch.cuda.is_available():
        for side in options["only"]:
            yield side, {"not_measured": "this machine has no CUDA GPU"}, 0.0
        return
    if size.device != "cpu":
        let_memory_grow(os.environ)  # as `icdcode predict` does; for the pipeline, too
    seed, max_len = options["seed"], options["max_len"]
    read = documents(options["lengths"], None, options["notes"], max_len, 1, 1, seed)
    texts = [" ".join(f"w{token}" for token in ids.tolist()) for ids in read.ids]
    wanted = Wanted(size, options["bit"] or size.bit, max_len, seed, "mean", LABELS)
    first_NL: NDArray[np.float32] | None = None
    own = [side for side in options["only"] if side == "a"]
    others = [side for side in options["only"] if side != "a"]
    for sides in filter(None, (own, others)):
        prepared = _Icdcode(wanted) if sides == own else _Pipeline(wanted)
        for side in sides:
            row, scores_NL = _timed(side, prepared, texts, read.lengths, wanted, options)
            if scores_NL is None:
                yield side, row, 0.0
                continue
            first_NL = scores_NL if first_NL is None else first_NL
            yield side, row, float(np.abs(scores_NL - first_NL).max())
        del prepared
        gc.collect()
        release_memory(torch.device(size.device))


def _timed(
    side: str,
    prepared: "_Icdcode | _Pipeline",
    texts: list[str],
    lengths: NDArray[np.int64],
    wanted: Wanted,
    options: dict[str, Any],
) -> tuple[dict[str, Any], NDArray[np.float32] | None]:
    """Return a side's figures and scores_NL."""
    device = torch.device(wanted.size.device)
    predict = prepared.of(side)
    on_gpu = device.type == "cuda"
    try:
        predict(texts[:WARM_UP])
        synchronize(device)
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(device)
        prepared.computed = 0
        began = time.perf_counter()
        scores_NL = predict(texts)
        seconds = time.perf_counter() - began
        computed = prepared.computed
        peak_mb = torch.cuda.max_memory_allocated(device) / 1e6 if on_gpu else None
        more: dict[str, Any] = {"restarts": prepared.restarts}
        if options["profile"] and side == "a":
            with profiled(device) as more["profile"]:
                predict(texts)
    except torch.OutOfMemoryError:
        return {"not_measured": "the GPU ran out of memory"}, None
    name = torch.cuda.get_device_name(device) if on_gpu else "CPU"
    peak = peak_operations(name)
    operations = useful_operations(wanted.size, prepared.adapters, lengths, training=False)
    figures = {
        "notes_per_second": len(texts) / seconds,
        "tokens_per_second": int(lengths.sum()) / seconds,
        "padding": 1 - int(lengths.sum()) / computed,
        "peak_mb": peak_mb,
        "utilization": operations / seconds / peak if peak else None,
        "operations_per_second": operations / seconds,
        "seconds": seconds,
        "device": name,
    }
    return figures | more, scores_NL


class _Counting:
    """Counts the tokens that a backbone reads, padding included."""

    def __init__(self, network: Any) -> None:
        self.computed = self.restarts = 0
        self.adapters = adapter_weights(network)
        network.backbone.get_input_embeddings().register_forward_pre_hook(self._count)

    def _count(self, _: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self.computed += inputs[0].numel()


class _Icdcode(_Counting):
    """Side a: the network as icdcode loads it, used by `predict_notes`."""

    def __init__(self, wanted: Wanted) -> None:
        network, config = ours(wanted)
        super().__init__(network)
        network.on_warning = self._warn
        _fill_adapters(network, wanted.seed)
        FASTEST.choose(network)
        network.eval().requires_grad_(False)
        codes = tuple(f"{label:05}" for label in range(LABELS))
        kinds, titles, counts = ("diagnosis",) * LABELS, (None,) * LABELS, (1,) * LABELS
        labels = Labels(codes, kinds, titles, counts, counts)
        special_tokens = SpecialTokens((), (), pad=0)
        self._model = NeuralModel(
            network,
            _tokenizer(wanted),
            special_tokens,
            labels,
            config,
            Threshold(),
            own_backbone=False,
        )

    def _warn(self, message: str) -> None:
        self.restarts += "ran out of memory" in message
        print(message, file=sys.stderr)

    def of(self, _: str) -> Predict:
        """Return the prediction of a side."""
        return self._predict

    def _predict(self, texts: list[str]) -> NDArray[np.float32]:
        notes = (Note(str(number), text) for number, text in enumerate(texts))
        scores_NL = np.zeros((len(texts), LABELS), np.float32)
        for row, note in enumerate(predict_notes(self._model, notes, top=LABELS)):
            for code in note.codes:
                scores_NL[row, int(code.code)] = code.score
        return scores_NL


class _Pipeline(_Counting):
    """The other sides: padded batches, with the adapters merged into the weights."""

    def __init__(self, wanted: Wanted) -> None:
        network = theirs(wanted)
        adapters = adapter_weights(network)
        _fill_adapters(network, wanted.seed)
        merged: Any = network.backbone
        if wanted.bit in (16, 32):  # a user doesn't merge them into quantized weights
            network.backbone = merged.merge_and_unload()
        super().__init__(network)
        self.adapters = adapters
        self._network: Plain = network.eval()
        self._tokenizer, self._max_len = _tokenizer(wanted), wanted.max_len
        self._device, self._half = torch.device(wanted.size.device), wanted.bit != 32

    def of(self, side: str) -> Predict:
        """Return the prediction of a side."""
        by_length, size = side[0] == "s", int(side[1:])

        @torch.inference_mode()
        def predict(texts: list[str]) -> NDArray[np.float32]:
            order = np.argsort([-len(text) if by_length else 0 for text in texts], kind="stable")
            scores_NL = np.zeros((len(texts), LABELS), np.float32)
            for start in range(0, len(order), size):
                rows = order[start : start + size]
                batch = self._tokenizer(
                    [texts[row] for row in rows],
                    padding=True,
                    truncation=True,
                    max_length=self._max_len,
                    return_tensors="pt",
                ).to(self._device)
                with torch.autocast(self._device.type, torch.bfloat16, enabled=self._half):
                    logits_BL = self._network.scores(batch["input_ids"], batch["attention_mask"])
                scores_NL[rows] = logits_BL.float().sigmoid().cpu().numpy()
            return scores_NL

        return predict


@torch.no_grad()
def _fill_adapters(network: Any, seed: int) -> None:
    """Draw the second factors of the adapters, which are zero before training."""
    generator = torch.Generator().manual_seed(seed + 3)
    for name, weight in network.backbone.named_parameters():
        if ".lora_B." in name:
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.01)


def _tokenizer(wanted: Wanted) -> PreTrainedTokenizerFast:
    """Return a tokenizer of words; it has as many as the network, of which the notes use some."""
    count = wanted.size.shape["vocab_size"]
    words = Tokenizer(WordLevel({f"w{token}": token for token in range(count)}, "w0"))
    words.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="w0", padding_side="right", unk_token="w0"
    )
