"""Exported models: complete, with the same scores, private, and without paths of this machine."""

import json
import math
import os
import shutil
import stat
from dataclasses import replace

import pytest
import torch

import icdcli
from icdcli.config.loading import load_config
from icdcli.data.corpus.reader import Labels
from icdcli.errors import ConfigError, ResumeError
from icdcli.io.manifest import checkpoint_identity, write_manifest
from icdcli.model.checkpoint import load_model
from icdcli.model.files.export import export_model
from icdcli.model.new_model import new_model, tokenizer_for
from icdcli.model.section import ModelConfig
from icdcli.model.threshold import Threshold
from icdcli.run_dir import RunDir

CPU = torch.device("cpu")
LABELS = Labels(
    ("401.9", "428.0", "99.04"),
    ("diagnosis", "diagnosis", "procedure"),
    ("Hypertension", None, "Transfusion"),
    (3, 2, 1),
    (2, 1, 1),
)
NOTES = ["chest pain", "denies fever, heart failure and diabetes mellitus type two"]
TRAINED = {"lora_activate": False, "freeze_backbone": False}
KINDS = {
    "tiny": {"model": "tiny", "lora_activate": False},
    "tiny with adapter": {"model": "tiny"},
    "adapter": {"model": "llama"},
    "half precision": {"model": "llama", "bit": 16},
    "frozen": {"model": "bert", "lora_activate": False, "freeze_backbone": True},
    "trained": {"model": "mistral", **TRAINED},
    "trained with prior": {"model": "bert", "description_prior": True, **TRAINED},
}
WITH_BASE = ("adapter", "half precision", "frozen", "trained with prior")


@pytest.fixture
def run(tmp_path, model_folders):
    """Return a function that makes a run with a checkpoint of a kind of model."""

    def make(kind, **changes):
        options = {"bit": 32, "max_len": 64, "lora_r": 4, **KINDS[kind]}
        options["model"] = str(model_folders.get(options["model"], options["model"]))
        config = ModelConfig(**options | changes)
        texts = [["hypertension"], ["heart failure"], []] if config.description_prior else ()
        model = new_model(
            config, tokenizer_for(config, NOTES * 5), LABELS, Threshold(0.4), CPU, 0, texts
        )
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for weight in model.network.trainable().values():
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.05)
        made = RunDir.create(tmp_path / "secret project", "run")
        words = [f"data_path={tmp_path / 'secret data'}", f"model={options['model']}", "bit=32"]
        made.write_config(load_config(None, [*words, f"project={tmp_path / 'secret project'}"]))
        checkpoint = made.checkpoint("steps") / "7"
        checkpoint.mkdir(parents=True)
        model.save(checkpoint)
        (checkpoint / "state.pt").write_bytes(b"the optimizer's state")
        write_manifest(
            checkpoint, {"step": 7, "metrics": {"map": 0.5}, "corpus": "mimic3-patient-1"}
        )
        made.checkpoint("metric").symlink_to("steps/7")
        return made

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_an_exported_model_gives_the_same_scores(run, kind, tmp_path):
    made = run(kind)
    expected = load_model(made.root)
    exported = export_model(made.root, tmp_path / "out", base=kind in WITH_BASE)
    assert exported.base_included == (True if kind in WITH_BASE else None)
    shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    model = load_model(tmp_path / "elsewhere")
    assert model.scores(NOTES).tolist() == expected.scores(NOTES).tolist()
    assert (replace(model.labels, editions=None), model.threshold) == (LABELS, Threshold(0.4))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_plain_private_and_knows_nothing_of_this_machine(run, kind, tmp_path, model_folders):
    made = run(kind)
    export_model(made.root, tmp_path / "out", base=True)
    for path in (tmp_path / "out").rglob("*"):
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        assert not path.is_symlink() and mode == (0o700 if path.is_dir() else 0o600)
        content = path.read_bytes() if path.is_file() else b""
        for private in (str(tmp_path), str(model_folders["llama"].parent), "optimizer's state"):
            assert private.encode() not in content, path
    assert stat.S_IMODE(os.stat(tmp_path / "out").st_mode) == 0o700
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_base_on_this_machine_must_be_included(run, tmp_path):
    made = run("adapter")
    with pytest.raises(ConfigError, match=r"is a folder of this machine .* Add --base"):
        export_model(made.root, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"secret project"}


def test_a_base_on_the_hub_may_be_left_out(run, tmp_path, model_folders, monkeypatch):
    cache = tmp_path / "cache" / "models--owner--llama"
    shutil.copytree(model_folders["llama"], cache / "snapshots" / ("a" * 40))
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache.parent))
    made = run("adapter", model="owner/llama")
    expected = load_model(made.root).scores(NOTES).tolist()
    for base in (False, True):
        folder = tmp_path / f"out-{base}"
        assert export_model(made.root, folder, base=base).base_included is base
        assert load_model(folder).scores(NOTES).tolist() == expected
        card = (folder / "README.md").read_text()
        assert ("Its weights are in this folder." in card) is base
    assert (
        f"Base model: owner/llama, commit {'a' * 40}."
        in (tmp_path / "out-False" / "README.md").read_text()
    )
    settings = json.loads((tmp_path / "out-False" / "adapter" / "adapter_config.json").read_text())
    assert (settings["base_model_name_or_path"], settings["revision"]) == ("owner/llama", "a" * 40)
    shutil.rmtree(cache)
    assert load_model(tmp_path / "out-True").scores(NOTES).tolist() == expected


def test_a_changed_base_is_not_exported_and_a_changed_copy_is_found(run, tmp_path, model_folders):
    copy = shutil.copytree(model_folders["bert"], tmp_path / "bert")
    made = run("frozen", model=str(copy))
    export_model(made.root, tmp_path / "out", base=True)
    for folder in (copy, tmp_path / "out" / "base"):
        settings = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(settings | {"layer_norm_eps": 0.1}))
    with pytest.raises(ResumeError, match=r"config\.json differs"):
        export_model(made.root, tmp_path / "second", base=True)
    assert not (tmp_path / "second").exists()
    with pytest.raises(ResumeError, match=r"config\.json: was changed"):
        load_model(tmp_path / "out")


def test_nothing_is_replaced_or_left_half_written(run, tmp_path, monkeypatch):
    made = run("tiny")
    (tmp_path / "taken").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        export_model(made.root, tmp_path / "taken")
    with pytest.raises(ConfigError, match="there is no folder"):
        export_model(made.root, tmp_path / "none" / "out")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("icdcli.model.files.export.shutil.copyfile", full)
    with pytest.raises(icdcli.DataError, match=r"can't be written \(No space left"):
        export_model(made.root, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"secret project", "taken"}


def test_the_card_has_the_evaluations_of_this_checkpoint_only(run, tmp_path):
    made = run("tiny")
    manifest = json.loads((made.checkpoint("metric") / "manifest.json").read_text())
    for split, step in (("test", 7), ("validation", 3)):
        made.evaluation(split).mkdir(parents=True)
        about = checkpoint_identity(manifest) | {"step": step}
        content = {"split": split, **about, "documents": 40, "metrics": {"map": 0.61234}}
        content["intervals"] = {"map": [0.5, 0.7]}
        (made.evaluation(split) / "metrics.json").write_text(json.dumps(content))
    export_model(made.root, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| map | 0.612 (0.500–0.700) |" in card and "| metric | test |" in card
    assert "| codes | 3 (2 diagnosis, 1 procedure) |" in card
    assert "| code system | icd9cm-32@" in card
    assert "can contain words of notes" in card
    assert "There is no pretrained base model" in card


@pytest.mark.parametrize("undefined", [None, math.nan])
def test_the_card_leaves_out_what_is_undefined_on_the_validation_split(run, tmp_path, undefined):
    checkpoint = run("tiny").checkpoint("steps") / "7"
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest["metrics"]["aucroc_macro"] = undefined
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    export_model(checkpoint, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| map | 0.500 |" in card and "aucroc_macro" not in card


def test_the_card_and_the_configuration_may_be_edited(run, tmp_path):
    export_model(run("tiny").root, tmp_path / "out")
    for name in ("README.md", "config.yaml"):
        (tmp_path / "out" / name).write_text("edited")
    assert load_model(tmp_path / "out").scores(NOTES).any()


def test_the_configuration_loads(run, tmp_path):
    made = run("adapter")
    export_model(made.root, tmp_path / "out", base=True)
    config = load_config(tmp_path / "out" / "config.yaml")
    assert config.model.model == "llama"
    assert config.data == load_config().data


def test_a_checkpoint_alone_can_be_exported(run, tmp_path):
    made = run("tiny")
    shutil.copytree(made.checkpoint("steps") / "7", tmp_path / "alone")
    export_model(tmp_path / "alone", tmp_path / "out")
    assert not (tmp_path / "out" / "config.yaml").exists()
    assert load_model(tmp_path / "out").scores(NOTES).any()
