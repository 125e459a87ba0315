"""Sides b, c and d of `train.py`: Hugging Face's Trainer on a network of transformers and peft.

b pads to a batch's longest document, as `DataCollatorWithPadding` does by default; c to
``max_len``, as the original tool does; d is b with the Trainer's own grouping by length, so its
steps have other documents. Options that don't change the result keep the Trainer's defaults.
"""

import logging
import tempfile
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch.utils.data import Dataset
from train_documents import LABELS, Documents
from train_network import SIZES, theirs
from train_watch import Watch
from transformers import (
    DataCollatorWithPadding,
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)


class _Examples(Dataset[dict[str, Any]]):
    """The documents in the order of training; read in sequence, they give the same steps."""

    def __init__(self, read: Documents) -> None:
        self.read, self.rows = read, np.concatenate(read.order)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, Any]:
        row = self.rows[place]
        labels_L = np.zeros(LABELS, dtype=np.float32)
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


def train_theirs(
    side: str,
    read: Documents,
    size_name: str,
    max_len: int,
    seed: int,
    log_every: int,
    accumulate: int,
) -> Watch:
    """Train on the documents in their order, or grouped by length for d.

    Args:
        side: b, c or d.
        read: The documents.
        size_name: One of `SIZES`.
        max_len: The length that c pads to.
        seed: The seed of the first weights.
        log_every: Steps between two losses.
        accumulate: Forward passes per step.
    """
    size = SIZES[size_name]
    network = theirs(size, max_len, seed)
    # transformers advises to pad while tokenizing, but there is no text here.
    logging.getLogger("transformers").setLevel(logging.ERROR)
    padding = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"[PAD]": 0}, "[PAD]")),
        pad_token="[PAD]",
        padding_side="right",
    )
    collator = DataCollatorWithPadding(
        padding, padding="max_length" if side == "c" else "longest", max_length=max_len
    )
    device = torch.device(size.device)
    with tempfile.TemporaryDirectory() as folder:
        options = TrainingArguments(
            output_dir=folder,
            max_steps=len(read.order),
            per_device_train_batch_size=len(read.order[0]) // accumulate,
            gradient_accumulation_steps=accumulate,
            train_sampling_strategy="group_by_length" if side == "d" else "sequential",
            optim="adamw_torch_fused" if device.type == "cuda" else "adamw_torch",
            learning_rate=size.lr,
            weight_decay=0.01,
            lr_scheduler_type="constant",
            bf16=size.bit == 16,
            use_cpu=device.type == "cpu",
            logging_steps=log_every,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        watch = Watch(network, device, len(read.order), accumulate)
        network.register_forward_pre_hook(
            lambda _, __, tensors: watch.lengths.append(tensors["attention_mask"].sum(dim=1)),
            with_kwargs=True,
        )
        trainer = Trainer(
            network,
            options,
            train_dataset=_Examples(read),
            data_collator=collator,
            callbacks=[_Watching(watch)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return watch
