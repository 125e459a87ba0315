"""A checkpoint recognizes its base model: its weights, its settings and its tokenizer."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from icdcli.config.loading import load_config
from icdcli.data.corpus.reader import Labels
from icdcli.errors import ConfigError, ResumeError
from icdcli.io.manifest import write_manifest
from icdcli.model.checkpoint import load_model
from icdcli.model.files.base_identity import current_state, tokenizer_files, weight_files
from icdcli.model.neural_model import NeuralModel
from icdcli.model.new_model import new_model, tokenizer_for
from icdcli.model.section import ModelConfig
from icdcli.model.threshold import Threshold
from icdcli.model.tokenizer import train_tokenizer
from icdcli.run_dir import RunDir

CPU = torch.device("cpu")
LABELS = Labels(
    ("401.9", "428.0"), ("diagnosis", "diagnosis"), ("Hypertension", "Failure"), (3, 2), (2, 1)
)
NOTES = ["chest pain", "denies fever, heart failure"]
OPTIONS = {"bit": 32, "max_len": 64, "lora_r": 4}


@pytest.fixture
def base(model_folders, tmp_path):
    """Return a copy of a small BERT that may be changed."""
    return shutil.copytree(model_folders["bert"], tmp_path / "models" / "bert")


def save(name, folder, descriptions=(), **options):
    """Write a checkpoint with a new adapter on a base model."""
    config = ModelConfig(model=str(name), **OPTIONS | options)
    model = new_model(
        config, tokenizer_for(config, NOTES), LABELS, Threshold(0.4), CPU, 0, descriptions
    )
    folder.mkdir(parents=True)
    model.save(folder)
    write_manifest(folder, {"step": 7})
    return folder


def change_weights(base):
    weights = load_file(base / "model.safetensors")
    changed = {name: weight + 0.1 for name, weight in weights.items()}
    save_file(changed, base / "model.safetensors", metadata={"format": "pt"})


def without_identity(folder):
    """Make a checkpoint one of an earlier version, which knows only the base model's name."""
    settings = json.loads((folder / "coder.json").read_text())
    del settings["base"]
    (folder / "coder.json").write_text(json.dumps(settings))
    write_manifest(folder, {"step": 7})


def test_changed_weights_are_found_at_every_load(base, tmp_path):
    folder = save(base, tmp_path / "last")
    assert load_model(folder).predict(NOTES)
    change_weights(base)
    with pytest.raises(
        ResumeError, match=r"base model .*bert is not .* model\.safetensors differs"
    ):
        load_model(folder)
    with pytest.raises(ResumeError, match="Restore the folder as it was, or train again"):
        NeuralModel.load(folder, CPU, trainable=True)


def test_an_exchanged_tokenizer_is_found(base, tmp_path):
    folder = save(base, tmp_path / "last")
    train_tokenizer(["zeta stable plan discussed"] * 3, vocabulary=390).save_pretrained(base)
    with pytest.raises(
        ResumeError, match=r"the tokenizer .*bert is not .* tokenizer\.json differs"
    ):
        load_model(folder)


def test_a_changed_setting_is_found_and_a_note_of_the_writer_is_not(base, tmp_path):
    folder = save(base, tmp_path / "last")
    settings = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(
        json.dumps(settings | {"transformers_version": "9.0", "_name_or_path": "elsewhere"})
    )
    assert load_model(folder).predict(NOTES)
    (base / "config.json").write_text(json.dumps(settings | {"layer_norm_eps": 0.1}))
    with pytest.raises(ResumeError, match=r"config\.json differs"):
        load_model(folder)


def test_a_relative_folder_is_found_from_any_folder(base, tmp_path, monkeypatch, model_folders):
    monkeypatch.chdir(tmp_path)
    folder = save("models/bert", tmp_path / "last")
    expected = load_model(folder).scores(NOTES).tolist()
    other = tmp_path / "other"
    shutil.copytree(model_folders["llama"], other / "models" / "bert")
    for place in (tmp_path / "models", other):
        monkeypatch.chdir(place)
        assert load_model(folder).scores(NOTES).tolist() == expected


def test_a_folder_that_is_gone_is_never_looked_up_on_the_hub(base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = save("models/bert", tmp_path / "last")
    monkeypatch.setattr("icdcli.model.hub._base_of_adapter", lambda _: pytest.fail("looked up"))
    base.rename(tmp_path / "elsewhere")
    with pytest.raises(
        ConfigError, match=r"models/bert: this folder of the base model isn't there"
    ):
        load_model(folder)


def test_a_moved_base_is_found_by_its_relative_name_and_checked(base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = save("models/bert", tmp_path / "last")
    expected = load_model(folder).scores(NOTES).tolist()
    new = tmp_path / "new"
    new.mkdir()
    (tmp_path / "models").rename(new / "models")
    monkeypatch.chdir(new)
    model = load_model(folder)
    assert model.scores(NOTES).tolist() == expected
    assert model.base.weights.at == str(new / "models" / "bert")
    change_weights(new / "models" / "bert")
    with pytest.raises(ResumeError, match=r"model\.safetensors differs"):
        load_model(folder)


def test_a_hub_model_keeps_its_commit(base, tmp_path, monkeypatch):
    cache = tmp_path / "cache" / "models--owner--bert"
    snapshot = cache / "snapshots" / ("a" * 40)
    shutil.copytree(base, snapshot)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache.parent))
    folder = save("owner/bert", tmp_path / "last")
    expected = load_model(folder)
    assert (expected.base.weights.at, expected.base.weights.commit) == ("owner/bert", "a" * 40)
    newer = shutil.copytree(base, cache / "snapshots" / ("b" * 40))
    change_weights(newer)
    (cache / "refs" / "main").write_text("b" * 40)
    assert load_model(folder).scores(NOTES).tolist() == expected.scores(NOTES).tolist()
    change_weights(snapshot)
    with pytest.raises(ResumeError, match=r"model\.safetensors differs"):
        load_model(folder)


def test_a_prior_on_a_trained_backbone_needs_the_base_from_the_start(base, tmp_path):
    options = {"lora_activate": False, "freeze_backbone": False, "description_prior": True}
    folder = save(base, tmp_path / "last", [["hypertension"], ["heart failure"]], **options)
    assert load_model(folder).scores(NOTES).any()
    change_weights(base)
    with pytest.raises(ResumeError, match=r"model\.safetensors differs"):
        load_model(folder)
    shutil.rmtree(base)
    with pytest.raises(ConfigError, match="description prior reads notes with the untrained"):
        load_model(folder)


def test_a_trained_backbone_without_prior_needs_no_base(base, tmp_path):
    folder = save(base, tmp_path / "last", lora_activate=False, freeze_backbone=False)
    shutil.rmtree(base)
    assert load_model(folder).scores(NOTES).any()


def test_a_checkpoint_of_an_earlier_version_loads_and_learns_its_base(base, tmp_path):
    folder = save(base, tmp_path / "last")
    without_identity(folder)
    model = load_model(folder)
    (tmp_path / "next").mkdir()
    model.save(tmp_path / "next")
    write_manifest(tmp_path / "next", {"step": 8})
    before = current_state(folder)
    change_weights(base)
    assert load_model(folder).scores(NOTES).any()  # it can't know
    assert current_state(folder) != before  # but predict doesn't mix two models in one file
    with pytest.raises(ResumeError, match=r"model\.safetensors differs"):
        load_model(tmp_path / "next")


def test_a_run_of_an_earlier_version_finds_its_relative_base(
    base, tmp_path, monkeypatch, model_folders
):
    monkeypatch.chdir(tmp_path)
    run = RunDir.create(tmp_path / "runs", "run")
    run.write_config(load_config(None, ["model=models/bert", "project=runs", "name=run"]))
    (run.root / "origin.json").unlink()
    folder = save("models/bert", run.checkpoint("steps") / "7")
    without_identity(folder)
    expected = load_model(folder).scores(NOTES).tolist()
    shutil.copytree(model_folders["llama"], tmp_path / "other" / "models" / "bert")
    monkeypatch.chdir(tmp_path / "other")
    assert load_model(folder).scores(NOTES).tolist() == expected


def test_a_large_model_is_known_by_all_its_shards(tmp_path):
    shards = {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}
    for name in shards.values():
        (tmp_path / name).write_bytes(b"weights")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    (tmp_path / "pytorch_model.bin").write_bytes(b"not loaded")
    (tmp_path / "config.json").write_text("{}")
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_text("{}")
    assert {path.name for path in weight_files(tmp_path)} == {
        "config.json",
        "model.safetensors.index.json",
        *shards.values(),
    }
    files = [path.name for path in tokenizer_files(tmp_path)]
    assert files == ["tokenizer.json", "tokenizer_config.json"]
