"""Side a of `train.py`: icdcode, fed from arrays, by the functions that `icdcode train` calls."""

import sys
from contextlib import closing, nullcontext
from typing import Any

import numpy as np
import torch
from train_documents import Documents
from train_network import POS_WEIGHT, Wanted, ours
from train_profile import HeadInputs, head_seconds, profiled
from train_watch import Watch

from icdcli.data.batching import SpecialTokens
from icdcli.data.corpus.reader import Labels
from icdcli.data.encoded_documents import EncodedDocuments, Tokens
from icdcli.distributed.process_group import ProcessGroup
from icdcli.model.execution import Execution
from icdcli.model.network import CodingNetwork
from icdcli.model.neural_model import NeuralModel
from icdcli.model.section import ModelConfig
from icdcli.model.threshold import Threshold
from icdcli.training.early_stopping import Best
from icdcli.training.loop import train_step
from icdcli.training.memory.planning import plan_memory
from icdcli.training.micro_batches import MicroBatchReader
from icdcli.training.section import LogConfig, TrainConfig
from icdcli.training.setup import make_optimizer
from icdcli.training.state import RunState, Training
from icdcli.training.step_metrics import Meter

_CHECKPOINTING: dict[str, Any] = {"auto": "auto", "True": True, "False": False}


def train_ours(read: Documents, options: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    """Train on the documents in their order, and return all figures.

    With ``profile``, the last step of the order isn't timed but profiled.
    """
    steps = options["steps"]
    network, built_from = ours(wanted)
    config = TrainConfig(
        batch_size=len(read.order[0]),
        steps=len(read.order),
        warmup_steps=0,
        lr0=wanted.size.lr,
        lrf=1.0,
        pos_weight=POS_WEIGHT,
        gradient_checkpointing=_CHECKPOINTING[options["checkpointing"]],
        padding="free",
        kernels=options["kernels"],
    )
    Execution(config.padding, config.kernels).choose(network)
    training = _training(network, built_from, config, read, options)
    watch = Watch(network, network.device, steps)
    meter = Meter(training)
    network.train()
    watch.lengths += [read.lengths[rows] for rows in read.order[:steps]]
    more: dict[str, Any] = {"restarts": 0}
    inputs = HeadInputs(network)
    with closing(MicroBatchReader(training, read.order)) as reader:
        for number, rows in enumerate(reader, start=1):
            if number > steps:
                with profiled(network.device) as more["profile"]:
                    train_step(training, rows, reader, meter)
                break
            with inputs if number == steps and wanted.head == "label_attention" else nullcontext():
                done = train_step(training, rows, reader, meter)
            watch.step_done(done.step)
            if done.train_loss is not None:
                watch.losses.append(done.train_loss)
            if done.note:
                more["restarts"] += "ran out of memory" in done.note
                print(done.note, file=sys.stderr)
    if wanted.head == "label_attention":
        own = head_seconds(network, inputs.kept)
        more["head_share"] = own / (watch.seconds / watch.timed_steps)
    more["micro_batch_tokens"] = training.micro_batch_tokens
    more["fused"] = list(network.fused)
    more["checkpointing"] = training.recomputation.layers > 0
    more["recomputation"] = str(training.recomputation)
    return watch.found(wanted.size) | more


def _training(
    network: CodingNetwork,
    built_from: ModelConfig,
    config: TrainConfig,
    read: Documents,
    options: dict[str, Any],
) -> Training:
    """Set up a run as `icdcli.training.setup` does, without a corpus."""
    count = options["labels"]
    codes = tuple(f"{label:05}" for label in range(count))
    labels = Labels(codes, ("diagnosis",) * count, (None,) * count, (1,) * count, (1,) * count)
    tokens = Tokens(np.concatenate(read.ids), np.concatenate([[0], np.cumsum(read.lengths)]))
    special_tokens = SpecialTokens((), (), pad=0)
    train = EncodedDocuments(
        tokens, np.arange(len(read.ids)), read.targets, special_tokens, options["max_len"]
    )
    model = NeuralModel(
        network, None, special_tokens, labels, built_from, Threshold(), own_backbone=False
    )
    training = Training(
        model=model,
        optimizer=make_optimizer(network, config),
        train=train,
        validation=train,
        validation_ids=[],
        config=config,
        log=LogConfig(log_every=options["log_every"]),
        seed=options["seed"],
        process_group=ProcessGroup(0, 1, torch.device(network.device)),
        state=RunState(Best(higher_is_better=True)),
    )
    plan_memory(training)
    return training
