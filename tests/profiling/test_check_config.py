import json

import pytest
import torch

from icdcli.config.loading import load_config
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import CARD, open_corpus
from icdcli.errors import ConfigError, DataError
from icdcli.profiling import check_config as module
from icdcli.profiling.check_config import (
    UNKNOWN_LABELS,
    DataCheck,
    ModelCheck,
    changes_that_fit,
    check_config,
    check_data,
    check_model,
)
from icdcli.profiling.memory import MemoryEstimate


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(module, "operations_per_second", lambda device, bit: 10.0**9)


def total_of(config):
    """Return an estimate that depends on the configuration in a known way."""
    size = (
        config.model.max_len * (1 if config.train.gradient_checkpointing else 4) * config.model.bit
    )
    size *= 1 if config.train.micro_batch_tokens else 2
    return MemoryEstimate(
        "cpu", {"all": size * (1 if config.model.lora_activate else 3)}, 1, 1, False, 1.0, 1.0, 0.0
    )


def plain(**changes):
    options = {
        "model": "minilm",
        "device": "cpu",
        "bit": 32,
        "lora_activate": False,
        "gradient_checkpointing": False,
    }
    return load_config(
        None, [f"{key}={value}" for key, value in (options | {"max_len": 100} | changes).items()]
    )


ALL = total_of(plain()).total


@pytest.mark.parametrize(
    ("free", "keys"),
    [
        (ALL / 4, ["gradient_checkpointing"]),
        (ALL / 8, ["gradient_checkpointing", "micro_batch_tokens"]),
        (ALL / 24, ["gradient_checkpointing", "micro_batch_tokens", "lora_activate"]),
        (ALL / 48, ["gradient_checkpointing", "micro_batch_tokens", "lora_activate", "bit"]),
        (
            ALL / 300,
            ["gradient_checkpointing", "micro_batch_tokens", "lora_activate", "bit", "max_len"],
        ),
    ],
)
def test_changes_that_keep_the_results_come_first(free, keys):
    changes, total = changes_that_fit(plain(), total_of, int(free))
    assert list(changes) == keys
    assert total <= free
    assert total_of(plain(**changes)).total == total


def test_changes_that_do_not_help_are_not_proposed():
    changes, total = changes_that_fit(
        plain(gradient_checkpointing=True, lora_activate=True, bit=4), total_of, 0
    )
    assert changes == {"micro_batch_tokens": 100, "max_len": 50}
    assert total > 0


@pytest.mark.parametrize(
    "changes", [{"model": "tiny"}, {"freeze_backbone": False}, {"device": "mps"}]
)
def test_proposed_changes_have_no_conflicts(changes):
    proposed, _ = changes_that_fit(plain(**changes), total_of, 0)
    assert "bit" not in proposed or proposed["bit"] == 16
    assert not list(plain(**(changes | proposed)).conflicts())


def test_a_configuration_that_can_run(config, tmp_path):
    found = check_config(config(cache_dir=tmp_path / "nothing prepared"))
    assert found.problems == ()
    assert found.data == DataCheck(config().data.path, "table", "patient", None, None, {})
    assert found.memory.labels == UNKNOWN_LABELS
    assert 0 < found.memory.estimate.total < found.memory.free
    assert found.memory.changes == {}
    assert found.seconds > 0


def test_a_prepared_corpus_has_labels_and_documents(config):
    corpus = open_corpus(prepare(config().data).folder)
    found = check_data(config().data)
    assert (found.corpus, found.labels) == (corpus.folder, len(corpus.labels))
    assert found.documents == {
        split: corpus.card["splits"][split]["documents"] for split in corpus.splits
    }
    assert check_config(config()).memory.labels == 4
    assert check_data(config(label_space="seen", text_cleaning="caml").data).corpus is None


def test_windows_of_long_documents_count(config, model_folders):
    prepare(config().data)
    options = {
        "model": model_folders["bert"], "freeze_backbone": True, "max_len": 6, "batch_size": 2,
    }  # fmt: skip
    found = check_data(config().data)
    words = found.words["train"]
    assert 5 < words < 12
    first, windows = (config(**options, long_notes=name) for name in ("first", "windows"))
    assert found.windows(first.model, "train") == 1
    count = found.windows(windows.model, "train")
    assert count == -(-(int(words * 1.5) - 6) // 4) + 1 > 1
    # Hidden states of 64 numbers of 2 bytes, for 6 tokens; the limit is between the two readings.
    total = sum(found.documents[split] for split in ("train", "validation"))
    limit = 1.5 * total * 6 * 64 * 2 / 1e9
    for each, cached in ((first, True), (windows, False)):
        limited = each.train.model_copy(update={"state_cache_gb": limit})
        check = check_config(each.model_copy(update={"train": limited}))
        assert check.memory.estimate.cached == cached


def test_a_corpus_that_cannot_be_read_is_ignored(config):
    folder = prepare(config().data).folder
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | {"format": 0}))
    assert check_data(config().data).corpus is None
    (folder / CARD).write_text("{")
    assert check_data(config().data).corpus is None


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_a_model_in_a_folder(model_folders, kind):
    folder = str(model_folders[kind])
    found = check_model(folder)
    assert found == ModelCheck(folder, kind, folder, available=True, layers=2, width=64)
    assert list(found.to_json()) == ["name", "architecture", "layers", "width", "base", "here"]


def test_a_model_that_is_not_available(tmp_path):
    with pytest.raises(ConfigError, match=r"no config.json"):
        check_model(str(tmp_path))
    with pytest.raises(ConfigError, match="can't be reached"):
        check_model("somebody/nothing")


def test_data_that_do_not_exist(config, tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        check_data(config(data_path=tmp_path / "nothing").data)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param(
            {"pooling_mode": "label_attention", "label_init": "random", "state_pooling": 2},
            marks=pytest.mark.slow,
        ),
        pytest.param({"freeze_backbone": True}, marks=pytest.mark.slow),
        {
            "pooling_mode": "label_attention",
            "freeze_backbone": True,
            "description_prior": True,
            "chunk_len": 64,
        },
        pytest.param(
            {"lora_activate": True, "bit": 16, "gradient_checkpointing": True},
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda changes: "-".join(changes) or "pooling",
)
def test_every_head_is_estimated(config, model_folders, changes):
    found = check_config(config(model=model_folders["bert"], max_len=128, **changes))
    assert found.problems == ()
    estimate = found.memory.estimate
    assert estimate.parts["head"] > 0
    assert estimate.operations > 0
    frozen = "freeze_backbone" in changes
    assert estimate.cached is frozen
    assert (estimate.reading > 0) is frozen


def test_chunks_that_the_model_cannot_read_are_a_problem(config, model_folders):
    found = check_config(config(model=model_folders["bert"], max_len=500, chunk_len=400))
    [problem] = found.problems
    assert "Set chunk_len: 128" in problem
    assert found.memory is None


@pytest.mark.slow
def test_quantized_weights_that_do_not_work_are_a_problem(config, model_folders, monkeypatch):
    monkeypatch.setattr(module, "why_not_quantized", lambda bit, device: "no such library")
    quantized = config(model=model_folders["llama"], bit=8, lora_activate=True)
    [problem] = check_config(quantized).problems
    assert problem == "bit: 8: doesn't work here: no such library; use bit: 16 or 32"


@pytest.mark.slow
def test_the_device_with_the_least_free_memory_decides(config, monkeypatch):
    monkeypatch.setattr(module, "find_device", lambda device, local: torch.device("cuda", local))
    monkeypatch.setattr(module, "room", lambda device: 10**9 * (3 - device.index))
    found = check_config(config(device=[0, 1, 2]))
    assert found.memory.free == 10**9
    assert found.memory.estimate.device == "cuda"
