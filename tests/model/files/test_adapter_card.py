"""The recipe in an adapter's README gives icdcode's hidden states; without it they differ."""

import json
import re

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModel, BitsAndBytesConfig

from icdcli.data.batching import SpecialTokens, collate
from icdcli.data.corpus.reader import Labels
from icdcli.io.manifest import write_manifest
from icdcli.model.batch import Batch
from icdcli.model.files.export import export_model
from icdcli.model.new_model import new_model, tokenizer_for
from icdcli.model.section import ModelConfig
from icdcli.model.threshold import Threshold

# peft reads a property of transformers by a deprecated name.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"
)
CPU = torch.device("cpu")
LABELS = Labels(("401.9",), ("diagnosis",), ("Hypertension",), (3,), (2,))


def randomize(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".lora_" in name and ".default." in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2)


@pytest.fixture
def saved(tmp_path):
    """Return a function that saves a model and returns it with its adapter's folder."""

    def make(folder, **options):
        config = ModelConfig(model=str(folder), **{"bit": 32, "max_len": 64, "lora_r": 4} | options)
        model = new_model(config, tokenizer_for(config, ["a"]), LABELS, Threshold(0.4), CPU, 0)
        randomize(model.network.backbone, 1)
        checkpoint = tmp_path / "last"
        checkpoint.mkdir()
        model.save(checkpoint)
        return model, checkpoint / "adapter"

    return make


def ours(model, ids):
    model.network.eval()
    batch = Batch.of(collate([SpecialTokens((), (), 0).read(ids, 64)], 0, model.network.padding))
    with torch.inference_mode():
        return model.network.hidden_states(batch).reshape(-1, 64)[: len(ids)]


def plain(model, ids):
    with torch.inference_mode():
        return model.eval()(input_ids=torch.tensor([ids])).last_hidden_state[0]


def recipe(adapter, monkeypatch):
    [code] = re.findall(r"```python\n(.*?)```", (adapter / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(adapter)
    known = (AutoConfig, AutoModel, BitsAndBytesConfig, PeftModel)
    names = {one.__name__: one for one in known}
    exec(code, names)
    return names["model"], code


@pytest.mark.parametrize("architecture", ["llama", "mistral", "bert"])
def test_three_lines_of_peft_give_the_same_hidden_states(
    saved, model_folders, monkeypatch, architecture
):
    model, adapter = saved(model_folders[architecture])
    ids = [5, 6, 7, 8, 9, 10]
    loaded, code = recipe(adapter, monkeypatch)
    assert len(code.splitlines()) == 3
    torch.testing.assert_close(plain(loaded, ids), ours(model, ids), atol=1e-5, rtol=1e-5)
    careless = PeftModel.from_pretrained(
        AutoModel.from_pretrained(model_folders[architecture]), str(adapter)
    )
    difference = (plain(careless, ids) - ours(model, ids)).abs().max()
    assert (difference > 0.1) == (architecture != "bert")  # that's why the README warns
    text = (adapter / "README.md").read_text()
    assert ("**Attention is bidirectional.**" in text) == (architecture != "bert")


def test_causal_attention_needs_no_warning(saved, model_folders, monkeypatch):
    model, adapter = saved(model_folders["llama"], attention="causal")
    loaded, _ = recipe(adapter, monkeypatch)
    torch.testing.assert_close(plain(loaded, [5, 6, 7]), ours(model, [5, 6, 7]))
    assert "Attention is causal" in (adapter / "README.md").read_text()


@pytest.mark.parametrize("bit", [16, 8, 4])
def test_the_recipe_quantizes_the_base_as_icdcode_does(saved, model_folders, monkeypatch, bit):
    pytest.importorskip("bitsandbytes")
    model, adapter = saved(model_folders["llama"], bit=bit)
    loaded, code = recipe(adapter, monkeypatch)
    assert ("quantization_config" in code) == (bit < 16)
    difference = plain(loaded, [5, 6, 7]).float() - ours(model, [5, 6, 7]).float()
    assert difference.abs().max() < 0.2  # the rounding of half precision


def test_an_exported_adapter_is_loaded_from_the_exported_folder(
    saved, model_folders, tmp_path, monkeypatch
):
    model, adapter = saved(model_folders["llama"])
    write_manifest(adapter.parent, {"step": 1})
    export_model(adapter.parent, tmp_path / "out", base=True)
    loaded, code = recipe(tmp_path / "out" / "adapter", monkeypatch)
    assert '"../base"' in code
    torch.testing.assert_close(plain(loaded, [5, 6, 7]), ours(model, [5, 6, 7]))


def test_an_adapter_on_a_pretrained_adapter_names_its_base(
    saved, model_folders, tmp_path, monkeypatch
):
    base = AutoModel.from_pretrained(model_folders["llama"])
    first = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    randomize(first, 2)
    first.save_pretrained(tmp_path / "first")
    settings = json.loads((tmp_path / "first" / "adapter_config.json").read_text())
    settings["base_model_name_or_path"] = str(model_folders["llama"])
    (tmp_path / "first" / "adapter_config.json").write_text(json.dumps(settings))
    for path in model_folders["llama"].glob("tokenizer*"):
        (tmp_path / "first" / path.name).write_bytes(path.read_bytes())
    model, adapter = saved(tmp_path / "first")
    settings = json.loads((adapter / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == str(model_folders["llama"])
    loaded, _ = recipe(adapter, monkeypatch)
    torch.testing.assert_close(plain(loaded, [5, 6, 7]), ours(model, [5, 6, 7]))


@pytest.mark.parametrize("name", ["llama", "tiny"])
def test_the_base_is_always_named(saved, model_folders, name):
    _, adapter = saved(model_folders.get(name, name))
    settings = json.loads((adapter / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == str(model_folders.get(name, name))
    if name == "tiny":
        assert "of no use without them" in (adapter / "README.md").read_text()
