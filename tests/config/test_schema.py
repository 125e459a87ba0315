"""The configuration has the keys and defaults of the guide that icdcode started from."""

import yaml

from icdcli.config.loading import load_config, shipped_configs
from icdcli.config.schema import Config

# The original guide's YAML, with its keys, order and values.
GUIDE = {
    "seed": 0,
    "deterministic": True,
    "device": [0],
    "project": "outputs/mimic3",
    "name": "automatic_coding",
    "model": "llama3",
    "bit": 8,
    "max_len": 1024,
    "pooling_mode": "mean",
    "lora_activate": True,
    "workers": 0,
    "mimic3_data_path": "data",
    "chunk_size": 100000,
    "label_pruning": False,
    "batch_size": 8,
    "steps": 60000,
    "warmup_steps": 400,
    "lr0": 1e-4,
    "lrf": 0.01,
    "scheduler_type": "cosine",
    "pos_weight": 5,
    "gradient_checkpointing": True,
    "patience": 5,
    "prediction_print_n": 3,
    "positive_threshold": 0.5,
    "common": ["train_loss", "validation_loss", "lr"],
    "metrics": ["aucroc_macro", "aucroc_micro", "aucprc_macro", "aucprc_micro"],
}


def test_the_guides_yaml_is_shipped_with_every_key():
    written = yaml.safe_load((shipped_configs()["config.yaml"]).read_text())
    assert list(written) == list(GUIDE)
    loaded = load_config(shipped_configs()["config.yaml"]).flat()
    assert {key: loaded[key] for key in GUIDE} == GUIDE


def test_the_defaults_are_the_guides():
    defaults = Config().flat()
    # Which layers are recomputed changes no result.
    guide = GUIDE | {"gradient_checkpointing": "auto"}
    assert {key: defaults[key] for key in GUIDE} == guide
    assert defaults["long_notes"] == "first"  # max_len means what it means in the guide
