"""Predicting into a file with a model whose base model changes in between."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from icdcli.data.corpus.reader import Labels
from icdcli.data.notes.files import find_notes
from icdcli.errors import ResumeError
from icdcli.io.manifest import write_manifest
from icdcli.model.new_model import new_model, tokenizer_for
from icdcli.model.section import ModelConfig
from icdcli.model.threshold import Threshold
from icdcli.predict import batches
from icdcli.predict.batches import NotePredictor, Selection
from icdcli.predict.run import predict_to_file, write_predictions

LABELS = Labels(("I10", "I50.9"), ("diagnosis", "diagnosis"), ("A", "B"), (3, 2), (2, 1))
CPU = torch.device("cpu")


@pytest.fixture
def stopped(model_folders, tmp_path, monkeypatch):
    """Return a function that stops a prediction, changes the base model, and calls again."""

    def run(*, without_identity=False):
        base = shutil.copytree(model_folders["bert"], tmp_path / "bert")
        config = ModelConfig(model=str(base), bit=32, max_len=64, lora_r=4)
        model = new_model(config, tokenizer_for(config, []), LABELS, Threshold(0.4), CPU, 0)
        checkpoint, output = tmp_path / "last", tmp_path / "codes.jsonl"
        checkpoint.mkdir()
        model.save(checkpoint)
        if without_identity:  # as an earlier version wrote it
            settings = json.loads((checkpoint / "coder.json").read_text())
            del settings["base"]
            (checkpoint / "coder.json").write_text(json.dumps(settings))
        write_manifest(checkpoint, {"step": 1})
        rows = [{"id": str(number), "text": "chest pain"} for number in range(9)]
        (tmp_path / "notes.jsonl").write_text("\n".join(map(json.dumps, rows)))
        notes = find_notes([str(tmp_path / "notes.jsonl")])
        monkeypatch.setattr(batches, "BLOCK_CHARACTERS", 30)
        predict = batches.NotePredictor.predict
        calls = []

        def stop(self, *arguments):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return predict(self, *arguments)

        monkeypatch.setattr(batches.NotePredictor, "predict", stop)
        with pytest.raises(KeyboardInterrupt):
            predict_to_file(checkpoint, notes, output, top=2)
        weights = load_file(base / "model.safetensors")
        changed = {name: weight + 0.1 for name, weight in weights.items()}
        save_file(changed, base / "model.safetensors", metadata={"format": "pt"})
        warnings = []
        try:
            predict_to_file(checkpoint, notes, output, top=2, on_warning=warnings.append)
        finally:
            run.warnings, run.output = warnings, output

    return run


def test_a_stopped_prediction_does_not_continue_with_another_base_model(stopped):
    with pytest.raises(ResumeError, match=r"model\.safetensors differs"):
        stopped()
    assert not stopped.output.exists()


def test_without_a_stored_identity_it_starts_over(stopped):
    stopped(without_identity=True)
    [warning] = stopped.warnings
    assert "was written with another base model. Starting over." in warning
    rows = [json.loads(line) for line in stopped.output.read_text().splitlines()]
    assert len(rows) == 9
    assert len({json.dumps(row["codes"]) for row in rows}) == 1  # the same note, the same codes


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_model_in_memory_writes_the_same_file_after_an_interruption(
    model_folders, tmp_path, monkeypatch, ending
):
    config = ModelConfig(model=str(model_folders["bert"]), bit=32, max_len=64, lora_r=4)
    model = new_model(config, tokenizer_for(config, []), LABELS, Threshold(0.4), CPU, 0)
    checkpoint, table = tmp_path / "last", tmp_path / "notes.jsonl"
    checkpoint.mkdir()
    model.save(checkpoint)
    write_manifest(checkpoint, {"step": 1})
    words = ["chest pain", "denies fever", "heart failure"]
    rows = [{"id": str(number), "text": words[number % 3]} for number in range(9)]
    table.write_text("\n".join(map(json.dumps, rows)))
    notes = find_notes([str(table)])
    monkeypatch.setattr(batches, "BLOCK_CHARACTERS", 40)
    selection, seen = Selection(top=2), []
    predictor = NotePredictor(model, selection)

    def predict(block, report):
        if len(seen) == 1 and seen[0]:
            seen[0] = None
            raise KeyboardInterrupt
        seen.append(block[0].id)
        return predictor.predict(block, report)

    output = tmp_path / f"own.{ending}"
    with pytest.raises(KeyboardInterrupt):
        write_predictions(checkpoint, notes, output, predict, selection)
    progress = []
    count, cut = write_predictions(
        checkpoint, notes, output, predict, selection, on_notes=lambda *of: progress.append(of)
    )
    assert (count, cut.notes) == (9, 0)
    assert {all_notes for _, all_notes in progress} == {9}
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)
    assert progress[-1] == (9, 9)
    assert seen.count("0") == 0  # the first block was done before
    expected = tmp_path / f"expected.{ending}"
    predict_to_file(checkpoint, notes, expected, top=2)
    assert output.read_bytes() == expected.read_bytes()
