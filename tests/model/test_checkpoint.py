import json
import shutil

import numpy as np
import pytest
import torch

import icdcli
from icdcli.data.corpus.reader import Labels
from icdcli.errors import ConfigError, ResumeError
from icdcli.io.manifest import verify, write_manifest
from icdcli.model import neural_model
from icdcli.model.checkpoint import load_model
from icdcli.model.new_model import new_model, tokenizer_for
from icdcli.model.section import ModelConfig
from icdcli.model.threshold import Threshold

CPU = torch.device("cpu")
CODES, KINDS_OF_CODE = ("401.9", "428.0", "99.04"), ("diagnosis", "diagnosis", "procedure")
LABELS = Labels(CODES, KINDS_OF_CODE, ("Hypertension", None, "X"), (3, 2, 1), (2, 1, 1))
NOTES = ["chest pain", "", "denies fever, heart failure and diabetes mellitus type two"]
KINDS = {
    "tiny": {"model": "tiny", "lora_activate": False},
    "tiny-lora": {"model": "tiny", "lora_activate": True},
    "tiny-frozen": {"model": "tiny", "lora_activate": False, "freeze_backbone": True},
    "lora": {"model": "llama", "lora_activate": True},
    "frozen": {"model": "bert", "lora_activate": False, "freeze_backbone": True},
    "full": {"model": "mistral", "lora_activate": False},
    "half": {"model": "llama", "lora_activate": True, "bit": 16},
}


def make(kind, folders, seed=0):
    options = dict(KINDS[kind])
    options["model"] = str(folders.get(options["model"], options["model"]))
    config = ModelConfig(**{"bit": 32, "max_len": 64, "lora_r": 4, **options})
    model = new_model(config, tokenizer_for(config, NOTES * 5), LABELS, Threshold(0.4), CPU, seed)
    # As after training: no weight has its initial value.
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.network.trainable().values():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.05)
    return model


def save(model, folder):
    folder.mkdir()
    model.save(folder)
    write_manifest(folder, {"step": 7})
    return folder


def scores(model):
    model.network.eval()
    model.threshold = Threshold(0.0)
    return [[(found.code, found.score) for found in note] for note in model.predict(NOTES)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_gives_the_same_scores(kind, model_folders, tmp_path):
    model = make(kind, model_folders)
    folder = save(model, tmp_path / "last")
    loaded = load_model(folder)
    assert (loaded.labels, loaded.threshold, loaded.special_tokens, loaded.config) == (
        LABELS,
        Threshold(0.4),
        model.special_tokens,
        model.config,
    )
    assert not loaded.network.trainable()
    assert scores(loaded) == scores(model)


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_are_the_contracts(kind, model_folders, tmp_path):
    folder = save(make(kind, model_folders), tmp_path / "last")
    found = {path.name for path in folder.iterdir()}
    expected = {"head.safetensors", "labels.parquet", "coder.json", "manifest.json"}
    expected |= {"adapter"} if "lora" in kind or kind == "half" else set()
    expected |= {"backbone"} if "tiny" in kind or kind == "full" else set()
    assert found == expected
    if "adapter" in found:
        assert {path.name for path in (folder / "adapter").iterdir()} == {
            "README.md",
            "config.json",
            "adapter_config.json",
            "adapter_model.safetensors",
        }


def test_a_frozen_base_is_not_saved(model_folders, tmp_path):
    folder = save(make("lora", model_folders), tmp_path / "last")
    assert (folder / "head.safetensors").stat().st_size < 5_000


def test_a_model_that_owns_its_backbone_needs_no_base(model_folders, tmp_path):
    copy = tmp_path / "mistral"
    shutil.copytree(model_folders["mistral"], copy)
    folder = save(make("full", {"mistral": copy}), tmp_path / "last")
    shutil.rmtree(copy)
    assert scores(load_model(folder))


def test_a_missing_base_is_named(model_folders, tmp_path):
    copy = tmp_path / "llama"
    shutil.copytree(model_folders["llama"], copy)
    folder = save(make("lora", {"llama": copy}), tmp_path / "last")
    shutil.rmtree(copy)
    with pytest.raises(ConfigError, match="its base model is needed to load it"):
        load_model(folder)


def test_the_same_seed_gives_the_same_new_model(model_folders, tmp_path):
    for kind in ("tiny", "lora"):
        assert scores(make(kind, model_folders)) == scores(make(kind, model_folders))
        assert scores(make(kind, model_folders)) != scores(make(kind, model_folders, seed=1))


def test_every_change_of_a_file_is_found(model_folders, tmp_path):
    folder = save(make("tiny-lora", model_folders), tmp_path / "last")
    assert verify(folder)["step"] == 7
    for path in [
        path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"
    ]:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(ResumeError, match="was changed or is damaged"):
            load_model(folder)
        path.unlink()
        with pytest.raises(ResumeError, match=f"{path.name} is missing"):
            load_model(folder)
        path.write_bytes(content)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(ResumeError, match="can't be read"):
        load_model(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(ResumeError, match="is not a checkpoint"):
        load_model(folder)


def test_another_format_is_refused(model_folders, tmp_path):
    folder = save(make("tiny", model_folders), tmp_path / "last")
    about = json.loads((folder / "coder.json").read_text())
    (folder / "coder.json").write_text(json.dumps(about | {"format": 99}))
    write_manifest(folder, {})
    with pytest.raises(ResumeError, match="written by another version"):
        load_model(folder)


def test_coding_notes_from_python(model_folders, tmp_path):
    run = tmp_path / "run"
    (run / "weights").mkdir(parents=True)
    save(make("tiny", model_folders), run / "weights" / "metric")
    model = icdcli.load_model(run)
    model.threshold = Threshold(0.0)
    found = model.predict(NOTES)
    assert [len(note) for note in found] == [3, 0, 3]  # the second has no text
    assert all(note == sorted(note, key=lambda one: -one.score) for note in found)
    assert {one.code: one.title for one in found[0]} == dict(
        zip(LABELS.codes, LABELS.titles, strict=True)
    )
    model.threshold = Threshold(1.0)
    assert model.predict(NOTES) == [[], [], []]
    assert icdcli.load_model(run / "weights" / "metric").labels == LABELS
    with pytest.raises(ConfigError, match="no such run or checkpoint"):
        icdcli.load_model(tmp_path / "none")


def test_the_tokenizer_is_copied_once_for_all_notes(model_folders, monkeypatch):
    model, copied, tokenization = make("tiny", model_folders), [], neural_model.tokenization
    monkeypatch.setattr(
        neural_model, "tokenization", lambda *options: copied.append(1) or tokenization(*options)
    )
    expected = model.scores(NOTES)
    np.testing.assert_array_equal(model.scores(NOTES), expected)
    assert copied == [1]


def test_other_notes_dont_change_a_notes_scores(model_folders):
    model = make("tiny", model_folders)
    model.network.eval()
    model.threshold = Threshold(0.0)
    together = model.predict(NOTES)
    for note, expected in zip(NOTES, together, strict=True):
        [alone] = model.predict([note])
        np.testing.assert_allclose(
            [one.score for one in alone], [one.score for one in expected], atol=1e-6
        )
