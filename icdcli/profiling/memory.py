"""The memory that a training needs, part by part, before anything is loaded.

Weights are counted from the architecture's settings alone. The other memory at the peak (in a step,
in a validation, or while the backbone reads the documents before training) comes from
`icdcli.profiling.fake_run`. On a CPU the parts add up to the peak memory of the process; on a GPU
to that of its tensors (``torch.cuda.max_memory_allocated``) and of CUDA.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import AutoConfig

from icdcli.config.schema import Config
from icdcli.data.batching import (
    Chunks,
    Ids,
    Padding,
    SpecialTokens,
    epoch_plan,
    micro_batches,
    rank_shares,
)
from icdcli.distributed.hardware import resident_memory
from icdcli.model.backbone import tiny_config
from icdcli.model.hub import TINY, find_pretrained, hub_errors
from icdcli.model.inference.passes import READ_TOKENS, tokens_per_pass
from icdcli.model.network import CodingNetwork
from icdcli.model.section import QUANTIZED
from icdcli.model.tokenizer import chunks_of, train_tokenizer
from icdcli.profiling.expected_plan import expected_plan
from icdcli.profiling.fake_run import NOT_SIMULATED, PassSizes, SimulatedPass, Simulation
from icdcli.profiling.meta_model import (
    largest_unpacked,
    likely_padding,
    meta_network,
    projection_weights,
    weight_sizes,
)
from icdcli.training.memory.formula import bytes_per_token
from icdcli.training.memory.plan import MeasuredPass
from icdcli.training.memory.recomputation import NOTHING, Recomputation, recompute
from icdcli.training.state import Training

CUDA = 500 * 2**20
"""Bytes that CUDA uses on a GPU, approximately."""

_LATER = 40 * 2**20  # loaded after the setup: plotting, and the writing of checkpoints
_TINY_VOCABULARY = 16_384  # the maximum of `icdcli.model.tokenizer.train_tokenizer`
_SCORED = 11  # bytes per score while metrics are computed, measured
_FRAGMENTATION, _MORE_FRAGMENTATION = 0.035, 0.02
"""The share of allocations that is free but unusable when the C library's heap is largest, without
recomputation, and what is added if all layers are recomputed. Measured on a CPU with glibc 2.36,
see `tests/profiling/test_memory.py`."""
_UNUSED_BLOCKS = 7
"""The number of a step's largest blocks that steps of other lengths leave unused; also measured."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """The memory of one training process at its peak.

    Attributes:
        device: ``cpu``, ``cuda`` or ``mps``.
        parts: Bytes of each part: ``weights``, ``adapters`` and ``head``; ``optimiser`` (AdamW's
            two averages of each trained weight); ``gradients`` and ``activations`` at the peak;
            ``holes`` (memory that is freed but not returned to the system) and ``libraries``
            (Python, torch and the data; on a GPU CUDA instead).
        documents: Documents in the largest micro-batch.
        tokens: Tokens in the largest micro-batch, padding included.
        cached: Whether the backbone's hidden states are computed once, before training.
        operations: Floating-point operations per token of a step, forward and backward.
        scoring: Floating-point operations per token of a validation.
        reading: Floating-point operations per token that is read before training; 0 if none is.
        recomputation: The layers that are recomputed.
    """

    device: str
    parts: dict[str, int]
    documents: int
    tokens: int
    cached: bool
    operations: float
    scoring: float
    reading: float
    recomputation: Recomputation = NOTHING

    @property
    def total(self) -> int:
        """Return the bytes of all parts."""
        return sum(self.parts.values())

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"total": self.total, **asdict(self)}


def model_settings(name: str) -> Any:
    """Return the settings of a model's architecture; for `tiny` with its largest vocabulary.

    Raises:
        ConfigError: If they can't be read.
    """
    if name == TINY:
        settings = tiny_config(train_tokenizer([]))
        settings.vocab_size = _TINY_VOCABULARY
        return settings
    source = find_pretrained(name)
    with hub_errors(source.name, source.base):
        return AutoConfig.from_pretrained(source.base)


def estimate_training(config: Config, training: Training) -> MemoryEstimate:
    """Estimate the memory of a training that is set up but not started, in this process."""
    network, device = training.model.network, training.process_group.device
    loaded = sum(weight.nbytes for weight in network.parameters() if weight.device.type == "cpu")
    return estimate_memory(
        config,
        len(training.model.labels),
        training.train.state_lengths,
        training.validation.state_lengths,
        settings=network.backbone.config,
        device=device.type,
        ranks=training.process_group.size,
        budget=training.micro_batch_tokens,
        recomputation=training.recomputation,
        measured=training.measured_pass,
        padding=network.padding,
        cached=training.train.hidden_states is not None,
        descriptions=None if network.prior is None else network.prior.counts,
        libraries=None if device.type == "cuda" else (resident_memory() or 0) - loaded + _LATER,
    )


def estimate_memory(
    config: Config,
    labels: int,
    train: NDArray[np.int64] | None = None,
    validation: NDArray[np.int64] | None = None,
    *,
    settings: Any = None,
    device: str | None = None,
    ranks: int | None = None,
    budget: int | None = None,
    recomputation: Recomputation | None = None,
    measured: MeasuredPass | None = None,
    padding: Padding | None = None,
    cached: bool | None = None,
    descriptions: Sequence[int] | None = None,
    free: int = 0,
    libraries: int | None = None,
    windows: int = 1,
) -> MemoryEstimate:
    """Estimate the memory of a training from its configuration.

    Args:
        config: The run's configuration.
        labels: The number of labels.
        train: Tokens of each training document in a step, special tokens included; None: those of
            one step, with ``max_len`` tokens each.
        validation: Tokens of each window of the validation documents; None: those of one forward
            pass, with ``max_len`` tokens each.
        settings: The settings of the architecture; None: those of the configured model.
        device: ``cpu``, ``cuda`` or ``mps``; None: as configured.
        ranks: The number of processes that share a step; None: the number of configured devices.
        budget: Tokens per micro-batch; None: as configured or, if not configured, from ``free``.
        recomputation: The layers that are recomputed; None: as configured, likewise.
        measured: A pass that was measured with it; None: none was, passes are only simulated.
        padding: How documents are batched; None: as configured, with ``free`` for ``auto`` if the
            architecture supports it.
        cached: Whether the backbone's hidden states are computed before training; None: if it is
            frozen and they fit the limit.
        descriptions: The number of descriptions of each code for the prior; None: one each.
        free: Free bytes of the device's memory; 0: unknown.
        libraries: Bytes that the process needs without the model; None: from the present process.
        windows: The windows of a training document, of which an epoch reads one.

    Raises:
        ConfigError: If the settings of the configured model can't be read, or don't fit the
            configuration.
    """
    device = device or (config.run.device if isinstance(config.run.device, str) else "cuda")
    ranks = ranks or (len(config.run.device) if isinstance(config.run.device, list) else 1)
    if settings is None:
        settings = model_settings(config.model.model)
    source = None if config.model.model == TINY else find_pretrained(config.model.model)
    network = meta_network(config.model, settings, source, labels, device, descriptions)
    parts = weight_sizes(network, config.model.bit)
    shared = ranks if config.train.strategy == "fsdp" else 1
    parts["weights"] //= shared  # without those of one layer, gathered while it is computed
    trained = [
        weight.nbytes // (1 if config.model.lora_activate else shared)
        for weight in network.trainable().values()
    ]
    parts["optimiser"] = 2 * sum(trained)
    padding = padding or likely_padding(config, network)
    chunks = chunks_of(config.model, settings, SpecialTokens((), (), 0))
    scored = 0 if validation is None else len(validation)
    if train is None:
        train = np.full(config.train.batch_size, config.model.max_len)
    if validation is None:
        tokens = tokens_per_pass(network, device == "cuda")
        validation = np.full(max(tokens // config.model.max_len, 1), config.model.max_len)
    if cached is None:
        cached = (
            network.frozen
            and _size_of_states(network, settings, np.repeat(train, windows), validation)
            <= config.train.state_cache_gb * 1e9
        )
    lengths, simulation = _read(train, chunks), Simulation(network, padding, cached)
    if budget is None or recomputation is None:
        loaded = sum(parts.values()) - parts["optimiser"] + (CUDA if device == "cuda" else 0)
        left, to_come = free - loaded, sum(trained) + parts["optimiser"]
        plan = expected_plan(config, simulation, lengths, ranks, device, left, to_come)
        budget, recomputation = budget or plan.micro_batch_tokens, plan.recomputation
    recompute(network, recomputation)
    largest, accumulating = _largest_pass(config, lengths, ranks, budget, padding)
    step = _sizes(train[largest], chunks)
    passes = _simulate(
        config,
        simulation,
        recomputation,
        chunks,
        step,
        accumulating,
        validation,
        on_gpu=device == "cuda",
    )
    unpacked = largest_unpacked(network) if config.model.bit in QUANTIZED else 0
    in_pass = 0 if cached else unpacked  # the backbone's weights, while one of them is multiplied
    summing = 2 * sum(trained)  # the gradients of this rank and of all
    updating = sum(trained) + (2 * max(trained) if device == "cpu" else 0)
    step_peak = passes.training.peak - passes.training.gradients + in_pass
    if measured is not None:
        step_peak = measured.peak * step.tokens(padding) // measured.tokens
    peaks = {  # the gradients and the other memory
        "step": (passes.training.gradients, step_peak),
        "update": (summing if ranks > 1 else updating, 0),
        "validation": (sum(trained), passes.scoring.peak + in_pass),
        # It is done before the optimizer exists.
        "reading": (0, passes.reading.peak + unpacked - parts["optimiser"]),
        "metrics": (sum(trained), _SCORED * scored * labels if device == "cpu" else 0),
    }
    parts["gradients"], parts["activations"] = max(peaks.values(), key=sum)
    if device == "cpu":
        churn = sum(each.churn for each in (passes.training, passes.scoring, passes.reading))
        parts["holes"] = (
            int((_FRAGMENTATION + _MORE_FRAGMENTATION * recomputation.share) * churn)
            + _UNUSED_BLOCKS * passes.training.block
        )
    if libraries is None:  # measured here, when the libraries of the model are imported
        libraries = CUDA if device == "cuda" else (resident_memory() or 0) + _LATER
    parts["libraries"] = libraries
    return MemoryEstimate(
        device=device,
        parts=parts,
        documents=len(step.documents),
        tokens=step.tokens(padding),
        cached=cached,
        operations=passes.training.operations / step.tokens(padding),
        scoring=passes.scoring.operations / passes.scored.tokens(padding),
        reading=passes.reading.operations / passes.read.tokens(padding),
        recomputation=recomputation,
    )


@dataclass(frozen=True, slots=True)
class _Passes:
    """The passes that may need the most memory, and the documents of those that aren't steps."""

    training: SimulatedPass
    scoring: SimulatedPass
    reading: SimulatedPass
    scored: PassSizes
    read: PassSizes


def _simulate(
    config: Config,
    simulation: Simulation,
    recomputation: Recomputation,
    chunks: Chunks | None,
    step: PassSizes,
    accumulating: bool,
    validation: Ids,
    on_gpu: bool,
) -> _Passes:
    """Simulate the passes of a training, or estimate them if the network can't be simulated."""
    lengths, network, padding = _read(validation, chunks), simulation.network, simulation.padding

    def longest(budget: int) -> PassSizes:
        return _sizes(
            validation[micro_batches(np.arange(len(lengths)), lengths, budget, padding)[0]], chunks
        )

    scored = longest(config.train.micro_batch_tokens or tokens_per_pass(network, on_gpu))
    read = longest(tokens_per_pass(network, on_gpu, READ_TOKENS))
    nothing = SimulatedPass(0, 0, 0, 0, 0)
    reads_before = simulation.cached or network.prior is not None
    forward, share = 2 * projection_weights(network), recomputation.share
    try:
        training, scoring = simulation.training(step, accumulating), simulation.scoring(scored)
        return _Passes(
            training, scoring, simulation.reading(read) if reads_before else nothing, scored, read
        )
    except NOT_SIMULATED:  # the formula is left
        tokens = step.tokens(padding)
        all_kept, none_kept = (bytes_per_token(network, each) for each in (False, True))
        bytes_kept = all_kept + share * (none_kept - all_kept)
        training = SimulatedPass(int(tokens * bytes_kept), 0, 0, 0, 3 * forward * tokens)
        scoring, reading = (
            SimulatedPass(0, 0, 0, 0, forward * sizes.tokens(padding)) for sizes in (scored, read)
        )
        return _Passes(training, scoring, reading if reads_before else nothing, scored, read)


def _read(lengths: Ids, chunks: Chunks | None) -> Ids:
    """Return the tokens that the backbone reads for documents of these lengths."""
    return SpecialTokens((), (), 0).tokens(lengths, int(lengths.max()), chunks)


def _sizes(lengths: Ids, chunks: Chunks | None) -> PassSizes:
    """Return the sizes of the documents of one pass."""
    if chunks is None:
        return PassSizes(tuple(lengths.tolist()), tuple(lengths.tolist()))
    of_each = [
        [chunks.length] * (read // chunks.length) if length > chunks.length else [length]
        for length, read in zip(lengths.tolist(), _read(lengths, chunks).tolist(), strict=True)
    ]
    return PassSizes(
        tuple(lengths.tolist()), tuple(length for parts in of_each for length in parts)
    )


def _size_of_states(network: CodingNetwork, settings: Any, *splits: Ids) -> int:
    """Return the bytes of the hidden states of splits in the cache."""
    states = sum(int((-(-lengths // network.state_pooling)).sum()) for lengths in splits)
    return states * int(settings.hidden_size) * 2


def _largest_pass(
    config: Config, lengths: Ids, ranks: int, budget: int, padding: Padding
) -> tuple[Ids, bool]:
    """Return an epoch's largest micro-batch, and whether any step has more than one."""

    def size(rows: Ids) -> int:
        return int(lengths[rows].sum() if padding == "free" else len(rows) * lengths[rows].max())

    largest, several = np.zeros(0, np.int64), False
    for step in epoch_plan(lengths, config.train.batch_size, config.run.seed, 0):
        for share in rank_shares(step, lengths, ranks):
            passes = micro_batches(share, lengths, budget, padding)
            several |= len(passes) > 1
            largest = max([largest, *passes], key=lambda rows: size(rows) if len(rows) else 0)
    return largest, several
