"""How much memory a training will take, part by part, before anything is loaded.

Weights are counted from the architecture's settings alone; what lies beside them while a micro-batch is computed comes from
`icdcli.training.simulation`. On a CPU the parts add up to the most memory that the process takes, on a GPU to what its tensors
take (``torch.cuda.max_memory_allocated``) and CUDA itself.
"""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import AutoConfig, AutoModel

from icdcli.config import QUANTISED, Config, ModelConfig
from icdcli.data.batches import Padding, epoch_plan, micro_batches, rank_shares
from icdcli.model.backbone import ADAPTER, finish_backbone, tiny_config
from icdcli.model.coder import CoderNetwork, use_gradient_checkpointing
from icdcli.model.source import TINY, Source, find_source, hub_errors
from icdcli.model.tokenizer import train_tokenizer
from icdcli.training.budget import ON_CPU, tokens_that_fit
from icdcli.training.machine import resident_memory
from icdcli.training.simulation import simulate
from icdcli.training.state import Training

_CUDA = 500 * 2**20  # what CUDA takes of a GPU for itself, about
_TINY_VOCABULARY = 16_384  # that `icdcli.model.tokenizer.train_tokenizer` stops at
_HOLES = 0.1
"""The share of what a micro-batch asks for that is left between blocks in use when the C library's heap is largest; measured
on a CPU with glibc 2.36, see `tests/training/test_estimate.py`."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The memory of one training process at its peak.

    Attributes:
        device: ``cpu``, ``cuda`` or ``mps``.
        parts: Bytes of each part: ``weights``, ``adapters`` and ``head``; ``optimiser`` (AdamW's two averages of each trained
            weight); ``gradients`` and ``activations``, as they are at the peak; ``holes`` (freed, not given back to the system)
            and ``libraries`` (Python, torch, the data; on a GPU what CUDA takes for itself).
        documents: Documents of the largest micro-batch.
        tokens: Tokens of the largest micro-batch, padding included.
        operations: Floating-point operations a token, forward and backward.
    """

    device: str
    parts: dict[str, int]
    documents: int
    tokens: int
    operations: float

    @property
    def total(self) -> int:
        """Bytes of all parts."""
        return sum(self.parts.values())

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values for JSON."""
        return {"total": self.total, **asdict(self)}


def model_settings(name: str) -> Any:
    """The settings of the architecture that ``model`` names; of `tiny` for the largest vocabulary that it may have.

    Raises:
        ConfigError: When they can't be read.
    """
    if name == TINY:
        settings = tiny_config(train_tokenizer([]))
        settings.vocab_size = _TINY_VOCABULARY
        return settings
    source = find_source(name)
    with hub_errors(source.name, source.base):
        return AutoConfig.from_pretrained(source.base)


def estimate_training(config: Config, training: Training) -> Estimate:
    """The memory of a training that is set up and has not begun, in this process."""
    network, device = training.coder.network, training.world.device
    loaded = sum(weight.nbytes for weight in network.parameters() if weight.device.type == "cpu")
    return estimate_memory(
        config,
        len(training.coder.labels),
        training.train.lengths,
        settings=network.backbone.config,
        device=device.type,
        ranks=training.world.size,
        budget=training.micro_batch_tokens,
        padding=network.padding,
        libraries=None if device.type == "cuda" else (resident_memory() or 0) - loaded,
    )


def estimate_memory(
    config: Config,
    labels: int,
    document_lengths: NDArray[np.int64] | None = None,
    *,
    settings: Any = None,
    device: str | None = None,
    ranks: int | None = None,
    budget: int | None = None,
    padding: Padding | None = None,
    free: int = 0,
    libraries: int | None = None,
) -> Estimate:
    """The memory of a training, from its configuration.

    Args:
        config: The run's configuration.
        labels: The number of labels.
        document_lengths: Tokens of each training document, special tokens included; None: all are ``max_len`` long.
        settings: The architecture's settings; None: those of the configured model.
        device: ``cpu``, ``cuda`` or ``mps``; None: as configured.
        ranks: Processes that share a step; None: as many as devices are configured.
        budget: Tokens of a micro-batch; None: as configured or, where that is left open, by ``free``.
        padding: How documents lie; None: as configured, ``auto`` taken for ``free``.
        free: Bytes of the GPU's memory that are free.
        libraries: Bytes that the process takes without the model; None: those that this one takes now.

    Raises:
        ConfigError: When the configured model's settings can't be read.
    """
    device = device or (config.run.device if isinstance(config.run.device, str) else "cuda")
    ranks = ranks or (len(config.run.device) if isinstance(config.run.device, list) else 1)
    padding = padding or ("batch" if config.train.padding == "batch" else "free")
    source = None if config.model.model == TINY else find_source(config.model.model)
    settings = model_settings(config.model.model) if settings is None else settings
    network = _skeleton(config.model, settings, source, labels, device)
    if libraries is None:
        libraries = _CUDA if device == "cuda" else resident_memory() or 0
    parts = _weights(network, config.model.bit)
    trained = [weight.nbytes for weight in network.trainable().values()]
    parts["optimiser"] = 2 * sum(trained)
    if budget is None:
        left = free - sum(parts.values())
        room = tokens_that_fit(network, config.train.gradient_checkpointing, left) if device == "cuda" else ON_CPU
        budget = config.train.micro_batch_tokens or room
    if document_lengths is None:
        document_lengths = np.full(config.train.batch_size, config.model.max_len)
    lengths, accumulating = _largest_pass(config, document_lengths, ranks, budget, padding)
    unpacked = _largest_unpacked(network) if config.model.bit in QUANTISED else 0
    if config.train.gradient_checkpointing:
        use_gradient_checkpointing(network)
    simulated = simulate(network, lengths, padding, accumulating)
    while_updating = sum(trained) + (sum(trained) if ranks > 1 else 2 * max(trained) if device == "cpu" else 0)
    if simulated.peak + unpacked >= while_updating:
        parts["gradients"] = simulated.gradients
        parts["activations"] = simulated.peak + unpacked - simulated.gradients
    else:
        parts["gradients"], parts["activations"] = while_updating, 0
    if device == "cpu":
        parts["holes"] = int(_HOLES * simulated.churn)
    parts["libraries"] = libraries
    tokens = sum(lengths) if padding == "free" else len(lengths) * max(lengths)
    return Estimate(device, parts, len(lengths), tokens, simulated.operations / tokens)


def _skeleton(config: ModelConfig, settings: Any, source: Source | None, labels: int, device: str) -> CoderNetwork:
    """The network without its weights' values, on the meta device."""
    settings = copy.deepcopy(settings)
    if hasattr(settings, "quantization_config"):
        del settings.quantization_config  # counted, not done
    if device == "cuda":
        for name in ("attention_dropout", "attention_probs_dropout_prob"):
            if hasattr(settings, name):  # only on a CPU does it take a number for each pair of tokens
                setattr(settings, name, 0.0)
    half = torch.bfloat16
    with torch.device("meta"):
        plain = AutoModel.from_config(settings, dtype=torch.float32 if config.bit == 32 or not config.frozen else half)
        # Whether attention is bidirectional can't be tried without weights, and changes nothing here.
        backbone = finish_backbone(config.model_copy(update={"attention": "causal"}), plain, ())
        if source is not None:
            for adapter in source.adapters:
                backbone = _with_pretrained(backbone, source, adapter)
        autocast = None if config.bit == 32 else half
        return CoderNetwork(backbone, settings.hidden_size, labels, config.pooling_mode, autocast)


def _with_pretrained(backbone: Any, source: Source, adapter: str) -> Any:
    """A further adapter, frozen and active, of the shape of a pretrained one."""
    import peft

    with hub_errors(source.name, adapter):
        shape = peft.PeftConfig.from_pretrained(adapter)
    if isinstance(backbone, peft.PeftModel):
        backbone.add_adapter(f"pretrained{len(backbone.peft_config)}", shape)
    else:
        backbone = peft.get_peft_model(backbone, shape, adapter_name="pretrained0")
    backbone.base_model.set_adapter(list(backbone.peft_config))
    for key, weight in backbone.named_parameters():
        weight.requires_grad_(f".{ADAPTER}." in key)
    return backbone


def _weights(network: CoderNetwork, bit: int) -> dict[str, int]:
    """Bytes of the weights, adapters and output layer."""
    parts = {"weights": sum(buffer.nbytes for buffer in network.buffers()), "adapters": 0, "head": 0}
    quantised = {id(linear.weight) for linear in _linears(network)} if bit in QUANTISED else set()
    for name, weight in network.named_parameters():
        part = "head" if name.startswith("output.") else "adapters" if "lora_" in name else "weights"
        parts[part] += _quantised_size(weight, bit) if id(weight) in quantised else weight.nbytes
    return parts


def _quantised_size(weight: nn.Parameter, bit: int) -> int:
    """Bytes of a weight that bitsandbytes has quantised.

    Eight bits: a float32 scale a row (Dettmers et al. 2022, LLM.int8). Four: blocks of 64 with a scale each, of which 256 are
    quantised to eight bits with a float32 scale of their own (Dettmers et al. 2023, QLoRA).
    """
    if bit == 8:
        return weight.numel() + 4 * weight.shape[0]
    return int(weight.numel() * (1 / 2 + 1 / 64 + 4 / (64 * 256)))


def _linears(network: CoderNetwork) -> list[nn.Linear]:
    """The backbone's own projections, which are what is quantised."""
    modules = network.backbone.named_modules()
    return [module for name, module in modules if isinstance(module, nn.Linear) and "lora_" not in name]


def _largest_unpacked(network: CoderNetwork) -> int:
    """Bytes of the largest quantised weight in half precision: each is unpacked while it is multiplied."""
    return max((2 * linear.weight.numel() for linear in _linears(network)), default=0)


def _largest_pass(
    config: Config, lengths: NDArray[np.int64], ranks: int, budget: int, padding: Padding
) -> tuple[Sequence[int], bool]:
    """The documents' lengths of an epoch's largest micro-batch, and whether steps have more than one."""

    def size(rows: NDArray[np.int64]) -> int:
        return int(lengths[rows].sum() if padding == "free" else len(rows) * lengths[rows].max())

    largest, several = np.zeros(0, np.int64), False
    for step in epoch_plan(lengths, config.train.batch_size, config.run.seed, 0):
        for share in rank_shares(step, lengths, ranks):
            passes = micro_batches(share, lengths, budget, padding)
            several |= len(passes) > 1
            largest = max([largest, *passes], key=lambda rows: size(rows) if len(rows) else 0)
    return lengths[largest].tolist(), several
