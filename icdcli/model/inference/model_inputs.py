"""The inputs of a model's network that training doesn't change, computed once.

Shapes: N documents.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from transformers import PreTrainedTokenizerFast

from icdcli.data.corpus.reader import Corpus
from icdcli.data.encoded_documents import EncodedDocuments
from icdcli.data.token_cache import fingerprint
from icdcli.io.progress import Progress
from icdcli.lexical.reading import NoteReading
from icdcli.model.heads.description_prior import DescriptionPrior
from icdcli.model.inference.computed_names import Wanted, backbone_fingerprint
from icdcli.model.inference.precompute import description_similarities, states_fit
from icdcli.model.inference.shared_states import precompute_splits
from icdcli.model.network import CodingNetwork


class InputModel(Protocol):
    """What a model needs for its inputs; `icdcli.model.neural_model.NeuralModel` has it."""

    network: CodingNetwork
    tokenizer: PreTrainedTokenizerFast
    reading: NoteReading
    corpus_prior: DescriptionPrior | None

    @property
    def trained_backbone(self) -> bool:
        """Return whether training changes the backbone's hidden states."""

    def untrained(self, new: bool = False) -> AbstractContextManager[CodingNetwork]:
        """Return a network whose hidden states are those of the backbone before training."""


def with_similarities(model: InputModel, documents: EncodedDocuments) -> EncodedDocuments:
    """Return a few documents with the similarities of the descriptions that a prior needs."""
    if (prior := model.network.prior) is None:
        return documents
    with model.untrained() as reader:
        similarities = description_similarities(reader, prior, documents)
    return replace(documents, similarities=similarities)


def with_precomputed(
    model: InputModel,
    corpus: Corpus,
    splits: Mapping[str, EncodedDocuments],
    gigabytes: float,
    on_progress: Progress | None = None,
    new: bool = False,
) -> dict[str, EncodedDocuments]:
    """Return documents with hidden states and similarities that training doesn't change.

    They are computed once and kept in the corpus folder.

    Args:
        model: The model.
        corpus: The corpus.
        splits: Split to documents.
        gigabytes: The most disk space for the hidden states of all splits. If they need more,
            they are computed in every forward pass instead.
        on_progress: Receives the progress.
        new: Whether no training step has changed the backbone.

    Raises:
        DataError: If the results don't fit on the disk, or if those kept are damaged.
    """
    network = model.network
    states = (new or not model.trained_backbone) and states_fit(splits.values(), network, gigabytes)
    if not states and network.prior is None:
        return dict(splits)
    tokenizer = fingerprint(model.tokenizer.backend_tokenizer) + model.reading.key
    with model.untrained(new) as reader:
        wanted = Wanted(states, network.prior, tokenizer, backbone_fingerprint(reader))
        return precompute_splits(corpus, splits, reader, wanted, model.corpus_prior, on_progress)
