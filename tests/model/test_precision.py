"""The precision on a CPU: when bfloat16 is chosen, and that a checkpoint's choice counts."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import ConfigError
from icdcli.io.manifest import write_manifest
from icdcli.model import precision
from icdcli.model.checkpoint import load_model
from icdcli.model.precision import bfloat16_speed, saved_config, with_cpu_precision
from icdcli.model.section import ModelConfig
from icdcli.training.setup import new_training

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
ALONE = ProcessGroup(0, 1)
FROZEN = {"bit": 32, "lora_activate": False, "freeze_backbone": True}


@pytest.fixture
def fast(monkeypatch):
    """Return a function that says whether this CPU computes bfloat16 fast."""
    return lambda is_fast: monkeypatch.setattr(precision, "computes_bfloat16_fast", lambda: is_fast)


@pytest.mark.parametrize(
    ("changes", "device", "expected"),
    [
        ({}, CPU, "bfloat16"),
        ({"lora_activate": True}, CPU, "float32"),
        ({"freeze_backbone": False}, CPU, "float32"),
        ({"bit": 16}, CPU, "float32"),
        ({"model": "tfidf"}, CPU, "float32"),
        ({}, GPU, "float32"),
        ({"cpu_precision": "float32"}, CPU, "float32"),
        ({"cpu_precision": "bfloat16"}, GPU, "bfloat16"),
        ({"cpu_precision": "bfloat16", "lora_activate": True}, CPU, "bfloat16"),
    ],
)
def test_bfloat16_is_chosen_for_a_frozen_backbone_on_a_cpu(fast, changes, device, expected):
    fast(True)
    config = ModelConfig(**(FROZEN | changes))
    assert with_cpu_precision(config, device).cpu_precision == expected


def test_it_is_not_chosen_if_the_cpu_computes_it_slowly(fast):
    fast(False)
    assert with_cpu_precision(ModelConfig(**FROZEN), CPU).cpu_precision == "float32"


@pytest.mark.parametrize(("factor", "fast"), [(0.2, True), (0.6, True), (0.8, False), (30, False)])
def test_the_speed_is_measured(monkeypatch, factor, fast):
    seen = []

    def seconds(dtype):
        seen.append(dtype)
        disturbed = 50 if len(seen) % 4 < 2 else 1  # another process has the core half of the time
        return disturbed * (0.001 if dtype == torch.float32 else factor * 0.001)

    monkeypatch.setattr(precision, "_seconds", seconds)
    assert bfloat16_speed() == pytest.approx(1 / factor)
    assert seen.count(torch.bfloat16) == seen.count(torch.float32) > 2
    precision.computes_bfloat16_fast.cache_clear()
    try:
        assert precision.computes_bfloat16_fast() == fast
        measured = len(seen)
        assert precision.computes_bfloat16_fast() == fast
        assert len(seen) == measured  # once per process
    finally:
        precision.computes_bfloat16_fast.cache_clear()


def test_measuring_takes_milliseconds_and_no_random_number():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert precision._seconds(torch.float32) < 0.5
    assert bfloat16_speed() > 0
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture
def saved(config, model_folders, tmp_path):
    """Return a function that saves a new model with a frozen backbone, as a checkpoint."""

    def save(**changes):
        options = {
            "model": model_folders["bert"], "pooling_mode": "label_attention", "label_width": 16,
            "description_prior": True, "code_system": "icd10", "cache_dir": tmp_path / "cache",
        }  # fmt: skip
        training, _ = new_training(config(**(options | FROZEN | changes)), ALONE)
        folder = tmp_path / f"checkpoint{len(list(tmp_path.glob('checkpoint*')))}"
        folder.mkdir()
        training.model.save(folder)
        write_manifest(folder, {"step": 0, "corpus": ""})
        return folder, training

    return save


NOTES = ["hypertension, htn", "pneumonia. stable", "acute kidney injury. patient seen. " * 4]


def test_the_choice_of_the_training_is_part_of_the_checkpoint(fast, saved):
    fast(True)
    folder, training = saved()
    trained = training.model
    assert trained.network.autocast is torch.bfloat16
    assert not trained.network.head.half_precision
    assert trained.network.prior.precision is torch.bfloat16
    assert json.loads((folder / "coder.json").read_text())["model"]["cpu_precision"] == "bfloat16"
    warnings = []
    loaded = load_model(folder, on_warning=warnings.append)
    assert warnings == []
    np.testing.assert_array_equal(loaded.scores(NOTES), trained.scores(NOTES))

    fast(False)
    loaded = load_model(folder, on_warning=warnings.append)
    (warning,) = warnings
    assert "--cpu-precision float32" in warning
    np.testing.assert_array_equal(loaded.scores(NOTES), trained.scores(NOTES))
    exact = load_model(folder, on_warning=warnings.append, cpu_precision="float32")
    assert len(warnings) == 1
    assert exact.network.autocast is None
    assert exact.network.prior.precision is torch.float32
    difference = np.abs(exact.scores(NOTES) - trained.scores(NOTES)).max()
    assert 0 < difference < 0.02


def test_a_model_trained_in_float32_stays_in_float32(fast, saved):
    fast(False)
    folder, training = saved()
    fast(True)
    loaded = load_model(folder)
    assert loaded.network.autocast is None
    np.testing.assert_array_equal(loaded.scores(NOTES), training.model.scores(NOTES))
    half = load_model(folder, cpu_precision="auto")
    assert half.network.autocast is torch.bfloat16


def test_a_checkpoint_of_an_earlier_version_computes_in_float32(fast):
    fast(True)
    stored = ModelConfig(**FROZEN).to_json()
    del stored["cpu_precision"]
    assert saved_config(stored, CPU, None, pytest.fail).cpu_precision == "float32"
    assert saved_config(stored, CPU, "auto", pytest.fail).cpu_precision == "bfloat16"


def test_a_gpu_computes_as_before(fast, saved):
    fast(False)
    config = ModelConfig(**FROZEN, cpu_precision="bfloat16")
    assert precision.autocast_precision(config, GPU) is None
    assert not precision.uses_cpu_precision(config, GPU)
    assert saved_config(config.to_json(), GPU, None, pytest.fail) == config  # no warning


def test_caches_are_kept_apart_by_precision(saved, tmp_path):
    folders = {}
    for cpu_precision in ("float32", "bfloat16"):
        _, training = saved(cpu_precision=cpu_precision)
        (corpus,) = {path.parent for path in (tmp_path / "cache").glob("*/documents.parquet")}
        folders[cpu_precision] = {path.name for path in corpus.glob("*-train-*")}
        assert training.train.hidden_states is not None
    assert len(folders["float32"]) == 2  # states and similarities
    assert len(folders["bfloat16"]) == 4


def test_scores_do_not_depend_on_the_cache_or_on_other_notes(fast, saved):
    fast(True)
    _, training = saved()
    model = training.model
    together = model.scores(NOTES)
    for row, note in enumerate(NOTES):
        np.testing.assert_allclose(model.scores([note])[0], together[row], atol=1e-6)


def test_float32_conflicts_with_fewer_bits(config):
    with pytest.raises(ConfigError, match=r"cpu_precision: .*bit: 16 computes in half precision"):
        config(bit=16, cpu_precision="float32")


@pytest.mark.slow
def test_a_frozen_model_loads_without_libraries_that_it_does_not_need(fast, saved):
    fast(False)
    folder, _ = saved()
    code = f"""
import sys
from icdcli.model.checkpoint import load_model
assert load_model({str(folder)!r}).predict(["hypertension"])
needless = {{"peft", "bitsandbytes", "sklearn", "pandas", "datasets", "triton"}}
print(*sorted(needless & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True
    )
    assert done.stdout.split() == []
