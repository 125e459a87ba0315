"""Trained members of an ensemble: tiny networks, two of which share a backbone, and TF-IDF."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from icdcli.config.loading import load_config
from icdcli.run_dir import RunDir, find_checkpoint
from icdcli.training.run import run_training

SHARING = {"bit": 32, "lora_activate": False, "freeze_backbone": True, "cpu_precision": "float32"}


@pytest.fixture(scope="session")
def train_member(notes: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunDir]:
    """Return a function that trains a quick run on the notes, beside the others."""
    project = tmp_path_factory.mktemp("members")

    def train(name: str, **changes: object) -> RunDir:
        options: dict[str, object] = {
            "model": "tiny", "bit": 32, "lora_activate": False, "max_len": 48, "device": "cpu",
            "data_path": notes, "project": project, "name": name, "batch_size": 16, "steps": 4,
            "warmup_steps": 2, "lr0": 2e-3, "head_lr_factor": 20, "pos_weight": 1, "log_every": 4,
            "gradient_checkpointing": False, "metrics": "[f1_micro, map]",
            "prediction_print_n": 0, "code_system": "icd10",
            "positive_threshold": "auto",
        }  # fmt: skip
        pairs = [f"{key}={value}" for key, value in (options | changes).items()]
        with torch.random.fork_rng():
            return run_training(load_config(None, pairs)).run

    return train


@pytest.fixture(scope="session")
def runs(train_member: Callable[..., RunDir], model_folders: dict[str, Path]) -> dict[str, RunDir]:
    """Return runs: two networks on one frozen BERT, another network with n-grams, and TF-IDF."""
    frozen = {"model": model_folders["bert"], **SHARING}
    return {
        "attention": train_member("attention", pooling_mode="label_attention", **frozen),
        "mean": train_member("mean", seed=1, **frozen),
        "lexical": train_member("lexical", lexical="[ngrams]"),
        "tfidf": train_member("tfidf", model="tfidf"),
    }


@pytest.fixture(scope="session")
def checkpoints(runs: dict[str, RunDir]) -> dict[str, Path]:
    """Return the checkpoint of each run."""
    return {name: find_checkpoint(run, "metric") for name, run in runs.items()}
