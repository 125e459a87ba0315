"""Whether a configuration can run on this machine, and what it would take; for `icdcode doctor`.

Nothing is trained or prepared, and nothing downloaded but a model's settings, which are a few hundred bytes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import try_to_load_from_cache
from platformdirs import user_cache_path

from icdcli.config.schema import Config
from icdcli.data.benchmarks.published_counts import PUBLISHED
from icdcli.data.benchmarks.split_lists import load_split_lists
from icdcli.data.corpus.prepare import HOME
from icdcli.data.corpus.reader import CARD, open_corpus
from icdcli.data.section import DataConfig
from icdcli.data.sources.registry import choose_source
from icdcli.distributed.hardware import room
from icdcli.distributed.process_group import find_device
from icdcli.errors import DataError, IcdcodeError
from icdcli.io.csv_reader import Reading
from icdcli.model.hub import TINY, find_pretrained
from icdcli.model.section import QUANTIZED
from icdcli.profiling.check_machine import why_not_quantized
from icdcli.profiling.memory import Estimate, estimate_memory, model_settings
from icdcli.profiling.runtime import operations_a_second, time_by_counting
from icdcli.run_dir import require_project

UNKNOWN_LABELS = 10_000
"""Taken for the number of labels while nobody knows it; the codes in use in MIMIC-III are 8,929."""

_SPLITS = ("train", "validation")
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


def examine(config: Config) -> dict[str, Any]:
    """Hold a configuration against the machine.

    Returns:
        ``problems`` (a message for each reason why it can't run), ``model`` and ``data`` (what is known of them, None where
        there is a problem) and, where the model's settings can be read, ``memory``: the ``estimate``, the bytes that the
        device has ``free``, and ``changes`` to the configuration that would make it fit, where it doesn't; and the ``seconds``
        that its steps and what is computed before them take, about.
    """
    problems: list[str] = []
    found: dict[str, Any] = {"model": None, "data": None, "memory": None, "seconds": None}
    devices: list[torch.device] = []
    with _noting(problems):
        require_project(config.run.project)
    if config.model.is_baseline:
        with _noting(problems):
            found["data"] = about_data(config.data)
        found["model"] = {
            "name": config.model.model,
            "architecture": None,
            "base": None,
            "here": True,
        }
        return {"problems": problems, **found}
    with _noting(problems):
        several = config.run.device if isinstance(config.run.device, list) else [0]
        devices = [find_device(config.run.device, local) for local in range(len(several))]
    if config.model.bit in QUANTIZED and devices:
        reason = why_not_quantized(config.model.bit, devices[0])
        problems += (
            [f"bit: {config.model.bit}: doesn't work here: {reason}; use bit: 16 or 32"]
            if reason
            else []
        )
    with _noting(problems):
        found["data"] = about_data(config.data)
    with _noting(problems):
        found["model"] = about_model(config.model.model)
    if found["model"] is not None:
        with _noting(problems):
            found |= _what_it_takes(config, found["data"] or {}, devices, problems)
    return {"problems": problems, **found}


@contextmanager
def _noting(problems: list[str]) -> Iterator[None]:
    """Note a problem instead of ending at the first."""
    try:
        yield
    except IcdcodeError as error:
        problems.append(str(error))


def about_model(name: str) -> dict[str, Any]:
    """What ``model`` names and where its weights are: ``here`` is False where they are still to be downloaded.

    Raises:
        ConfigError: When it can't be had: there is none, it is gated, or there is no network and it isn't in the cache.
    """
    settings = model_settings(name)
    about = {
        "name": name,
        "architecture": settings.model_type,
        "layers": settings.num_hidden_layers,
    }
    about |= {"width": settings.hidden_size}
    if name == TINY:
        return {**about, "base": None, "here": True}
    base = find_pretrained(name).base
    here = Path(base).is_dir() or any(
        isinstance(try_to_load_from_cache(base, file), str) for file in _WEIGHTS
    )
    return {**about, "base": base, "here": here}


def about_data(config: DataConfig) -> dict[str, Any]:
    """What ``data_path`` holds, whether it is prepared, and the number of labels, where that is known.

    Raises:
        DataError: When there is nothing, or nothing that is known.
        ConfigError: When the data set doesn't know the protocol, or the protocol's split lists are not here.
    """
    chosen = choose_source(config, Reading(config.chunk_size))
    protocol = chosen.protocol
    if protocol.is_benchmark:
        load_split_lists(protocol.name, config.splits_path)
    about = {"path": config.path, "dataset": chosen.dataset, "protocol": protocol.name}
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
        except DataError:  # of an earlier version; training leaves it alone as well
            continue
        if corpus.card.get("options") == chosen.options:
            documents = {
                split: corpus.card["splits"][split]["documents"] for split in corpus.splits
            }
            return {
                **about,
                "corpus": path.parent,
                "labels": len(corpus.labels),
                "documents": documents,
            }
    published = PUBLISHED.get(protocol.name)
    return {
        **about,
        "corpus": None,
        "labels": None if published is None else published.labels,
        "documents": {},
    }


def _what_it_takes(
    config: Config, data: dict[str, Any], devices: list[torch.device], problems: list[str]
) -> dict[str, Any]:
    """Memory and time; a problem where the memory that is free doesn't do."""
    free = min((found for found in map(room, devices) if found is not None), default=None)
    labels, documents = data.get("labels") or UNKNOWN_LABELS, data.get("documents") or {}

    def estimate(config: Config) -> Estimate:
        lengths = [
            np.full(documents[split], config.model.max_len) if split in documents else None
            for split in _SPLITS
        ]
        return estimate_memory(config, labels, *lengths, free=free or 0)

    wanted = estimate(config)
    memory: dict[str, Any] = {
        "estimate": wanted.as_dict(),
        "labels": labels,
        "free": free,
        "changes": {},
    }
    if free is not None and wanted.total > free:
        memory["changes"], total = changes_that_fit(config, estimate, free)
        pairs = " ".join(f"{key}={value}" for key, value in memory["changes"].items())
        way = (
            f"it would fit with {pairs}"
            if total <= free
            else "take a smaller model or another machine"
        )
        needed = f"about {wanted.total / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free on {devices[0]}"
        problems.append(f"memory: {needed}; {way}")
    seconds = None
    if devices:
        rate = operations_a_second(devices[0], config.model.bit)
        documents_read = sum(documents.get(split, 0) for split in _SPLITS)
        seconds = time_by_counting(
            config, wanted, config.model.max_len, rate, len(devices), documents_read
        )
    return {"memory": memory, "seconds": seconds}


def changes_that_fit(
    config: Config, estimate: Callable[[Config], Estimate], free: int
) -> tuple[dict[str, Any], int]:
    """Keys to change so that a training fits the memory, those first that change nothing about the result.

    Args:
        config: The configuration that doesn't fit.
        estimate: The memory of a configuration.
        free: Bytes that there are.

    Returns:
        The changes, all that help where not even all of them do, and the bytes needed with them.
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
