"""Sides b to e of `train.py`: Hugging Face's Trainer on a network of transformers and peft.

b pads to the longest document of a forward pass, as `DataCollatorWithPadding` does by default; c to
``max_len``, as the original tool does; d is b with the Trainer's own grouping by length, so its
steps have other documents; e is d with Liger's kernels. Options that don't change the result are
those of an experienced user: on a GPU, several numbers of documents per forward pass are tried,
with and without checkpointing, and the fastest counts.
"""

import gc
import logging
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch.utils.data import Dataset
from train_documents import Documents
from train_network import Plain, Wanted, set_checkpointing, theirs
from train_watch import Watch, synchronize
from transformers import (
    DataCollatorWithPadding,
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from icdcli.model.inference.passes import release_memory

TRIED = 2
"""Steps of a trial; the last of them is timed."""


@dataclass(frozen=True)
class Setting:
    """What changes the speed of a training, but not its result.

    Attributes:
        checkpointing: Whether activations are recomputed.
        accumulate: The number of forward passes per step.
    """

    checkpointing: bool
    accumulate: int


class _Examples(Dataset[dict[str, Any]]):
    """The documents in the order of training; read in sequence, they give the same steps."""

    def __init__(self, read: Documents, labels: int) -> None:
        self.read, self.rows, self.labels = read, np.concatenate(read.order), labels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, Any]:
        row = self.rows[place]
        labels_L = np.zeros(self.labels, dtype=np.float32)
        labels_L[self.read.targets[row]] = 1.0
        return {"input_ids": self.read.ids[row].tolist(), "labels": labels_L}


class _Watching(TrainerCallback):
    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report the step to the watch."""
        self.watch.step_done(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Keep the mean loss since the last log."""
        if "loss" in logs:
            self.watch.losses.append(logs["loss"])


class _LastStep(TrainerCallback):
    """Measures the last step of a trial."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock with the device idle."""
        synchronize(self.device)
        self.seconds = -time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop the clock."""
        synchronize(self.device)
        self.seconds += time.perf_counter()


def train_theirs(read: Documents, options: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    """Train on the documents in their order, or grouped by length, and return all figures."""
    # transformers advises to pad while tokenizing, but there is no text here.
    logging.getLogger("transformers").setLevel(logging.ERROR)
    device, steps = torch.device(wanted.size.device), len(read.order)
    network = theirs(wanted)
    more: dict[str, Any] = {"restarts": 0}
    if options["side"] == "e":
        more["liger_layers"] = use_liger(network)
    run = partial(_run, network, read, options, wanted)
    tried = _try(network, run, settings(options, device))
    setting = min(tried, key=lambda each: tried[each])
    if len(tried) > 1:
        more["tried"] = [vars(each) | {"seconds": took} for each, took in tried.items()]
    watch = Watch(network, device, steps, setting.accumulate)
    hook = network.register_forward_pre_hook(
        lambda _, __, tensors: watch.lengths.append(tensors["attention_mask"].sum(dim=1)),
        with_kwargs=True,
    )
    run(setting, steps, _Watching(watch))
    hook.remove()
    more |= {"checkpointing": setting.checkpointing, "accumulate": setting.accumulate}
    return watch.found(wanted.size) | more


def use_liger(network: Plain) -> int:
    """Let the backbone compute with Liger's kernels, as ``use_liger_kernel`` of the Trainer does.

    The Trainer itself only reaches a model of transformers, with or without peft, and passes by one
    inside of another module, as ours is; so its function is called with the backbone. The loss
    isn't the language model's, so that Liger's fused loss must be off.

    Returns:
        The number of layers that compute with Liger's kernels.

    Raises:
        SystemExit: If there are none.
    """
    from transformers.integrations.liger import apply_liger_kernel

    apply_liger_kernel(
        network.backbone, {"fused_linear_cross_entropy": False, "cross_entropy": False}
    )
    changed = sum(module._get_name().startswith("Liger") for module in network.modules())
    if not changed:
        raise SystemExit("Liger's kernels did not reach the backbone")
    return changed


def settings(options: dict[str, Any], device: torch.device) -> list[Setting]:
    """Return the settings to try: those of the command line, or several on a GPU."""
    batch_size, wanted = options["batch_size"], options["checkpointing"]
    given = None if wanted == "auto" else wanted == "True"
    if device.type != "cuda" or options["accumulate"]:
        return [Setting(bool(given), options["accumulate"] or 1)]
    several = [
        Setting(False, batch_size),
        Setting(False, max(batch_size // 2, 1)),
        Setting(True, 1),
    ]
    return [each for each in several if given in (None, each.checkpointing)]


def _try(network: Plain, run: Any, candidates: list[Setting]) -> dict[Setting, float]:
    """Return how long a step takes with each setting that fits in memory.

    The network keeps its weights.

    Raises:
        torch.OutOfMemoryError: If none fits.
    """
    if len(candidates) == 1:
        return {candidates[0]: 0.0}
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    before = [weight.detach().clone() for weight in trained]
    found: dict[Setting, float] = {}
    for setting in candidates:
        clock = _LastStep(torch.device(network.output.weight.device))
        try:
            run(setting, TRIED, clock)
        except torch.OutOfMemoryError:
            print(f"{setting}: out of memory", file=sys.stderr)
        else:
            found[setting] = clock.seconds
            print(f"{setting}: {clock.seconds:.2f} s per step", file=sys.stderr)
        with torch.no_grad():
            for weight, values in zip(trained, before, strict=True):
                weight.copy_(values)
                weight.grad = None
        gc.collect()  # a Trainer refers to itself
        release_memory(clock.device)
    if not found:
        raise torch.OutOfMemoryError("no setting fits in memory")
    return found


def _run(
    network: Plain,
    read: Documents,
    options: dict[str, Any],
    wanted: Wanted,
    setting: Setting,
    steps: int,
    callback: TrainerCallback,
) -> None:
    """Train for some steps."""
    side, on_gpu = options["side"], wanted.size.device != "cpu"
    set_checkpointing(network, setting.checkpointing)
    padding = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"[PAD]": 0}, "[PAD]")),
        pad_token="[PAD]",
        padding_side="right",
    )
    collator = DataCollatorWithPadding(
        padding, padding="max_length" if side == "c" else "longest", max_length=wanted.max_len
    )
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=len(read.order[0]) // setting.accumulate,
            gradient_accumulation_steps=setting.accumulate,
            train_sampling_strategy="group_by_length" if side in "de" else "sequential",
            optim="adamw_torch_fused" if on_gpu else "adamw_torch",
            learning_rate=wanted.size.lr,
            weight_decay=0.01,
            lr_scheduler_type="constant",
            bf16=wanted.bit != 32,
            use_cpu=not on_gpu,
            logging_steps=options["log_every"],
            logging_nan_inf_filter=False,  # it waits for the GPU at every step
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        trainer = Trainer(
            network,
            arguments,
            train_dataset=_Examples(read, wanted.labels),
            data_collator=collator,
            callbacks=[callback],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
