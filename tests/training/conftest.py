"""A small corpus that can be learned, and runs on it."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from icdcli.config import Config, load_config

WORDINGS = {
    "I10": ["hypertension", "htn", "high blood pressure"],
    "E11.9": ["diabetes", "dm2", "type two diabetes"],
    "J18.9": ["pneumonia", "pna", "lobar infiltrate"],
    "N17.9": ["acute kidney injury", "aki", "renal failure"],
}


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 120 short notes in which wordings stand for four codes."""
    draw = random.Random(0)
    path = tmp_path_factory.mktemp("notes") / "notes.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(120):
            codes = [code for code in WORDINGS if draw.random() < 0.4] or ["I10"]
            words = [draw.choice(WORDINGS[code]) for code in codes] + ["patient seen", "plan discussed", "stable"]
            draw.shuffle(words)
            row = {"id": str(number), "subject_id": str(number // 2), "text": ". ".join(words), "codes": codes}
            file.write(json.dumps(row) + "\n")
    return path


@pytest.fixture
def config(notes: Path, tmp_path: Path) -> Callable[..., Config]:
    """A configuration of a quick run on the notes, with changes."""

    def make(**changes: object) -> Config:
        options: dict[str, object] = {
            "model": "tiny", "bit": 32, "lora_activate": False, "max_len": 48, "device": "cpu", "data_path": notes,
            "project": tmp_path / "runs", "name": "run", "batch_size": 8, "steps": 24, "warmup_steps": 4, "lr0": 2e-3,
            "head_lr_factor": 20, "pos_weight": 1, "gradient_checkpointing": False, "log_every": 5,
            "metrics": "[f1_micro, aucroc_micro]", "prediction_print_n": 2,
        }  # fmt: skip
        return load_config(None, [f"{key}={value}" for key, value in (options | changes).items()])

    return make
