"""A neural network with its tokenizer, label space and threshold as a `CodingModel`.

Shapes: N notes or documents, W windows of them, L labels.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from icdcli.data.batching import Chunks, SpecialTokens
from icdcli.data.corpus.reader import Corpus, Documents, Labels, write_labels
from icdcli.data.encoded_documents import EncodedDocuments, Tokens
from icdcli.data.token_cache import TokenizedText, token_cache, tokenization
from icdcli.io.progress import Progress
from icdcli.lexical.reading import UNCHANGED, NoteReading
from icdcli.lexical.views import Views
from icdcli.model.coding_model import (
    CodePrediction,
    NoteScores,
    SplitParts,
    documents_to_score,
    predictions,
    texts_to_score,
)
from icdcli.model.execution import FASTEST, Execution
from icdcli.model.files.adapter_card import describe_adapter
from icdcli.model.files.base_identity import BaseIdentity
from icdcli.model.files.checkpoint_files import (
    BACKBONE,
    LABELS,
    LEXICAL,
    read_settings,
    write_settings,
)
from icdcli.model.files.checkpoint_labels import checkpoint_labels
from icdcli.model.files.network_weights import load_weights, save_weights
from icdcli.model.files.saved_backbone import load_saved_backbone, saved_lexical
from icdcli.model.fusion import NETWORK, PRIOR, Fusion
from icdcli.model.heads.description_prior import DescriptionPrior
from icdcli.model.inference.model_inputs import with_precomputed, with_similarities
from icdcli.model.inference.note_batches import ReadNotes, note_scores, score_batches
from icdcli.model.inference.original_network import untrained_network
from icdcli.model.inference.passes import reads_alone
from icdcli.model.inference.precompute import states_fit
from icdcli.model.inference.room import part_scores
from icdcli.model.inference.scored import Scored
from icdcli.model.inference.scoring import logits_without_prior, pool_windows, score_documents
from icdcli.model.network import CodingNetwork, build_network
from icdcli.model.precision import saved_config
from icdcli.model.principal.choice import PrincipalChoice
from icdcli.model.section import CpuPrecision, ModelConfig
from icdcli.model.threshold import Threshold

if TYPE_CHECKING:
    from icdcli.lexical.lexical_model import LexicalModel

FORMAT = 2


@dataclass
class NeuralModel:
    """A network with its tokenizer, label space and threshold; fulfills `CodingModel`.

    Attributes:
        network: Token ids to logits.
        tokenizer: Text to token ids.
        special_tokens: The special tokens around a document.
        labels: The label space, in the order of the logits.
        config: The model section of the configuration that it was made from.
        threshold: The score from which a code is predicted.
        own_backbone: Whether the backbone's weights are this model's, not a base model's.
        chunks: How documents beyond the backbone's window are read; None: there are none.
        lexical: The lexical model whose scores are fused with the logits; None: there is none.
        fusion: The weights of logits and lexical scores in one score; None: not fitted yet.
        text_cleaning: How its training texts were cleaned; notes are cleaned in the same way.
        base: The base model of the backbone; None: random weights, or an old checkpoint.
        reading: How it reads notes.
        corpus_prior: For a new model of a view, the descriptions of all labels of the corpus.
        principal: How it chooses the principal diagnosis; None: it doesn't.
    """

    network: CodingNetwork
    tokenizer: PreTrainedTokenizerFast
    special_tokens: SpecialTokens
    labels: Labels
    config: ModelConfig
    threshold: Threshold
    own_backbone: bool
    chunks: Chunks | None = None
    lexical: "LexicalModel | None" = None
    fusion: Fusion | None = None
    text_cleaning: str = "none"
    base: BaseIdentity | None = None
    reading: NoteReading = UNCHANGED
    corpus_prior: DescriptionPrior | None = None
    principal: PrincipalChoice | None = None

    def __post_init__(self) -> None:
        """Tell the network whether training changes its backbone."""
        self.network.untrained_backbone = not self.trained_backbone

    @property
    def views(self) -> Views:
        """Return the views of notes that it reads."""
        return self.reading.views

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the parts that an ablation can leave out; see `CodingModel.parts`."""
        prior = () if self.network.prior is None else (PRIOR,)
        lexical = () if self.lexical is None else self.lexical.parts
        return (*prior, NETWORK, *lexical) if lexical else prior

    @property
    def trained_backbone(self) -> bool:
        """Return whether training changes the backbone's hidden states."""
        return self.config.lora_activate or not self.config.frozen

    @property
    def device(self) -> torch.device:
        """Return the device that the network computes on."""
        return self.network.device

    def cached_tokens(self, corpus: Corpus, on_progress: Progress | None = None) -> Tokens:
        """Return the tokens of a corpus, with their assertion classes if the head knows classes."""
        return token_cache(
            corpus.folder,
            self.tokenizer.backend_tokenizer,
            on_progress,
            self.reading,
            with_classes=bool(self.network.head.classes),
        )

    def encoded(self, tokens: Tokens, documents: Documents) -> EncodedDocuments:
        """Return a split's documents as the network reads them."""
        config = self.config
        return tokens.of(
            documents, self.special_tokens, config.max_len, self.chunks, config.long_notes
        )

    def score_notes(self, texts: Sequence[str]) -> NoteScores:
        """Score notes.

        Of a note of more than ``max_len`` tokens, the network reads what ``long_notes`` says, as in
        training and evaluation: the first tokens, or all windows, of which each code's highest
        logit counts. The lexical model reads the complete note; see `CodingModel.score_notes`.
        """
        return next(self.score_batches([texts]))

    def score_batches(
        self, batches: Iterable[Sequence[str]], ahead: bool = False, as_logits: bool = False
    ) -> Iterator[NoteScores]:
        """Score batches of notes; see `CodingModel.score_batches`."""
        labels, score = len(self.labels), partial(self._score, as_logits=as_logits)
        return score_batches(batches, self.text_cleaning, labels, self._read, score, ahead)

    def _read(self, texts: list[str]) -> ReadNotes:
        lexical = self.lexical if self.fusion is not None else None
        return ReadNotes(self._tokenize(texts), {} if lexical is None else lexical.scores(texts))

    @cached_property
    def _tokenize(self) -> Callable[[Sequence[str]], list[TokenizedText]]:
        # Kept, since it copies the tokenizer: half a second for one with 128,000 tokens.
        backend, with_classes = self.tokenizer.backend_tokenizer, bool(self.network.head.classes)
        return tokenization(backend, self.reading, with_classes)

    def _score(self, notes: ReadNotes, as_logits: bool) -> NoteScores:
        spans = [self.windows(len(note.ids)) for note in notes.tokens]
        scored = self._window_scores(notes.tokens)
        return note_scores(notes, spans, scored, self.fusion, as_logits, self.principal)

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return scores_NL; see `CodingModel.scores`."""
        return self.score_notes(texts).scores_NL

    def predict(self, texts: Sequence[str]) -> list[list[CodePrediction]]:
        """Predict the codes of notes; see `CodingModel.predict`."""
        return predictions(self, self.score_notes(texts))

    def window_logits(self, notes: Sequence[TokenizedText]) -> NDArray[np.float32]:
        """Return logits_WL of each window, note by note.

        Args:
            notes: All tokens of each note.
        """
        return self._window_scores(notes).logits_NL

    def _empty(self, documents: EncodedDocuments, descriptions: int | None = None) -> Scored:
        with_principal = self.principal is not None
        return Scored.empty(len(documents), len(self.labels), descriptions, with_principal)

    def _window_scores(self, notes: Sequence[TokenizedText]) -> Scored:
        tokens = Tokens.joined([note.ids for note in notes], [note.classes for note in notes])
        encoded = self.encoded(tokens, Documents.unlabeled(len(notes)))
        if self.trained_backbone:
            encoded = with_similarities(self, encoded)
        scored = self._empty(encoded)
        for _ in score_documents(self.network, encoded, scored, alone=reads_alone(self.network)):
            pass
        return scored

    def windows(self, tokens: int) -> list[tuple[int, int]]:
        """Return the windows in which a note is read; see `SpecialTokens.windows`."""
        return self.special_tokens.windows(tokens, self.config.max_len, self.config.long_notes)

    def score_split(
        self,
        corpus: Corpus,
        split: str,
        on_progress: Progress | None = None,
        only: Sequence[int] | None = None,
        state_cache_gb: float = 20,
    ) -> SplitParts:
        """Score the documents of a split; see `CodingModel.score_split`."""
        documents = documents_to_score(corpus, split, self.labels, only)
        encoded = self.encoded(self.cached_tokens(corpus, on_progress), documents)
        prior, descriptions = self.network.prior, None
        if only is None and (
            self.trained_backbone or states_fit([encoded], self.network, state_cache_gb)
        ):
            known = with_precomputed(self, corpus, {split: encoded}, state_cache_gb, on_progress)
            encoded = known[split]
        elif self.trained_backbone:
            encoded = with_similarities(self, encoded)
        elif prior is not None:  # one reading gives the logits and the similarities
            descriptions = len(prior.descriptions_MD)
        scored = self._empty(encoded, descriptions)
        for done in score_documents(self.network, encoded, scored):
            if on_progress is not None:
                on_progress(f"scoring the {split} split", done, len(encoded))
        if prior is not None and scored.cosine_NM is not None:
            encoded = replace(encoded, similarities=prior.adjusted(scored.cosine_NM))
        weight = None if prior is None else np.float32(prior.weight.item())
        without_prior_NL = logits_without_prior(scored.logits_NL, encoded, weight)
        scored = pool_windows(scored, encoded)
        parts = {NETWORK: scored.logits_NL}
        if self.lexical is not None:
            texts = texts_to_score(corpus, split, only)
            parts |= part_scores(self.lexical, texts, len(documents), on_progress)
        return SplitParts(
            documents,
            parts,
            encoded.similarities,
            scored.losses_N,
            weight,
            without_prior_NL,
            encoded.cut_documents,
            scored.principal_NL,
        )

    @contextmanager
    def untrained(self, new: bool = False) -> Iterator[CodingNetwork]:
        """Yield a network whose hidden states are those of the backbone before training.

        Args:
            new: Whether no training step has changed the backbone.
        """
        if new or not self.trained_backbone:
            yield self.network
            return
        with untrained_network(self.network, self.config, self.base, self.own_backbone) as reader:
            yield reader

    def save(self, folder: Path) -> None:
        """Write a checkpoint into an empty folder, without the manifest."""
        save_weights(folder, self.network, self.own_backbone, self.config.lora_activate)
        describe_adapter(folder, self.network.backbone, self.base, self.config)
        if self.own_backbone:
            backbone: Any = self.network.backbone.config
            backbone.save_pretrained(folder / BACKBONE)
            self.tokenizer.save_pretrained(folder / BACKBONE)
        write_labels(folder / LABELS, self.labels)
        if self.lexical is not None:
            (folder / LEXICAL).mkdir()
            self.lexical.save(folder / LEXICAL)
        prior = self.network.prior
        settings = {
            "model": self.config.to_json(),
            "base": None if self.base is None else self.base.to_json(),
            "own_backbone": self.own_backbone,
            "threshold": self.threshold.to_json(),
            "frame": asdict(self.special_tokens),
            "descriptions": None if prior is None else prior.counts,
            "fusion": None if self.fusion is None else self.fusion.to_json(),
            "lexical": self.lexical is not None,
            "text_cleaning": self.text_cleaning,
            "views": asdict(self.views),
            "chunks": None if self.chunks is None else asdict(self.chunks),
            "classes": self.network.head.classes,
            "unseen": self.network.unseen,
        }
        if self.principal is not None:
            settings["principal"] = self.principal.to_json()
        write_settings(folder, FORMAT, settings)

    @classmethod
    def load(
        cls,
        folder: Path,
        device: torch.device,
        trainable: bool = False,
        execution: Execution = FASTEST,
        on_warning: Callable[[str], object] = warnings.warn,
        cpu_precision: CpuPrecision | None = None,
    ) -> "NeuralModel":
        """Load a checkpoint; its scores are those of the model that was saved.

        Args:
            folder: The checkpoint's folder.
            device: The device that the network computes on.
            trainable: Whether the model will be trained further; otherwise no weight has a
                gradient.
            execution: How the network computes.
            on_warning: See `CodingNetwork`.
            cpu_precision: The precision to compute in instead of that of the training.

        Raises:
            ResumeError: If the checkpoint is incomplete or was changed, or if its base model was.
            ConfigError: If the base model can't be loaded, or if it can't compute as
                `execution` asks.
        """
        settings = read_settings(folder, FORMAT)
        config = saved_config(settings["model"], device, cpu_precision, on_warning)
        own = settings["own_backbone"]
        labels = checkpoint_labels(folder)
        described, classes = settings["descriptions"], settings.get("classes", ())
        unseen = settings.get("unseen", 0)
        principal = PrincipalChoice.from_json(settings.get("principal"))
        known = len(labels) - unseen
        with ThreadPoolExecutor(1) as beside:  # while hashes and trials use another core
            loading = beside.submit(_read_lexical, folder, settings, len(labels))
            saved = load_saved_backbone(folder, settings, config, device, execution.shared)
            network = build_network(
                config, saved.network, known, described, classes, principal is not None
            )
            network.unseen = unseen
            network.on_warning = on_warning
            load_weights(folder, network, own, config.lora_activate)
            if not trainable:
                network.requires_grad_(False)
            network.eval()
            execution.choose(network)
            lexical, reading = loading.result()
        frame, chunks = settings["frame"], settings["chunks"]
        return cls(
            network,
            saved.tokenizer,
            SpecialTokens(tuple(frame["prefix"]), tuple(frame["suffix"]), frame["pad"]),
            labels,
            config,
            Threshold.from_json(settings["threshold"]),
            own,
            None if chunks is None else Chunks(**chunks),
            lexical,
            Fusion.from_json(settings["fusion"]),
            settings["text_cleaning"],
            saved.base,
            reading,
            principal=principal,
        )


def _read_lexical(
    folder: Path, settings: Mapping[str, Any], labels: int
) -> "tuple[LexicalModel | None, NoteReading]":
    """Return a checkpoint's lexical model, if it has one, and how notes are read."""
    lexical = saved_lexical(folder / LEXICAL, labels) if settings["lexical"] else None
    reading = UNCHANGED if lexical is None else lexical.reading
    reading = replace(reading, views=Views.from_json(settings.get("views")))
    _ = reading.views.reader  # made now, beside other work, not when the first note is read
    return lexical, reading
