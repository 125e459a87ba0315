"""The check of a configuration on this machine, for `icdcode doctor`.

It trains and prepares nothing, and downloads at most the settings of a model, a few hundred bytes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import try_to_load_from_cache
from platformdirs import user_cache_path

from icdcli.config.schema import Config
from icdcli.data.batching import SpecialTokens
from icdcli.data.benchmarks.published_counts import PUBLISHED
from icdcli.data.benchmarks.split_lists import load_split_lists
from icdcli.data.corpus.prepare import HOME
from icdcli.data.corpus.reader import CARD, open_corpus
from icdcli.data.section import DataConfig
from icdcli.data.sources.registry import choose_source
from icdcli.distributed.devices import find_device
from icdcli.distributed.hardware import room
from icdcli.errors import DataError, IcdcodeError
from icdcli.io.csv_reader import Reading
from icdcli.model.hub import TINY, find_pretrained
from icdcli.model.section import QUANTIZED, ModelConfig
from icdcli.profiling.check_machine import why_not_quantized
from icdcli.profiling.memory import MemoryEstimate, estimate_memory, model_settings
from icdcli.profiling.runtime import operations_per_second, time_by_operations
from icdcli.run_dir import require_project
from icdcli.training.allowed_changes import require_trainable

UNKNOWN_LABELS = 10_000
"""The number of labels assumed if it is unknown; MIMIC-III has 8,929 codes in use."""

_TOKENS_PER_WORD = 1.5
"""Approximate; clinical notes have more tokens per word than other texts."""

_LARGER_MACHINE = "take a smaller model or another machine"
_SPLITS = ("train", "validation")
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """The configured model.

    Attributes:
        name: The value of ``model``.
        architecture: Its architecture, such as ``llama``; None for TF-IDF.
        base: The folder or Hugging Face id of its weights; None if it has no pretrained weights.
        available: Whether the weights are on this machine; if not, training downloads them.
        layers: Number of layers; None for TF-IDF.
        width: Width of the hidden states; None for TF-IDF.
    """

    name: str
    architecture: str | None
    base: str | None
    available: bool
    layers: int | None = None
    width: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        sizes = {} if self.layers is None else {"layers": self.layers, "width": self.width}
        return {
            "name": self.name,
            "architecture": self.architecture,
            **sizes,
            "base": self.base,
            "here": self.available,
        }


@dataclass(frozen=True, slots=True)
class DataCheck:
    """The configured data.

    Attributes:
        path: The folder or file of notes and codes.
        dataset: The name of the data set.
        protocol: The name of the protocol.
        corpus: The folder of the prepared corpus; None if it isn't prepared yet.
        labels: Number of labels; None if unknown.
        documents: Number of documents of each split; empty if unknown.
        words: Mean words of a document of each split; empty if unknown.
    """

    path: Path
    dataset: str
    protocol: str
    corpus: Path | None
    labels: int | None
    documents: dict[str, int]
    words: dict[str, float] = field(default_factory=dict)

    def windows(self, config: ModelConfig, split: str) -> int:
        """Return the approximate number of windows in which a document of a split is read."""
        tokens = int(self.words.get(split, 0) * _TOKENS_PER_WORD)
        return len(SpecialTokens((), (), 0).windows(tokens, config.max_len, config.long_notes))


@dataclass(frozen=True, slots=True)
class MemoryCheck:
    """The memory that training needs.

    Attributes:
        estimate: The estimate.
        labels: The number of labels that it assumes.
        free: Free memory of the device in bytes; None if unknown.
        changes: Keys and values with which it would fit, if it doesn't; if nothing is enough, all
            that help.
    """

    estimate: MemoryEstimate
    labels: int
    free: int | None
    changes: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "estimate": self.estimate.to_json(),
            "labels": self.labels,
            "free": self.free,
            "changes": self.changes,
        }


@dataclass(frozen=True, slots=True)
class ConfigCheck:
    """The result of `check_config`.

    Attributes:
        problems: A message for each reason why the configuration can't run.
        model: The model; None if there is a problem with it.
        data: The data; None if there is a problem with them.
        memory: The memory of a training; None for TF-IDF, or if it can't be estimated.
        seconds: The approximate time of training; None likewise.
    """

    problems: tuple[str, ...]
    model: ModelCheck | None
    data: DataCheck | None
    memory: MemoryCheck | None = None
    seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "problems": list(self.problems),
            "model": None if self.model is None else self.model.to_json(),
            "data": None if self.data is None else asdict(self.data),
            "memory": None if self.memory is None else self.memory.to_json(),
            "seconds": self.seconds,
        }


def check_config(config: Config) -> ConfigCheck:
    """Check whether a configuration can run on this machine, and estimate its memory and time."""
    problems: list[str] = []
    model = data = memory = seconds = None
    with _collecting(problems):
        require_trainable(config)
        require_project(config.run.project)
    if config.model.is_ensemble:
        return ConfigCheck(tuple(problems), None, None)
    if config.model.is_baseline:
        with _collecting(problems):
            data = check_data(config.data)
        model = ModelCheck(config.model.model, None, None, True)
        return ConfigCheck(tuple(problems), model, data)
    devices: list[torch.device] = []
    with _collecting(problems):
        devices = _devices(config.run.device)
    if config.model.bit in QUANTIZED and devices:
        reason = why_not_quantized(config.model.bit, devices[0])
        if reason is not None:
            problems.append(
                f"bit: {config.model.bit}: doesn't work here: {reason}; use bit: 16 or 32"
            )
    with _collecting(problems):
        data = check_data(config.data)
    with _collecting(problems):
        model = check_model(config.model.model)
    if model is not None:
        with _collecting(problems):
            memory, seconds = _check_resources(config, data, devices, problems)
    return ConfigCheck(tuple(problems), model, data, memory, seconds)


@contextmanager
def _collecting(problems: list[str]) -> Iterator[None]:
    """Add a problem to the list instead of raising it."""
    try:
        yield
    except IcdcodeError as error:
        problems.append(str(error))


def _devices(device: str | list[int]) -> list[torch.device]:
    count = len(device) if isinstance(device, list) else 1
    return [find_device(device, local) for local in range(count)]


def check_model(name: str) -> ModelCheck:
    """Check the value of ``model``.

    Raises:
        ConfigError: If there is no such model, it is gated, or it is neither in the cache nor can
            be downloaded.
    """
    settings = model_settings(name)
    base, available = None, True
    if name != TINY:
        base = find_pretrained(name).base
        available = Path(base).is_dir() or any(
            isinstance(try_to_load_from_cache(base, file), str) for file in _WEIGHTS
        )
    return ModelCheck(
        name,
        settings.model_type,
        base,
        available,
        layers=settings.num_hidden_layers,
        width=settings.hidden_size,
    )


def check_data(config: DataConfig) -> DataCheck:
    """Check the data of a configuration, and find its prepared corpus.

    Raises:
        DataError: If there are no data, or icdcode doesn't know their format.
        ConfigError: If the data set doesn't know the protocol, or the protocol's split lists are
            missing.
    """
    chosen = choose_source(config, Reading(config.chunk_size))
    protocol = chosen.protocol
    if protocol.is_benchmark:
        load_split_lists(protocol.name, config.splits_path)
    base = config.path if config.path.is_dir() else config.path.parent
    homes = (
        [config.cache_dir]
        if config.cache_dir is not None
        else [base / HOME, user_cache_path("icdcode")]
    )
    cards = [
        path for home in homes for path in home.glob(f"{chosen.dataset}-{protocol.name}-*/{CARD}")
    ]
    for path in sorted(cards, key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            corpus = open_corpus(path.parent)
        except DataError:  # one of an earlier version, which training doesn't use either
            continue
        if corpus.card.get("options") == chosen.options:
            splits = {split: corpus.card["splits"][split] for split in corpus.splits}
            documents = {split: counts["documents"] for split, counts in splits.items()}
            words = {split: counts["words_per_document"] for split, counts in splits.items()}
            labels: int | None = len(corpus.labels)
            name = protocol.name
            return DataCheck(
                config.path, chosen.dataset, name, path.parent, labels, documents, words
            )
    published = PUBLISHED.get(protocol.name)
    labels = None if published is None else published.labels
    return DataCheck(config.path, chosen.dataset, protocol.name, None, labels, {})


def _check_resources(
    config: Config, data: DataCheck | None, devices: list[torch.device], problems: list[str]
) -> tuple[MemoryCheck, float | None]:
    """Estimate memory and, if the devices are known, seconds; add a problem if memory is short."""
    free = min((found for found in map(room, devices) if found is not None), default=None)
    labels = (None if data is None else data.labels) or UNKNOWN_LABELS
    documents = {} if data is None else data.documents

    def windows(config: Config) -> list[int]:
        return [1 if data is None else data.windows(config.model, split) for split in _SPLITS]

    def estimate(config: Config) -> MemoryEstimate:
        of_train, of_validation = windows(config)
        lengths = [
            np.full(documents[split] * count, config.model.max_len) if split in documents else None
            for split, count in zip(_SPLITS, (1, of_validation), strict=True)
        ]
        return estimate_memory(config, labels, *lengths, free=free or 0, windows=of_train)

    needed = estimate(config)
    changes: dict[str, Any] = {}
    if free is not None and needed.total > free:
        changes, total = changes_that_fit(config, estimate, free)
        pairs = " ".join(f"{key}={value}" for key, value in changes.items())
        way = f"it would fit with {pairs}" if total <= free else _LARGER_MACHINE
        problems.append(
            f"memory: about {needed.total / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are "
            f"free on {devices[0]}; {way}"
        )
    seconds = None
    if devices:
        rate = operations_per_second(devices[0], config.model.bit)
        counts = zip(_SPLITS, windows(config), strict=True)
        read = sum(documents.get(split, 0) * count for split, count in counts)
        seconds = time_by_operations(config, needed, config.model.max_len, rate, len(devices), read)
    return MemoryCheck(needed, labels, free, changes), seconds


def changes_that_fit(
    config: Config, estimate: Callable[[Config], MemoryEstimate], free: int
) -> tuple[dict[str, Any], int]:
    """Find keys to change so that training fits the memory; first those that keep the results.

    Args:
        config: The configuration that doesn't fit.
        estimate: Estimates the memory of a configuration.
        free: Free memory in bytes.

    Returns:
        The changes, or all that help if they aren't enough, and the bytes needed with them.
    """
    changes: dict[str, Any] = {}
    total = estimate(config).total
    for section, key, value in _candidates(config):
        smaller = config.model_copy(
            update={section: getattr(config, section).model_copy(update={key: value})}
        )
        if any(smaller.conflicts()):
            continue
        if (needed := estimate(smaller).total) < total:
            config, total, changes[key] = smaller, needed, value
        if total <= free:
            break
    return changes, total


def _candidates(config: Config) -> Iterator[tuple[str, str, Any]]:
    model, train = config.model, config.train
    if not train.gradient_checkpointing:
        yield "train", "gradient_checkpointing", True
    yield "train", "micro_batch_tokens", model.max_len
    if not model.lora_activate:
        yield "model", "lora_activate", True
    if model.model != TINY and config.run.device != "mps":
        yield from (("model", "bit", bit) for bit in (16, 8, 4) if bit < model.bit)
    yield "model", "max_len", model.max_len // 2
