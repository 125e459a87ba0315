import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
from transformers import AutoConfig, LlamaConfig

from icdcli.config.loading import load_config
from icdcli.data.batching import epoch_plan, micro_batches, rank_shares
from icdcli.model.backbone import load_backbone
from icdcli.model.heads.assertion_terms import CLASSES
from icdcli.model.hub import TINY_SIZES, find_pretrained
from icdcli.profiling import memory as module
from icdcli.profiling.memory import estimate_memory, estimate_training, model_settings
from icdcli.profiling.meta_model import meta_network, weight_sizes
from icdcli.training.memory.plan import MeasuredPass
from icdcli.training.memory.recomputation import Recomputation

SCRIPT = Path(__file__).with_name("measured_training.py")
SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "vocab_size": 300,
}
LLAMA = LlamaConfig(**SIZES, num_key_value_heads=2)
DEEPER = LlamaConfig(**SIZES | {"num_hidden_layers": 2}, num_key_value_heads=2)
LABELS = 7


def config_of(**changes):
    options = {
        "model": "tiny",
        "bit": 32,
        "lora_activate": False,
        "device": "cpu",
        "max_len": 100,
        "batch_size": 4,
    }
    return load_config(None, [f"{key}={value}" for key, value in (options | changes).items()])


def estimated(
    lengths=None,
    *,
    validation=None,
    settings=LLAMA,
    device=None,
    ranks=None,
    budget=None,
    **changes,
):
    known = {
        "settings": settings,
        "device": device,
        "ranks": ranks,
        "budget": budget,
        "libraries": 0,
    }
    if validation is None:
        validation = np.ones(1, int)  # so that the peak is in a step
    return estimate_memory(config_of(**changes), LABELS, lengths, validation, **known)


@pytest.mark.parametrize(
    "bit", [4, *(pytest.param(bit, marks=pytest.mark.slow) for bit in (32, 16, 8))]
)
def test_weights_need_the_memory_of_loaded_weights(model_folders, bit):
    folder = str(model_folders["llama"])
    config = config_of(model=folder, bit=bit, lora_activate=True, max_len=64)
    backbone = load_backbone(config.model, find_pretrained(folder), torch.device("cpu"))
    loaded = {"weights": sum(buffer.nbytes for buffer in backbone.buffers()), "adapters": 0}
    for name, weight in backbone.named_parameters():
        loaded["adapters" if "lora_" in name else "weights"] += weight.nbytes
        if state := getattr(weight, "quant_state", None):
            loaded["weights"] += state.absmax.nbytes + state.state2.absmax.nbytes
    for layer in backbone.modules():
        if (scales := getattr(getattr(layer, "state", None), "SCB", None)) is not None:
            loaded["weights"] += scales.nbytes
    parts = estimate_memory(config, LABELS).parts
    assert parts["adapters"] == loaded["adapters"]
    assert parts["weights"] == pytest.approx(loaded["weights"], rel=0.01)


def test_only_trained_weights_have_gradients_and_optimizer_state():
    whole, adapted = estimated(), estimated(lora_activate=True)
    assert (
        whole.parts["optimiser"]
        == 2 * (whole.parts["weights"] + whole.parts["head"]) - 2 * _buffers()
    )
    assert adapted.parts["optimiser"] == 2 * (adapted.parts["adapters"] + adapted.parts["head"])
    classes = (LABELS + 1) * len(CLASSES)
    assert whole.parts["head"] == adapted.parts["head"] == 4 * (64 * LABELS + LABELS + classes)


def _buffers():
    from transformers import AutoModel

    with torch.device("meta"):
        return sum(buffer.nbytes for buffer in AutoModel.from_config(LLAMA).buffers())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`")
def test_pretrained_adapters_count_and_stay_frozen(model_folders, tmp_path):
    base = load_backbone(
        config_of().model, find_pretrained(str(model_folders["llama"])), torch.device("cpu")
    )
    adapter = peft.get_peft_model(base, peft.LoraConfig(r=4, target_modules="all-linear"))
    torch.nn.init.ones_(
        next(weight for name, weight in adapter.named_parameters() if "lora_B" in name)
    )
    adapter.peft_config["default"].base_model_name_or_path = str(model_folders["llama"])
    adapter.save_pretrained(tmp_path)
    theirs = sum(weight.nbytes for name, weight in adapter.named_parameters() if "lora_" in name)
    with_it, without = (
        estimate_memory(
            config_of(model=folder, lora_activate=True, max_len=64), LABELS, None, np.ones(1, int)
        )
        for folder in (tmp_path, model_folders["llama"])
    )
    assert with_it.parts["adapters"] == without.parts["adapters"] + theirs
    assert with_it.parts["optimiser"] == without.parts["optimiser"]
    assert with_it.parts["activations"] > without.parts["activations"]


@pytest.mark.slow
def test_the_largest_micro_batch_of_the_plan_counts():
    lengths = np.random.default_rng(0).integers(5, 100, 50)
    config = config_of(batch_size=8)
    for ranks, budget in ((1, 10**6), (1, 150), (3, 150), (1, 1)):
        passes = [
            int(lengths[rows].sum())
            for step in epoch_plan(lengths, 8, config.run.seed, 0)
            for share in rank_shares(step, lengths, ranks)
            for rows in micro_batches(share, lengths, budget, "free")
        ]
        assert estimated(lengths, ranks=ranks, budget=budget, batch_size=8).tokens == max(passes)


def test_unknown_documents_have_the_maximum_length():
    found = estimated(batch_size=3, max_len=90)
    assert (found.documents, found.tokens) == (3, 270)


@pytest.mark.slow
def test_more_tokens_need_more_memory():
    totals = [
        estimated(batch_size=2, max_len=length, micro_batch_tokens=2 * length).total
        for length in (20, 40, 80, 160)
    ]
    assert totals == sorted(set(totals))


@pytest.mark.parametrize("lora", [False, True])
def test_weights_of_label_attention_and_prior_are_counted_exactly(lora):
    options = {"pooling_mode": "label_attention", "label_width": 16, "lora_activate": lora}
    found = estimated(**options)
    keys_and_values, norm, codes = 2 * (64 * 16 + 16), 2 * 16, LABELS * (2 * 16 + 1)
    classes = 2 * (LABELS + 1) * len(CLASSES)
    assert found.parts["head"] == 4 * (keys_and_values + norm + codes + classes)
    config = config_of(model="minilm", description_prior=True, **options)
    network = meta_network(config.model, LLAMA, None, LABELS, "cpu", [3] * LABELS)
    descriptions = 3 * LABELS
    # Descriptions and offsets, the first of each label (64 bit), and the scale of similarity.
    assert (
        weight_sizes(network, 32)["head"]
        == found.parts["head"] + 4 * descriptions * (64 + 1) + 8 * LABELS + 4
    )


FROZEN = {
    "freeze_backbone": True,
    "pooling_mode": "label_attention",
    "label_width": 16,
    "max_len": 200,
}


def test_hidden_states_of_a_frozen_backbone_are_computed_once():
    known, each_time = estimated(**FROZEN), estimated(**FROZEN, state_cache_gb=0)
    assert (known.cached, each_time.cached) == (True, False)
    assert known.operations < 0.2 * each_time.operations
    assert known.scoring < 0.2 * each_time.scoring
    assert known.reading == pytest.approx(each_time.scoring, rel=0.2)
    assert each_time.reading == 0
    assert not estimated(state_cache_gb=20).cached  # because it is trained


def test_hidden_states_that_are_too_large_are_not_cached():
    documents = np.full(1000, 200)
    bytes_of_states = (
        2 * 1000 * 50 * 64 * 2
    )  # two splits, 200 tokens in groups of four, half precision
    for limit, cached in ((bytes_of_states + 1, True), (bytes_of_states - 1, False)):
        config = config_of(**FROZEN, state_cache_gb=limit / 1e9)
        assert (
            estimate_memory(
                config, LABELS, documents, documents, settings=LLAMA, libraries=0
            ).cached
            is cached
        )


def test_a_validation_can_need_more_than_a_step():
    small, large = (
        estimated(np.full(4, 50), validation=np.full(documents, 50), gradient_checkpointing=True)
        for documents in (1, 60)
    )
    assert large.parts["activations"] > 3 * small.parts["activations"]
    assert (
        large.parts["gradients"] == large.parts["optimiser"] // 2
    )  # those of the step before are still there
    assert (large.tokens, large.operations) == (small.tokens, small.operations)


@pytest.mark.slow
def test_metrics_of_many_documents_and_labels_count_on_a_cpu():
    few, many = (
        estimate_memory(
            config_of(), 3000, np.full(4, 50), np.full(documents, 50), settings=LLAMA, libraries=0
        )
        for documents in (10, 20_000)
    )
    assert many.total - few.total > 4 * 3000 * 20_000


def test_documents_beyond_the_context_are_read_in_chunks(model_folders):
    bert = AutoConfig.from_pretrained(model_folders["bert"])  # its context is 128 tokens
    whole = estimated(np.full(4, 128), settings=bert, max_len=128)
    chunked = estimated(np.full(4, 320), settings=bert, max_len=320)
    assert (whole.documents, whole.tokens) == (4, 512)
    assert (chunked.documents, chunked.tokens) == (4, 4 * 3 * 128)
    # Three chunks per document; attention is within a chunk.
    assert chunked.parts["activations"] < 3.2 * whole.parts["activations"]


@pytest.mark.slow
def test_checkpointing_and_smaller_micro_batches_need_fewer_activations():
    def activations(**options):
        return estimated(settings=DEEPER, **options).parts["activations"]

    plain = activations(gradient_checkpointing=False)
    assert activations(gradient_checkpointing=True) < 0.7 * plain
    assert activations(gradient_checkpointing=False, micro_batch_tokens=100) < 0.5 * plain


def test_a_measured_pass_is_more_certain_than_a_simulated_one():
    known = {"settings": LLAMA, "libraries": 0, "budget": 200, "recomputation": Recomputation(0, 2)}
    lengths = np.full(4, 100)
    simulated, measured = (
        estimate_memory(config_of(), LABELS, lengths, np.ones(1, int), **known, measured=found)
        for found in (None, MeasuredPass(100, 10**9))
    )
    assert simulated.tokens == measured.tokens == 200
    assert measured.parts["activations"] == 2 * 10**9 > simulated.parts["activations"]


@pytest.mark.slow
def test_several_ranks_have_their_gradients_twice_during_the_sum():
    alone, together = (
        estimated(np.full(8, 5), ranks=ranks, micro_batch_tokens=1) for ranks in (1, 2)
    )
    trained = together.parts["optimiser"] // 2
    assert together.parts["gradients"] + together.parts["activations"] >= 2 * trained
    assert together.total > alone.total


@pytest.mark.parametrize("adapters", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_sharded_weights_need_a_part_of_the_memory(adapters):
    whole, shared = (
        estimated(ranks=4, strategy=strategy, lora_activate=adapters).parts
        for strategy in ("ddp", "fsdp")
    )
    assert shared["weights"] == whole["weights"] // 4
    assert shared["optimiser"] == pytest.approx(
        whole["optimiser"] / (1 if adapters else 4), rel=0.01
    )


@pytest.mark.slow
def test_a_gpu_has_no_fragmentation_and_stores_no_attention_weights(model_folders):
    bert = AutoConfig.from_pretrained(model_folders["bert"])
    cpu, gpu = (estimated(settings=bert, device=device, budget=400) for device in ("cpu", "cuda"))
    assert "holes" in cpu.parts
    assert "holes" not in gpu.parts
    assert (
        gpu.parts["activations"] < cpu.parts["activations"]
    )  # with dropout, a CPU keeps a number for each pair of tokens
    assert (
        estimate_memory(config_of(device=0), LABELS, settings=LLAMA, free=10**10).parts["libraries"]
        > 10**8
    )


def test_an_architecture_that_cannot_be_simulated_is_estimated_roughly(monkeypatch):
    exact = estimated()
    monkeypatch.setattr(
        module.Simulation,
        "training",
        lambda *_: (_ for _ in ()).throw(RuntimeError("data-dependent")),
    )
    rough = estimated()
    assert 0.2 * exact.total < rough.total < 5 * exact.total
    assert rough.operations == pytest.approx(exact.operations, rel=0.5)
    assert rough.scoring == pytest.approx(exact.scoring, rel=0.5)


def test_tiny_can_be_estimated_without_notes():
    settings = model_settings("tiny")
    assert (settings.vocab_size, settings.hidden_size) == (16_384, TINY_SIZES["hidden_size"])
    assert estimate_memory(config_of(), LABELS).parts["weights"] > 4 * 16_384 * settings.hidden_size


def test_parts_add_up_and_are_plain_values():
    found = estimated()
    assert found.total == sum(found.parts.values())
    assert json.loads(json.dumps(found.to_json()))["total"] == found.total
    assert replace(found, parts={"weights": 5}).total == 5


def training_of(config, settings, lengths):
    spec = importlib.util.spec_from_file_location("measured_training", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script.training_of(config, settings, lengths)


@pytest.mark.parametrize("padding", ["free", pytest.param("batch", marks=pytest.mark.slow)])
def test_a_training_that_is_set_up_is_estimated_exactly(padding):
    config, lengths = config_of(padding=padding, micro_batch_tokens=120), [30, 90, 90, 20, 60]
    training = training_of(config, LlamaConfig(**SIZES, num_key_value_heads=2), lengths)
    before = {name: weight.clone() for name, weight in training.model.network.named_parameters()}
    found = estimate_training(config, training)
    known = {
        "settings": LLAMA,
        "budget": 120,
        "recomputation": training.recomputation,
        "padding": padding,
        "libraries": found.parts["libraries"],
    }
    named = estimate_memory(config, 500, np.array(lengths), np.array(lengths), **known)
    assert found.parts == pytest.approx(named.parts, rel=0.01)
    assert replace(found, parts={}) == replace(named, parts={})
    assert found.parts["libraries"] > 10**8
    assert training.model.network.padding == padding
    assert all(
        torch.equal(weight, before[name])
        for name, weight in training.model.network.named_parameters()
    )
