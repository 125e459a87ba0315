"""The estimate of memory, compared with the memory of a process that trains."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoConfig

from icdcli.config.loading import load_config
from icdcli.profiling.memory import estimate_memory
from icdcli.training.memory.recomputation import Recomputation

SCRIPT = Path(__file__).with_name("measured_training.py")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "width", "layers", "changes"),
    [
        ("llama", 256, 4, {"gradient_checkpointing": False}),
        ("llama", 256, 4, {"recomputed": (2, False)}),
        ("llama", 256, 4, {"recomputed": (2, True), "lora_activate": True}),
        ("llama", 256, 4, {"recomputed": (4, True)}),
        ("llama", 256, 4, {"gradient_checkpointing": True, "lora_activate": True}),
        (
            "llama",
            256,
            4,
            {
                "gradient_checkpointing": False,
                "pooling_mode": "label_attention",
                "freeze_backbone": True,
            },
        ),
        (
            "bert",
            256,
            4,
            {
                "gradient_checkpointing": False,
                "lora_activate": True,
                "pooling_mode": "label_attention",
            },
        ),
        ("bert", 256, 4, {"gradient_checkpointing": True}),
    ],
)
def test_the_estimate_is_within_15_percent_of_the_memory_of_a_process(
    architecture, width, layers, changes
):
    changes = dict(changes)
    recomputed = changes.pop("recomputed", None)  # else as configured
    lengths = np.random.default_rng(1).integers(100, 512, 80).tolist()
    options = {
        "model": "tiny",
        "bit": 32,
        "lora_activate": False,
        "device": "cpu",
        "max_len": 512,
        "batch_size": 8,
        "gradient_checkpointing": True,
    } | changes
    options |= {"steps": 10, "warmup_steps": 0}
    sizes = {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
    }
    words = [f"{key}={value}" for key, value in options.items()]
    given = map(json.dumps, (sizes, words, lengths, recomputed))
    command = [sys.executable, str(SCRIPT), architecture, *given]
    run = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=600, env=os.environ
    )
    before, most = json.loads(run.stdout)
    documents, settings = np.array(lengths), AutoConfig.for_model(architecture, **sizes)
    known = {"settings": settings, "cached": False, "libraries": before}
    if recomputed is not None:
        known["recomputation"] = Recomputation(recomputed[0], layers, recomputed[1])
    found = estimate_memory(load_config(None, words), 500, documents, documents, **known)
    assert most - before > 10**8  # or the test would show nothing
    assert found.total == pytest.approx(most, rel=0.15)
