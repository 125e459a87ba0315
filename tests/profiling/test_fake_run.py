import copy

import pytest
import torch
from transformers import AutoModel, BertConfig, LlamaConfig

from icdcli.data.batching import Chunks, SpecialTokens, collate
from icdcli.model.backbone import finish_backbone
from icdcli.model.batch import Batch, Segments
from icdcli.model.heads.pooled import average_neighbors
from icdcli.model.inference.scoring import document_losses
from icdcli.model.network import build_network
from icdcli.model.packing.attention import PackedForm
from icdcli.model.section import ModelConfig
from icdcli.profiling.fake_run import PassSizes, Simulation
from icdcli.training.memory.recomputation import all_recomputed, recompute

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "vocab_size": 500,
}
LLAMA = LlamaConfig(**SIZES, num_key_value_heads=2, max_position_embeddings=512)
BERT = BertConfig(**SIZES, max_position_embeddings=512)
LENGTHS, LABELS = (200, 200, 70), 40
CHUNKS = Chunks(80, 60)
PARTS = PassSizes(LENGTHS, (80,) * 6 + (70,))  # three chunks of each longer document
PRIOR = {"description_prior": True, "model": "somewhere"}


def network_of(settings=LLAMA, lora=False, checkpointing=False, half=False, **changes):
    config = {
        "model": "tiny",
        "bit": 16 if half else 32,
        "lora_activate": lora,
        "attention": "bidirectional" if settings is BERT else "causal",
        "label_width": 32,
    }
    config = ModelConfig(**config | changes)
    backbone = finish_backbone(config, AutoModel.from_config(copy.deepcopy(settings)))
    network = build_network(config, backbone, LABELS)
    if checkpointing:
        recompute(network, all_recomputed(network))
    return network


def simulation_of(padding="free", cached=False, **options):
    with torch.device("meta"):
        network = network_of(**options)
    return Simulation(network, padding, cached)


def read(chunks=None):
    return [
        SpecialTokens((), (), 0).read(torch.arange(length).numpy() % 500, 512, chunks)
        for length in LENGTHS
    ]


def inputs_of(network, padding, cached, chunks):
    inputs = Batch.of(collate(read(chunks), 0, padding))
    similarity_BL = None if network.prior is None else torch.zeros(len(LENGTHS), LABELS)
    if not cached:
        return Batch(
            inputs.documents, inputs.ids, inputs.layout, inputs.kept_T, similarity_BL=similarity_BL
        )
    hidden_GD, documents = average_neighbors(
        torch.randn(sum(LENGTHS), 64), inputs.documents, network.state_pooling
    )
    return Batch(documents, hidden_TD=hidden_GD.half(), similarity_BL=similarity_BL)


def loss(network, inputs):
    return document_losses(network(inputs), torch.zeros(len(LENGTHS), LABELS), 1.0).sum()


def allocated_at_most(work, padding="free", cached=False, chunks=None, **options):
    """Return the peak of torch's allocator while a real network does the work."""
    network = network_of(**options).train()
    if padding == "free":
        network.packed = PackedForm.install(network.backbone)
    inputs = inputs_of(network, padding, cached, chunks)
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        work(network, inputs)
    alive = most = 0
    events = [
        event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"
    ]
    for event in sorted(events, key=lambda event: event.start_ns()):
        alive += event.nbytes()
        most = max(most, alive)
    return most


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lora": True, "checkpointing": True},
        {"settings": BERT, "padding": "batch", "lora": True},
        {"pooling_mode": "label_attention", "cached": True, "freeze_backbone": True, **PRIOR},
        {"chunks": CHUNKS},
        *(
            pytest.param(options, marks=pytest.mark.slow)
            for options in (
                {"half": True},
                {"padding": "batch", "checkpointing": True},
                {"settings": BERT, "checkpointing": True},
                {"pooling_mode": "label_attention"},
                {"chunks": CHUNKS, "padding": "batch", "checkpointing": True},
            )
        ),
    ],
    ids=lambda options: (
        "-".join([str(getattr(value, "model_type", key)) for key, value in options.items()])
        or "llama"
    ),
)
def test_the_peak_is_that_of_torchs_allocator(options):
    sizes = PARTS if "chunks" in options else PassSizes(LENGTHS, LENGTHS)
    simulated = simulation_of(
        **{key: value for key, value in options.items() if key != "chunks"}
    ).training(sizes)
    real = allocated_at_most(lambda network, inputs: loss(network, inputs).backward(), **options)
    assert simulated.peak == pytest.approx(real, rel=0.08)


def test_the_chunks_are_those_that_are_read():
    chunks = [len(chunk) for document in read(CHUNKS) for chunk in document.chunks]
    assert tuple(chunks) == PARTS.chunks
    assert tuple(map(len, read(CHUNKS))) == LENGTHS
    assert (PARTS.tokens("free"), PassSizes(LENGTHS, LENGTHS).tokens("batch")) == (550, 600)


def test_a_validation_needs_the_memory_of_a_pass_without_gradients():
    @torch.no_grad()
    def scoring(network, inputs):
        loss(network.eval(), inputs)

    simulated = simulation_of(settings=BERT).scoring(PassSizes(LENGTHS, LENGTHS))
    assert simulated.peak == pytest.approx(allocated_at_most(scoring, settings=BERT), rel=0.08)
    assert simulated.gradients == 0


def test_reading_before_training_needs_hidden_states_and_similarities():
    @torch.no_grad()
    def reading(network, inputs):
        network.eval().prior.similarities(network.hidden_states(inputs), Segments.of(LENGTHS))

    simulated = simulation_of(cached=True, freeze_backbone=True, **PRIOR).reading(
        PassSizes(LENGTHS, LENGTHS)
    )
    assert simulated.peak == pytest.approx(
        allocated_at_most(reading, freeze_backbone=True, **PRIOR), rel=0.08
    )


def test_passes_do_not_affect_each_other():
    simulation, sizes = simulation_of(), PassSizes(LENGTHS, LENGTHS)
    first = simulation.training(sizes), simulation.scoring(sizes)
    assert (simulation.training(sizes), simulation.scoring(sizes)) == first


def test_gradients_of_an_earlier_micro_batch_count():
    first, later = (
        simulation_of().training(PassSizes(LENGTHS, LENGTHS), accumulating)
        for accumulating in (False, True)
    )
    weights = sum(weight.nbytes for weight in network_of().parameters())
    assert first.gradients < weights == later.gradients
    assert 0 < later.peak - first.peak <= weights
    assert later.operations == first.operations
    assert later.churn == pytest.approx(first.churn, rel=0.01)


def test_operations_follow_the_closed_formula():
    width, inner, layers = LLAMA.hidden_size, LLAMA.intermediate_size, LLAMA.num_hidden_layers
    projections = layers * (2 * width * width + 2 * width * (width // 2) + 3 * width * inner)
    tokens, scores = sum(LENGTHS), sum(length**2 for length in LENGTHS)
    forward = (
        2 * projections * tokens + 4 * layers * width * scores + 2 * width * LABELS * len(LENGTHS)
    )
    sizes = PassSizes(LENGTHS, LENGTHS)
    assert simulation_of().scoring(sizes).operations == pytest.approx(forward, rel=0.01)
    # Gradients of weights and of inputs are a product each; attention recomputes the scores.
    plain = simulation_of().training(sizes).operations
    assert plain == pytest.approx(3 * forward + 2 * layers * width * scores, rel=0.01)
    # A layer is recomputed up to its last product, whose result isn't needed.
    again = simulation_of(checkpointing=True).training(sizes).operations - plain
    assert again == pytest.approx(forward - 2 * layers * inner * width * tokens, rel=0.01)


def test_frozen_weights_need_no_gradient_and_cached_states_no_backbone():
    sizes = PassSizes(LENGTHS, LENGTHS)
    known, frozen = (
        simulation_of(cached=cached, freeze_backbone=True).training(sizes)
        for cached in (True, False)
    )
    trained = simulation_of().training(sizes)
    assert frozen.operations == pytest.approx(trained.operations / 3, rel=0.1)
    assert known.operations < 0.05 * frozen.operations
    assert known.peak < 0.5 * frozen.peak
    assert frozen.gradients <= 4 * LABELS * (LLAMA.hidden_size + 1)
    assert frozen.peak < 0.5 * trained.peak
