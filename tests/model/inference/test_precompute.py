"""Hidden states and similarities on disk: used again for the same backbone, and for no other."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from icdcli.distributed.process_group import ProcessGroup
from icdcli.evaluation.score_split import score_split
from icdcli.io.fingerprints import arrays_hash
from icdcli.io.manifest import write_manifest
from icdcli.model.checkpoint import load_model
from icdcli.model.inference import precompute
from icdcli.model.inference.precompute import read_states
from icdcli.training.loop import train
from icdcli.training.setup import new_training

ALONE = ProcessGroup(0, 1)


@pytest.fixture
def own_model(model_folders, tmp_path):
    """Copies of small models, which a test may change."""

    def copy(name):
        return shutil.copytree(model_folders[name], tmp_path / name)

    return copy


@pytest.fixture
def frozen(config, tmp_path):
    """A configuration with a frozen backbone."""

    def make(model, **changes):
        options = {"model": model, "freeze_backbone": True, "cache_dir": tmp_path / "cache"}
        return config(**(options | changes))

    return make


def change_weights(folder, change):
    path = folder / "model.safetensors"
    weights = load_file(path)
    for name, weight in weights.items():
        weights[name] = change(name, weight.clone()).contiguous()
    save_file(weights, path, metadata={"format": "pt"})


def change_settings(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def true_states(training):
    """Return the hidden states of the training split as the backbone computes them now."""
    found = [None] * len(training.train)

    def take(rows, batch, hidden_TD):
        for row, part in zip(rows, hidden_TD.split(list(batch.documents.lengths)), strict=True):
            found[row] = part.half().numpy()

    assert list(read_states(training.model.network, training.train, take))[-1] == len(found)
    return found


def largest_difference(training):
    stored = training.train.hidden_states
    return max(
        np.abs(stored[row].astype("f4") - part.astype("f4")).max()
        for row, part in enumerate(true_states(training))
    )


CHANGES = {
    "the embeddings of most tokens": (
        "bert",
        lambda folder: change_weights(
            folder,
            lambda name, weight: (
                torch.cat([weight[:4], weight[4:].roll(1, 0)]) if "word_emb" in name else weight
            ),
        ),
    ),
    "the last number of one matrix": (
        "bert",
        lambda folder: change_weights(
            folder,
            lambda name, weight: (
                weight.index_put_((torch.tensor([-1]), torch.tensor([-1])), torch.tensor(9.0))
                if name.endswith("1.output.dense.weight")
                else weight
            ),
        ),
    ),
    "the activation": ("bert", lambda folder: change_settings(folder, hidden_act="relu")),
    "the attention heads": ("bert", lambda folder: change_settings(folder, num_attention_heads=8)),
    "the rotary positions": (
        "llama",
        lambda folder: change_settings(
            folder, rope_parameters={"rope_theta": 100.0, "rope_type": "default"}
        ),
    ),
}


QUICK = ("the last number of one matrix", "the rotary positions")


@pytest.mark.parametrize(
    "what", [pytest.param(one, marks=[pytest.mark.slow] * (one not in QUICK)) for one in CHANGES]
)
def test_hidden_states_are_computed_again_if_anything_of_the_backbone_changes(
    what, frozen, own_model
):
    name, change = CHANGES[what]
    folder = own_model(name)
    before, corpus = new_training(frozen(folder), ALONE)
    assert largest_difference(before) == 0
    change(folder)
    after, _ = new_training(frozen(folder), ALONE)
    assert len(list(corpus.folder.glob("states-train-*"))) == 2
    assert largest_difference(after) == 0


def test_the_name_of_a_backbone_and_the_version_that_saved_it_change_nothing(
    frozen, own_model, monkeypatch, tmp_path
):
    folder = own_model("bert")
    new_training(frozen(folder), ALONE)
    moved = folder.rename(tmp_path / "moved")
    change_settings(moved, transformers_version="4.40.0", architectures=["BertForMaskedLM"])
    monkeypatch.setattr(precompute, "_fill", lambda *_: pytest.fail("computed again"))
    new_training(frozen(moved), ALONE)


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param(
            {"freeze_backbone": "null", "lora_activate": True, "lora_r": 4},
            marks=pytest.mark.slow,
        ),
        {"freeze_backbone": False},
    ],
)
def test_a_trained_model_finds_what_its_training_computed(
    options, frozen, model_folders, monkeypatch, tmp_path
):
    described = {"description_prior": True, "code_system": "icd10", "steps": 8, "warmup_steps": 2}
    training, corpus = new_training(frozen(model_folders["bert"], **described, **options), ALONE)
    list(train(training))
    saved = tmp_path / "saved"
    saved.mkdir()
    training.model.save(saved)
    write_manifest(saved, {})
    monkeypatch.setattr(precompute, "_fill", lambda *_: pytest.fail("computed again"))
    score_split(load_model(saved), corpus, "validation")


def test_files_of_an_earlier_version_are_computed_again_and_named_in_one_line(
    frozen, model_folders
):
    _, corpus = new_training(frozen(model_folders["bert"]), ALONE)
    (new,) = corpus.folder.glob("states-train-*")
    old = new.rename(new.with_name("states-train-0123456789abcdef"))
    (old / "meta.json").write_text('{"split": "train", "documents": 96}\n')
    with pytest.warns(UserWarning, match=f"{old.name}: was computed by an earlier version") as said:
        training, _ = new_training(frozen(model_folders["bert"]), ALONE)
    assert len(said) == 1
    assert "\n" not in str(said[0].message)
    assert largest_difference(training) == 0
    new_training(frozen(model_folders["bert"]), ALONE)  # a warning would be an error


def test_a_hash_of_arrays_changes_with_every_number_name_shape_and_type():
    base = np.zeros((300, 300), np.float32)
    last = base.copy()
    last[-1, -1] = 1
    columns = np.asfortranarray(np.arange(6, dtype=np.int8).reshape(2, 3))
    different = [
        [("a", base)], [("b", base)], [("a", last)], [("a", base.reshape(-1))],
        [("a", base.view(np.int32))], [("a", base), ("b", base)], [("a", columns)],
        [("a", columns.T)],
    ]  # fmt: skip
    assert len({arrays_hash(arrays) for arrays in different}) == len(different)
    assert arrays_hash([("a", columns)]) == arrays_hash([("a", np.ascontiguousarray(columns))])
