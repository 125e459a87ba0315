"""A checkpoint of a small network with random weights, and notes in several blocks."""

import json

import pytest
import torch

from icdcli.data.corpus.reader import Labels
from icdcli.data.notes.files import find_notes
from icdcli.io.manifest import write_manifest
from icdcli.model.new_model import new_model, tokenizer_for
from icdcli.model.section import ModelConfig
from icdcli.model.threshold import Threshold
from icdcli.predict import batches

LABELS = Labels(("I10", "I50.9"), ("diagnosis", "diagnosis"), ("A", "B"), (3, 2), (2, 1))
WORDS = ("chest pain", "denies fever", "heart failure acute on chronic", "kidney disease")


@pytest.fixture(scope="session")
def checkpoint(model_folders, tmp_path_factory):
    """Return the folder of a checkpoint."""
    config = ModelConfig(model=str(model_folders["bert"]), bit=32, max_len=64, lora_r=4)
    cpu = torch.device("cpu")
    model = new_model(config, tokenizer_for(config, []), LABELS, Threshold(0.4), cpu, 0)
    folder = tmp_path_factory.mktemp("model") / "last"
    folder.mkdir()
    model.save(folder)
    write_manifest(folder, {"step": 1})
    return folder


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """Return a table of 22 notes, one of them without text."""
    rows = [{"id": f"n{number}", "text": WORDS[number % 4]} for number in range(22)]
    rows[7]["text"] = ""
    path = tmp_path_factory.mktemp("notes") / "notes.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture
def notes(table, monkeypatch):
    """Return the notes, in six blocks."""
    monkeypatch.setattr(batches, "BLOCK_NOTES", 4)
    return find_notes([str(table)])
