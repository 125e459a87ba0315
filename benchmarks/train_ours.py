"""Side a of `train.py`: icdcode, fed from arrays, by the functions that `icdcode train` calls."""

import sys
from contextlib import closing

import numpy as np
import torch
from train_documents import LABELS, Documents
from train_network import POS_WEIGHT, SIZES, ours
from train_watch import Watch

from icdcli.data.batching import SpecialTokens
from icdcli.data.corpus.reader import Labels
from icdcli.data.encoded_documents import EncodedDocuments, Tokens
from icdcli.distributed.process_group import ProcessGroup
from icdcli.model.neural_model import NeuralModel
from icdcli.model.packing.probe import choose_padding
from icdcli.model.threshold import Threshold
from icdcli.training.early_stopping import Best
from icdcli.training.loop import train_step
from icdcli.training.micro_batches import MicroBatchReader, token_budget
from icdcli.training.section import LogConfig, TrainConfig
from icdcli.training.setup import make_optimizer
from icdcli.training.state import RunState, Training
from icdcli.training.step_metrics import Meter


def train_ours(read: Documents, size_name: str, max_len: int, seed: int, log_every: int) -> Watch:
    """Train on the documents in their order."""
    size, steps = SIZES[size_name], len(read.order)
    device = torch.device(size.device)
    network, built_from = ours(size, max_len, seed)
    config = TrainConfig(
        batch_size=len(read.order[0]),
        steps=steps,
        warmup_steps=0,
        lr0=size.lr,
        lrf=1.0,
        pos_weight=POS_WEIGHT,
        gradient_checkpointing=size.checkpointing,
        padding="free",
    )
    choose_padding(network, config.padding)
    codes = tuple(f"{label:03}" for label in range(LABELS))
    labels = Labels(codes, ("diagnosis",) * LABELS, (None,) * LABELS, (1,) * LABELS, (1,) * LABELS)
    tokens = Tokens(np.concatenate(read.ids), np.concatenate([[0], np.cumsum(read.lengths)]))
    special_tokens = SpecialTokens((), (), pad=0)
    train = EncodedDocuments(
        tokens, np.arange(len(read.ids)), read.targets, special_tokens, max_len
    )
    training = Training(
        model=NeuralModel(
            network, None, special_tokens, labels, built_from, Threshold(), own_backbone=False
        ),
        optimizer=make_optimizer(network, config),
        train=train,
        validation=train,
        validation_ids=[],
        config=config,
        log=LogConfig(log_every=log_every),
        seed=seed,
        process_group=ProcessGroup(0, 1, device),
        state=RunState(Best(higher_is_better=True)),
        micro_batch_tokens=token_budget(network, size.checkpointing),
    )
    watch = Watch(network, device, steps)
    meter = Meter(training)
    network.train()
    watch.lengths += [read.lengths[rows] for rows in read.order]
    with closing(MicroBatchReader(training, read.order)) as reader:
        for rows in reader:
            done = train_step(training, rows, reader, meter)
            watch.step_done(done.step)
            if done.train_loss is not None:
                watch.losses.append(done.train_loss)
            if done.note:
                print(done.note, file=sys.stderr)
    return watch
