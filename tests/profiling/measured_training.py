"""A process that trains one epoch on random tokens, validates, and prints its memory.

For test_memory.py. Run as ``python measured_training.py architecture sizes options lengths
recomputed``, all but the first as JSON; the last is the number of recomputed layers and whether
they keep their attention, or null: as configured. It prints the bytes in use before the training,
and those at the peak.
"""

import json
import sys
from contextlib import closing
from dataclasses import replace

import numpy as np
import torch
from transformers import BertConfig, LlamaConfig

from icdcli.config.loading import load_config
from icdcli.data.batching import SpecialTokens
from icdcli.data.corpus.reader import Labels
from icdcli.data.encoded_documents import EncodedDocuments, Tokens
from icdcli.distributed.hardware import peak_memory, resident_memory
from icdcli.distributed.process_group import ProcessGroup
from icdcli.model.backbone import new_backbone
from icdcli.model.network import build_network
from icdcli.model.neural_model import NeuralModel
from icdcli.model.packing.probe import choose_padding
from icdcli.model.threshold import Threshold
from icdcli.training.early_stopping import Best
from icdcli.training.loop import train_step, validate
from icdcli.training.memory.planning import plan_memory, use_plan
from icdcli.training.memory.recomputation import Recomputation
from icdcli.training.micro_batches import MicroBatchReader
from icdcli.training.setting_up.optimizer import make_optimizer
from icdcli.training.setup import be_reproducible
from icdcli.training.state import RunState, Training
from icdcli.training.step_metrics import Meter

LABELS = 500
ARCHITECTURES = {"llama": LlamaConfig, "bert": BertConfig}


def training_of(config, settings, lengths, recomputed=None):
    """Return a training on documents of these lengths, of random tokens."""
    be_reproducible(config.run)
    settings.is_causal = False
    network = build_network(
        config.model, new_backbone(config.model, settings, torch.device("cpu")), LABELS
    )
    choose_padding(network, config.train.padding)
    draw, special_tokens = np.random.default_rng(0), SpecialTokens((), (), 0)
    ids = draw.integers(0, settings.vocab_size, sum(lengths), dtype=np.uint32)
    targets = [np.array([0, 1], np.int32)] * len(lengths)
    documents = EncodedDocuments(
        Tokens(ids, np.cumsum([0, *lengths])),
        np.arange(len(lengths)),
        targets,
        special_tokens,
        config.model.max_len,
    )
    names = tuple(map(str, range(LABELS)))
    labels = Labels(names, ("diagnosis",) * LABELS, (None,) * LABELS, (1,) * LABELS, (1,) * LABELS)
    training = Training(
        model=NeuralModel(
            network, None, special_tokens, labels, config.model, Threshold(), own_backbone=True
        ),
        optimizer=make_optimizer(network, config.train),
        train=documents,
        validation=documents,
        validation_ids=[str(number) for number in range(len(lengths))],
        config=config.train,
        log=config.log,
        seed=0,
        process_group=ProcessGroup(0, 1),
        state=RunState(Best(higher_is_better=True)),
    )
    plan = plan_memory(training)
    if recomputed is not None:
        layers, keeps_attention = recomputed
        way = Recomputation(layers, settings.num_hidden_layers, keeps_attention)
        use_plan(training, replace(plan, recomputation=way))
    return training


def train_and_validate(config, settings, lengths, recomputed=None):
    """Run an epoch, and a validation of the same documents."""
    training = training_of(config, settings, lengths, recomputed)
    training.model.network.train()
    meter = Meter(training)
    with closing(MicroBatchReader(training, training.plan(0))) as reader:
        for rows in reader:
            train_step(training, rows, reader, meter)
    for _ in validate(training, Meter(training)):
        pass


if __name__ == "__main__":
    architecture = sys.argv[1]
    sizes, options, lengths, recomputed = map(json.loads, sys.argv[2:])
    config, small = (
        load_config(None, options),
        {**sizes, "hidden_size": 16, "intermediate_size": 16},
    )
    # Imports everything that is imported lazily.
    train_and_validate(config, ARCHITECTURES[architecture](**small), [8, 8])
    before = resident_memory()
    train_and_validate(config, ARCHITECTURES[architecture](**sizes), lengths, recomputed)
    print(json.dumps([before, peak_memory()]))
