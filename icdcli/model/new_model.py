"""Build a new model: its backbone, head and tokenizer.

Shapes: L labels, M descriptions of labels, D width.
"""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from icdcli.data.batching import SpecialTokens, collate
from icdcli.data.corpus.reader import Corpus, Labels
from icdcli.data.corpus.restarting import TrainingTexts
from icdcli.data.token_cache import encode
from icdcli.errors import ConfigError
from icdcli.lexical.descriptions import Descriptions
from icdcli.lexical.reading import UNCHANGED, NoteReading
from icdcli.lexical.views import Views
from icdcli.model.backbone import load_backbone, new_backbone, tiny_config
from icdcli.model.batch import Batch
from icdcli.model.execution import FASTEST, Execution
from icdcli.model.files.base_identity import BaseIdentity
from icdcli.model.heads.assertion_terms import CLASSES
from icdcli.model.heads.description_prior import DescriptionPrior
from icdcli.model.heads.pooled import pool
from icdcli.model.hub import TINY, find_pretrained
from icdcli.model.network import CodingNetwork, build_network
from icdcli.model.neural_model import NeuralModel
from icdcli.model.principal.choice import PrincipalChoice
from icdcli.model.section import ModelConfig
from icdcli.model.threshold import Threshold
from icdcli.model.tokenizer import (
    chunks_of,
    load_tokenizer,
    special_tokens_of,
    train_tokenizer,
    whole_words,
)
from icdcli.model.trials import window_of

_AT_ONCE = 64
_LONGEST = 128  # tokens; the longest title of ICD-10-CM has about a hundred


def tokenizer_for(config: ModelConfig, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Return the tokenizer of a new model; that of `tiny` is trained on the training notes."""
    if config.model == TINY:
        return train_tokenizer(texts)
    return load_tokenizer(find_pretrained(config.model))


def views_of(
    config: ModelConfig, language: str, on_warning: Callable[[str], object] | None = None
) -> Views:
    """Return the views of documents that a configured model reads.

    Args:
        config: The model section of the configuration.
        language: The language of the documents.
        on_warning: Receives a warning if assertion is off although it would matter.

    Raises:
        ConfigError: If ``assertion_cues`` can't be read.
        DataError: If it isn't UTF-8, or has a bad row.
    """
    # Linear classifiers of words know no classes, and can't weigh two views.
    learns = config.assertion == "learned" and not config.is_baseline
    needed = learns or config.assertion == "facts"
    views = Views.of(config.assertion if needed else "mentions", language, config.assertion_cues)
    if on_warning is not None and (off := views.warning()) is not None:
        on_warning(off)
    return views


def reading_of(
    config: ModelConfig,
    corpus: Corpus,
    language: str,
    tokenizer: PreTrainedTokenizerFast,
    on_warning: Callable[[str], object] | None = None,
) -> NoteReading:
    """Return how a new model reads notes; with the lexicon, it learns the words of the corpus.

    Args:
        config: The model section of the configuration.
        corpus: The prepared corpus.
        language: The language of the documents.
        tokenizer: The tokenizer; its words are known words.
        on_warning: See `views_of`.
    """
    views = views_of(config, language, on_warning)
    if not (config.lexical and config.lexicon):
        return NoteReading(views)
    words = whole_words(tokenizer)
    texts = TrainingTexts(corpus)
    return NoteReading.fit(views, texts, corpus.labels, corpus.code_system, words)


def new_model(
    config: ModelConfig,
    tokenizer: PreTrainedTokenizerFast,
    labels: Labels,
    threshold: Threshold,
    device: torch.device,
    seed: int,
    descriptions: Descriptions = (),
    execution: Execution = FASTEST,
    on_warning: Callable[[str], object] = warnings.warn,
    reading: NoteReading = UNCHANGED,
    kept_labels: NDArray[np.int64] | None = None,
    principal: PrincipalChoice | None = None,
) -> NeuralModel:
    """Build a model to train: a pretrained backbone (or a new `tiny`), new adapters and a new head.

    Args:
        config: The model section of the configuration.
        tokenizer: The backbone's tokenizer.
        labels: The label space.
        threshold: The score from which a code is predicted.
        device: The device that the network computes on.
        seed: The seed of all random numbers.
        descriptions: The descriptions of each label, if the head or the prior starts from them.
        execution: How the network computes.
        on_warning: See `CodingNetwork`.
        reading: How it reads notes. If it has both views, the head learns about assertion classes.
        kept_labels: Which of the described labels the network has; None: all. The model may have
            more at the end, which training never sees.
        principal: How the training documents suggest to choose the principal diagnosis, if the
            model learns it.

    Raises:
        ConfigError: If the configured model can't be loaded, or doesn't support the configuration.
    """
    torch.manual_seed(seed)
    own = config.model == TINY or not config.frozen
    base = None
    if config.model == TINY:
        backbone = new_backbone(config, tiny_config(tokenizer), device)
    else:
        source = find_pretrained(config.model)
        backbone = load_backbone(config, source, device)
        base = BaseIdentity.of(source)
    classes = CLASSES if {"all", "affirmed"} <= {*reading.views.names} else ()
    kept = range(len(descriptions)) if kept_labels is None else kept_labels.tolist()
    counts = [max(len(descriptions[label]), 1) for label in kept] if descriptions else []
    known = len(labels) if kept_labels is None else len(kept_labels)
    network = build_network(config, backbone, known, counts, classes, principal is not None)
    if principal is not None and network.principal is not None:
        network.principal.start_from_rates(torch.from_numpy(principal.log_rates_L[:known]))
    network.on_warning = on_warning
    special_tokens = special_tokens_of(tokenizer, config.pooling_mode)
    chunks = chunks_of(config, backbone.config, special_tokens)
    model = NeuralModel(
        network,
        tokenizer,
        special_tokens,
        labels,
        config,
        threshold,
        own,
        chunks,
        base=base,
        reading=reading,
        principal=principal,
    )
    if descriptions:
        _start_from_descriptions(model, descriptions, kept_labels)
    execution.choose(network)
    return model


def _start_from_descriptions(
    model: NeuralModel, descriptions: Descriptions, kept_labels: NDArray[np.int64] | None
) -> None:
    network = model.network
    if not any(descriptions):
        key = "description_prior: True" if network.prior is not None else "label_init: descriptions"
        raise ConfigError(
            f"{key}: none of the {len(descriptions)} codes has a title. Name their code system "
            "(code_system: icd9 or icd10), or set label_init: random and description_prior: False."
        )
    described = describe_labels(model, network, descriptions)
    if kept_labels is not None:
        if network.prior is not None:
            model.corpus_prior = DescriptionPrior(_width(network), described.counts)
            model.corpus_prior.start_from_descriptions(described.vectors_MD)
            model.corpus_prior.precision = network.prior.precision
        described = described.at(kept_labels)
    if model.config.label_init == "descriptions":
        starts_LD = described.of_labels(model.config)
        network.head.start_from_descriptions(starts_LD, described.known_L)
    if network.prior is not None:
        network.prior.start_from_descriptions(described.vectors_MD)


@dataclass(frozen=True)
class EmbeddedDescriptions:
    """The descriptions of the labels as vectors.

    Attributes:
        counts: The number of vectors of each label, at least one.
        vectors_MD: The mean hidden state of each description, float32, in the order of the labels;
            zero for a label without a description.
        titles_LD: The first vector of each label.
        means_LD: The mean of the vectors of each label.
        known_L: True if the label has a description.
    """

    counts: tuple[int, ...]
    vectors_MD: Tensor
    titles_LD: Tensor
    means_LD: Tensor
    known_L: Tensor

    def at(self, labels: NDArray[np.int64]) -> "EmbeddedDescriptions":
        """Return the descriptions of some labels."""
        firsts_L = np.cumsum([0, *self.counts])
        rows = [np.arange(firsts_L[label], firsts_L[label + 1]) for label in labels.tolist()]
        counts = tuple(len(own) for own in rows)
        return EmbeddedDescriptions(
            counts,
            self.vectors_MD[np.concatenate(rows)],
            self.titles_LD[labels],
            self.means_LD[labels],
            self.known_L[labels],
        )

    def of_labels(self, config: ModelConfig) -> Tensor:
        """Return the vector of each label that a head starts from, (L, D).

        With the lexicon, it is the mean of all its descriptions; without, that of its title.
        """
        return self.means_LD if config.lexicon else self.titles_LD


def describe_labels(
    model: NeuralModel, network: CodingNetwork, descriptions: Descriptions
) -> EmbeddedDescriptions:
    """Return the descriptions of labels as the backbone of a network encodes them.

    Args:
        model: The model, whose tokenizer is used.
        network: The network: that of the model, or the one before training.
        descriptions: The descriptions of each label.
    """
    settings: Any = network.backbone.config
    longest = min(_LONGEST, window_of(settings, _LONGEST) or _LONGEST)
    return embed_descriptions(network, model.tokenizer, model.special_tokens, descriptions, longest)


@torch.no_grad()
def embed_descriptions(
    network: CodingNetwork,
    tokenizer: PreTrainedTokenizerFast,
    special_tokens: SpecialTokens,
    descriptions: Descriptions,
    longest: int = _LONGEST,
) -> EmbeddedDescriptions:
    """Return the mean of the backbone's hidden states over each description.

    Args:
        network: The network whose backbone reads the descriptions; its mode is restored.
        tokenizer: The backbone's tokenizer.
        special_tokens: The special tokens around each description.
        descriptions: The descriptions of each label.
        longest: The most tokens of a description that are read.

    Returns:
        The vectors, on the network's device.
    """
    counts = tuple(max(len(texts), 1) for texts in descriptions)
    firsts = np.cumsum([0, *counts[:-1]])
    texts = {
        int(first) + place: text
        for first, own in zip(firsts, descriptions, strict=True)
        for place, text in enumerate(own)
    }
    ids = dict(zip(texts, encode(tokenizer.backend_tokenizer)(list(texts.values())), strict=True))
    cut = sum(len(own) + len(special_tokens) > longest for own in ids.values())
    if cut and longest < _LONGEST:
        network.on_warning(
            f"{cut:,} of {len(ids):,} descriptions of codes are longer than the {longest} tokens "
            "that the model can read at once. Only their beginnings count"
        )
    longest_first = sorted(ids, key=lambda place: -len(ids[place]))
    vectors_MD = torch.zeros(sum(counts), _width(network), device=network.device)
    training = network.training
    network.eval()
    for start in range(0, len(longest_first), _AT_ONCE):
        places = longest_first[start : start + _AT_ONCE]
        documents = [special_tokens.read(ids[place], longest) for place in places]
        inputs = Batch.of(collate(documents, special_tokens.pad, network.padding)).to(
            network.device
        )
        vectors_MD[places] = pool(network.hidden_states(inputs), inputs.documents, "mean")
    network.train(training)
    label_M = torch.repeat_interleave(torch.tensor(counts, device=network.device))
    means_LD = torch.zeros(len(counts), vectors_MD.shape[1], device=network.device)
    means_LD.index_add_(0, label_M, vectors_MD)
    means_LD /= torch.tensor(counts, device=network.device)[:, None]
    known_L = torch.tensor([len(texts) > 0 for texts in descriptions], device=network.device)
    return EmbeddedDescriptions(counts, vectors_MD, vectors_MD[firsts.tolist()], means_LD, known_L)


def _width(network: CodingNetwork) -> int:
    settings = getattr(network.backbone, "config")  # noqa: B009  (peft's wrapper and transformers' models both have it)
    return int(settings.hidden_size)
