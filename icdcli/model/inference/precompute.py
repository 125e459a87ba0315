"""Compute what doesn't change during training once, and keep it in the corpus folder.

For a frozen backbone, these are its hidden states: an epoch then takes seconds. For a description
prior, these are the similarities of the descriptions to the documents. Both are memory-mapped files
in half precision, in a folder whose name changes with everything that they depend on: every weight
of the backbone, its settings, the tokenizer, and how documents are read.

Shapes: N documents, T tokens, D width, M descriptions of labels.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from icdcli.data.batching import Ids, collate
from icdcli.data.encoded_documents import DescriptionSimilarity, EncodedDocuments, HiddenStates
from icdcli.errors import DataError
from icdcli.io.folders import locked, partial_folder, publish_folder
from icdcli.io.npz import cache_opened, read_array
from icdcli.io.progress import Progress
from icdcli.model.batch import Batch
from icdcli.model.heads.description_prior import DescriptionPrior
from icdcli.model.heads.pooled import average_neighbors
from icdcli.model.inference.computed_names import FORMAT, Wanted, computed_folder
from icdcli.model.inference.passes import (
    READ_TOKENS,
    forward_passes,
    pass_plan,
    reads_alone,
    tokens_per_pass,
)
from icdcli.model.network import CodingNetwork

_STATES, _OFFSETS, SIMILARITIES, _META = (
    "states.npy",
    "offsets.npy",
    "similarities.npy",
    "meta.json",
)


def precompute(
    corpus: Path,
    split: str,
    documents: EncodedDocuments,
    network: CodingNetwork,
    wanted: Wanted,
    on_progress: Progress | None = None,
) -> EncodedDocuments:
    """Open the precomputed files of a split, computing those that are missing.

    Args:
        corpus: The corpus folder.
        split: The name of the split.
        documents: Its documents.
        network: The network with the untrained backbone; its mode is restored.
        wanted: The selection of what to compute.
        on_progress: Receives the progress.

    Returns:
        The documents with their hidden states and similarities.

    Raises:
        DataError: If the files don't fit on the disk, or are damaged.
    """
    parts = [
        part
        for part, on in (
            ("states", wanted.states),
            ("similarities", wanted.prior is not None),
        )
        if on
    ]
    if not parts:
        return documents
    keys = {part: computed_folder(part, split, documents, network, wanted) for part in parts}
    missing = [part for part in parts if not (corpus / keys[part] / _META).is_file()]
    if missing:
        for part in missing:
            _warn_of_old_files(corpus, part, split, network)
        _make(
            corpus,
            {part: keys[part] for part in missing},
            split,
            documents,
            network,
            wanted,
            on_progress,
        )
    if "states" in keys:
        folder = corpus / keys["states"]
        with cache_opened(folder):
            states = HiddenStates(
                read_array(folder / _STATES, mapped=True),
                read_array(folder / _OFFSETS),
                network.state_pooling,
            )
        documents = replace(documents, hidden_states=states)
    if "similarities" in keys:
        assert wanted.prior is not None
        folder = corpus / keys["similarities"]
        with cache_opened(folder):
            cosine_NM = read_array(folder / SIMILARITIES, mapped=True)
        documents = replace(documents, similarities=wanted.prior.adjusted(cosine_NM))
    return documents


def description_similarities(
    network: CodingNetwork, prior: DescriptionPrior, documents: EncodedDocuments
) -> DescriptionSimilarity:
    """Compute the similarities of the descriptions to a few documents in memory."""
    cosine_NM = np.empty((len(documents), len(prior.descriptions_MD)), np.float16)

    def take(rows: Ids, batch: Batch, hidden_TD: Tensor) -> None:
        cosine_NM[rows] = prior.cosines(hidden_TD, batch.documents)

    for _ in read_states(network, documents, take, reads_alone(network)):
        pass
    return prior.adjusted(cosine_NM)


def states_fit(
    splits: Iterable[EncodedDocuments], network: CodingNetwork, gigabytes: float
) -> bool:
    """Return whether the hidden states of splits take no more than this disk space."""
    return sum(size_of_states(documents, network) for documents in splits) <= gigabytes * 1e9


def size_of_states(documents: EncodedDocuments, network: CodingNetwork) -> int:
    """Return the bytes of a split's hidden states."""
    return int(_state_lengths(documents, network).sum()) * _width(network) * 2


def _make(
    corpus: Path,
    keys: dict[str, str],
    split: str,
    documents: EncodedDocuments,
    network: CodingNetwork,
    wanted: Wanted,
    on_progress: Progress | None,
) -> None:
    prior = wanted.prior if "similarities" in keys else None
    needed = size_of_states(documents, network) * ("states" in keys)
    if prior is not None:
        needed += len(documents) * len(prior.descriptions_MD) * 2
    free = shutil.disk_usage(corpus).free
    if needed > free:
        raise DataError(
            f"{corpus}: precomputed hidden states and similarities need {needed / 1e9:.1f} GB, but "
            f"only {free / 1e9:.1f} GB are free. Free some space, set cache_dir to another disk, "
            "or lower state_cache_gb."
        )
    with ExitStack() as stack:
        for key in sorted(keys.values()):
            stack.enter_context(locked(corpus, key, on_progress))
        missing = {part: key for part, key in keys.items() if not (corpus / key / _META).is_file()}
        folders = {
            part: stack.enter_context(partial_folder(corpus, key)) for part, key in missing.items()
        }
        if not folders:
            return  # another process has made them by now
        try:
            _fill(
                folders,
                split,
                documents,
                network,
                prior if "similarities" in folders else None,
                on_progress,
            )
            for part, folder in folders.items():
                (folder / _META).write_text(
                    json.dumps({"format": FORMAT, "split": split, "documents": len(documents)})
                    + "\n",
                    "utf-8",
                )
                for path in folder.iterdir():
                    path.chmod(0o600)
                publish_folder(folder, corpus / missing[part])
        except OSError as error:
            raise DataError(
                f"{corpus}: can't be written ({error.strerror}). Free some space or set cache_dir."
            ) from error


def _fill(
    folders: dict[str, Path],
    split: str,
    documents: EncodedDocuments,
    network: CodingNetwork,
    prior: DescriptionPrior | None,
    on_progress: Progress | None,
) -> None:
    """Write the files in one pass over the documents."""
    offsets = np.cumsum([0, *_state_lengths(documents, network)], dtype=np.int64)
    hidden_TD = cosine_NM = None
    if "states" in folders:
        np.save(folders["states"] / _OFFSETS, offsets)
        hidden_TD = open_memmap(
            folders["states"] / _STATES, "w+", np.float16, (int(offsets[-1]), _width(network))
        )
    if prior is not None:
        shape = (len(documents), len(prior.descriptions_MD))
        cosine_NM = open_memmap(folders["similarities"] / SIMILARITIES, "w+", np.float16, shape)

    def take(rows: Ids, batch: Batch, found_TD: Tensor) -> None:
        if hidden_TD is not None:
            averaged_TD, grouped = average_neighbors(
                found_TD, batch.documents, network.state_pooling
            )
            parts = averaged_TD.half().cpu().split(list(grouped.lengths))
            for row, part in zip(rows.tolist(), parts, strict=True):
                hidden_TD[offsets[row] : offsets[row + 1]] = part.numpy()
        if prior is not None and cosine_NM is not None:
            cosine_NM[rows] = prior.cosines(found_TD, batch.documents)

    for done in read_states(network, documents, take):
        if on_progress is not None:
            on_progress(f"reading the {split} split with the backbone", done, len(documents))
    for array in (hidden_TD, cosine_NM):
        if array is not None:
            array.flush()


def read_states(
    network: CodingNetwork,
    documents: EncodedDocuments,
    take: Callable[[Ids, Batch, Tensor], None],
    alone: bool = False,
) -> Iterator[int]:
    """Read documents with the backbone, longest first, in smaller batches if memory runs out.

    Args:
        network: The network; its mode is restored.
        documents: The documents.
        take: Receives the positions of some documents, their batch, and hidden_TD, one per token;
            called again with fewer documents if memory runs out.
        alone: Whether each document is read alone; see `pass_plan`.

    Yields:
        The number of documents read so far.

    Raises:
        ConfigError: If a single document doesn't fit in memory.
    """
    training = network.training
    tokens = tokens_per_pass(network, on_cpu=READ_TOKENS)
    plan = pass_plan(documents, tokens, network.padding, alone)

    def read(rows: Ids) -> Batch:
        return Batch.of(
            collate([documents[row] for row in rows], documents.special_tokens.pad, network.padding)
        )

    @torch.inference_mode()
    def compute(rows: Ids, batch: Batch) -> None:
        batch = batch.to(network.device)
        take(rows, batch, network.hidden_states(batch))

    network.eval()
    try:
        done = np.cumsum([len(rows) for rows in plan]).tolist()
        passes = forward_passes(network, documents, plan, read, compute)
        for so_far, _ in zip(done, passes, strict=True):
            yield so_far
    finally:
        network.train(training)


def _state_lengths(documents: EncodedDocuments, network: CodingNetwork) -> Ids:
    return -(-documents.state_lengths // network.state_pooling)


def _width(network: CodingNetwork) -> int:
    settings: Any = network.backbone.config
    return int(settings.hidden_size)


def _warn_of_old_files(corpus: Path, part: str, split: str, network: CodingNetwork) -> None:
    """Warn about a folder of an earlier version, which can't be recognized reliably."""
    for folder in corpus.glob(f"{part}-{split}-*"):
        with suppress(OSError, ValueError):
            if json.loads((folder / _META).read_text("utf-8")).get("format") is None:
                network.on_warning(
                    f"{folder}: was computed by an earlier version, which recognized the backbone "
                    "by a part of its weights. It isn't used any more and can be deleted; its "
                    "content is computed again."
                )
