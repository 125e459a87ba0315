"""Set up a run from its configuration: corpus, tokens, model, optimizer."""

import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from icdcli.config.metric_names import monitored
from icdcli.config.run_section import RunConfig
from icdcli.config.schema import Config
from icdcli.data.corpus.label_spaces import WITH_UNSEEN, missed_columns, unseen_labels
from icdcli.data.corpus.migrated import MIGRATED, corpus_for_run
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import Corpus
from icdcli.data.corpus.views import CorpusView, corpus_of
from icdcli.data.encoded_documents import EncodedDocuments, Tokens
from icdcli.data.section import DataConfig
from icdcli.data.token_cache import use_workers
from icdcli.distributed.gradient_sums import sums_in_backward
from icdcli.distributed.process_group import ProcessGroup
from icdcli.errors import ResumeError
from icdcli.icd.code_system import FILE
from icdcli.io.progress import Progress
from icdcli.lexical.descriptions import descriptions_of
from icdcli.model.backbone import compile_layers
from icdcli.model.execution import Execution
from icdcli.model.files.checkpoint_labels import checkpoint_labels, edition_problem
from icdcli.model.inference.model_inputs import with_precomputed
from icdcli.model.inference.room import part_scores
from icdcli.model.neural_model import NeuralModel
from icdcli.model.new_model import new_model, reading_of, tokenizer_for
from icdcli.model.precision import with_cpu_precision
from icdcli.model.principal.choice import principal_labels, principal_of
from icdcli.model.threshold import Threshold
from icdcli.run_dir import run_of
from icdcli.training.checkpointing import load_state
from icdcli.training.early_stopping import Best
from icdcli.training.events import ResumedFrom, TrainingSummary
from icdcli.training.losses import loss_scaler
from icdcli.training.memory.plan import MemoryPlan
from icdcli.training.memory.planning import plan_memory
from icdcli.training.memory.resuming import budget_key, resume_memory_plan
from icdcli.training.section import TrainConfig
from icdcli.training.setting_up.final_fit import FinalFit
from icdcli.training.setting_up.optimizer import keep_other_labels, make_optimizer
from icdcli.training.state import RunState, Training

OnWarning = Callable[[str], None]

if TYPE_CHECKING:
    from icdcli.distributed.fsdp import Shards


def be_reproducible(config: RunConfig) -> None:
    """Seed torch and, if configured, allow only deterministic algorithms."""
    torch.manual_seed(config.seed)
    if config.deterministic:
        # cuBLAS reads this when it starts; without it, the order of its sums may vary.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(config.deterministic)
    # Filling each new tensor would cost time and change nothing: none is read before written to.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def find_corpus(
    config: DataConfig,
    process_group: ProcessGroup,
    on_progress: Progress | None = None,
    on_warning: OnWarning | None = None,
) -> Corpus:
    """Open the prepared corpus; the main process prepares it if it doesn't exist yet, and warns."""
    prepared = prepare(config, on_progress) if process_group.is_main else None
    folder = process_group.broadcast(prepared.folder if prepared else None)
    if prepared is not None and on_warning is not None:
        for warning in prepared.warnings:
            on_warning(warning)
    assert isinstance(folder, Path)
    return corpus_of(folder, config)


def with_edition(config: Config, corpus: Corpus) -> Config:
    """Return a new run's configuration with its edition's name in full, which resuming needs."""
    system = corpus.code_system
    if system is None or "editions" not in corpus.card["options"] or system.name.startswith(FILE):
        return config
    data = config.data.model_copy(update={"code_system": system.name})
    return config.model_copy(update={"data": data})


def read_tokens(
    corpus: Corpus,
    model: NeuralModel,
    process_group: ProcessGroup,
    on_progress: Progress | None = None,
) -> Tokens:
    """Open the corpus's token cache; the main process makes it if it doesn't exist yet."""
    tokens = model.cached_tokens(corpus, on_progress) if process_group.is_main else None
    process_group.wait()
    return model.cached_tokens(corpus) if tokens is None else tokens


def new_training(
    config: Config,
    process_group: ProcessGroup,
    on_progress: Progress | None = None,
    on_warning: OnWarning | None = None,
    final_fit: FinalFit | None = None,
) -> tuple[Training, Corpus]:
    """Set up a new run.

    Args:
        config: The configuration of the run.
        process_group: The process group.
        on_progress: Reports how far the preparation is.
        on_warning: Receives warnings about the corpus.
        final_fit: What a run without a validation split starts from.

    Raises:
        ConfigError: If the configured model can't be loaded or trained as configured.
        DataError: If the raw data can't be used.
    """
    be_reproducible(config.run)
    use_workers(config.data.workers)
    corpus = find_corpus(config.data, process_group, on_progress, on_warning)
    # All views of a corpus share the descriptions of its labels, and what is learned from texts
    # without their codes: tokenizer and spelling. So the backbone reads each document only once.
    whole = corpus.base if isinstance(corpus, CorpusView) else corpus
    tokenizer = tokenizer_for(config.model, whole.texts("train"))
    threshold, seed = Threshold.configured(config.log.positive_threshold), config.run.seed
    language = config.data.language if config.model.lexicon else None
    described = (
        descriptions_of(whole.labels, corpus.code_system, language)
        if config.model.starts_from_descriptions
        else ()
    )
    reading = reading_of(config.model, whole, config.data.language, tokenizer, on_warning)
    model = new_model(
        process_group.broadcast(with_cpu_precision(config.model, process_group.device)),
        tokenizer,
        corpus.labels,
        threshold,
        process_group.device,
        seed,
        described,
        Execution(config.train.padding, config.train.used_kernels),
        on_warning or warnings.warn,
        reading,
        corpus.kept_labels if isinstance(corpus, CorpusView) else None,
        principal_of(corpus, learned=True) if config.data.principal else None,
    )
    model.text_cleaning = config.data.text_cleaning
    documents = corpus.card["splits"]["train"]["documents"]
    counts = corpus.labels.train_counts
    unseen = unseen_labels(corpus)
    known = counts[: len(counts) - unseen]
    model.network.start_from_frequencies(known, documents, _is_open_ended(corpus))
    model.network.unseen = unseen
    if unseen and not config.model.lexical and on_warning is not None:
        on_warning(
            f"label_space: {config.data.label_space}: without a lexical model, nothing scores the "
            f"{unseen:,} codes that training never sees. Set lexical: True, or label_space: train"
        )
    if final_fit is not None:
        model.threshold, model.fusion = final_fit.threshold, final_fit.fusion
        model.principal = final_fit.with_principal(model.principal)
    training = _training(config, model, corpus, process_group, on_progress, fresh=True)
    training.final_fit = final_fit
    plan_memory(training, on_warning if process_group.is_main else None)
    return training, corpus


def resumed_training(
    config: Config,
    checkpoint: Path,
    manifest: dict[str, Any],
    process_group: ProcessGroup,
    on_progress: Progress | None = None,
    on_warning: OnWarning | None = None,
) -> tuple[Training, Corpus]:
    """Set up a run as it was when a checkpoint was written.

    Args:
        config: The configuration of the run, with overrides.
        checkpoint: The folder of the checkpoint.
        manifest: Its manifest.
        process_group: The process group.
        on_progress: Reports how far the preparation is.
        on_warning: Receives warnings about the corpus.

    Raises:
        DataError: If the raw data can't be used.
        ResumeError: If the data or the model are no longer those of the checkpoint.
    """
    be_reproducible(config.run)
    use_workers(config.data.workers)
    corpus = find_corpus(config.data.accepting(), process_group, on_progress, on_warning)
    if manifest["corpus"] not in ("", corpus.name):  # empty: migrated, not trained since
        if problem := edition_problem(checkpoint, checkpoint_labels(checkpoint), corpus):
            raise ResumeError(problem)
        raise ResumeError(
            f"{checkpoint}: was trained on the corpus {manifest['corpus']}, but the data now gives "
            f"{corpus.name}: the tables or the data options have changed. Restore them, or "
            "start a new run"
        )
    model = NeuralModel.load(
        checkpoint,
        process_group.device,
        trainable=True,
        execution=Execution(config.train.padding, config.train.used_kernels),
        on_warning=on_warning or warnings.warn,
    )
    warn = on_warning if process_group.is_main else None
    corpus = corpus_for_run(corpus, run_of(checkpoint), model.labels, warn)
    training = _training(config, model, corpus, process_group, on_progress, step=manifest["step"])
    load_state(checkpoint, training)
    run = run_of(checkpoint)
    if not config.data.has_validation and run is not None:
        training.final_fit = FinalFit.read(run)
    if (change := resume_memory_plan(training)) is not None and warn is not None:
        warn(change)
    return training, corpus


def _training(
    config: Config,
    model: NeuralModel,
    corpus: Corpus,
    process_group: ProcessGroup,
    on_progress: Progress | None,
    fresh: bool = False,
    step: int = 0,
) -> Training:
    tokens = read_tokens(corpus, model, process_group, on_progress)
    known = corpus.splits
    splits = {split: corpus.documents(split) for split in known if split != "test"}
    validation = splits.get("validation")
    encoded = {split: model.encoded(tokens, documents) for split, documents in splits.items()}
    if model.principal is not None:
        encoded = {
            split: replace(own, principal_N=principal_labels(splits[split], corpus.code_index))
            for split, own in encoded.items()
        }
    encoded = _with_precomputed(
        config.train, model, corpus, encoded, process_group, on_progress, fresh, step
    )
    lexical_scores = _lexical_scores(config, model, corpus, on_progress)
    if config.train.torch_compile:
        compile_layers(model.network.backbone)
    shards = _shard(config, model, process_group)
    optimizer = make_optimizer(model.network, config.train)
    learned_labels = _labels_in_training(corpus, process_group.device)
    if learned_labels is not None:
        by_label = model.network.head.label_weights()
        if model.network.principal is not None:
            by_label += model.network.principal.label_weights()
        keep_other_labels(optimizer, by_label, learned_labels)
    if shards is not None:
        shards.follow(optimizer)
    best = Best(higher_is_better=monitored(config.train.monitor, config.log.metrics)[1])
    return Training(
        model=model,
        optimizer=optimizer,
        train=encoded["train"].drawn(config.run.seed, 0),
        validation=encoded.get("validation", encoded["train"].none()),
        validation_ids=[] if validation is None else validation.ids,
        missed_NU=None if validation is None else missed_columns(validation),
        train_ids=splits["train"].ids,
        config=config.train,
        log=config.log,
        seed=config.run.seed,
        process_group=process_group,
        state=RunState(best, micro_batches_of=budget_key(config.train, process_group)),
        lexical_scores=lexical_scores,
        learned_labels=learned_labels,
        backbone_weights=[
            weight
            for name, weight in model.network.trainable().items()
            if name.startswith("backbone.")
        ],
        shards=shards,
        gradient_sums=sums_in_backward(process_group, config.model.frozen or shards is not None),
        scaler=loss_scaler(model.network, process_group),
    )


def _shard(config: Config, model: NeuralModel, process_group: ProcessGroup) -> "Shards | None":
    """Shard the weights over the processes if configured."""
    if config.train.strategy == "ddp" or process_group.size == 1:
        return None
    from icdcli.distributed.fsdp import Shards

    return Shards(model.network, config.model.lora_activate, model.own_backbone, process_group)


def _labels_in_training(corpus: Corpus, device: torch.device) -> torch.Tensor | None:
    """Return the labels that the loss includes, those seen in training; None: all."""
    counts_L = torch.tensor(corpus.labels.train_counts, device=device)
    return counts_L.nonzero()[:, 0] if _is_open_ended(corpus) else None


def _is_open_ended(corpus: Corpus) -> bool:
    """Return whether unseen codes may occur: it has all codes with a title, or a model's."""
    return corpus.card["labels"].get("space") in ("described", *WITH_UNSEEN, MIGRATED)


def _lexical_scores(
    config: Config, model: NeuralModel, corpus: Corpus, on_progress: Progress | None
) -> dict[str, NDArray[np.float32]]:
    """Return the lexical model's scores of the validation split; a new one is fitted first."""
    if not config.model.lexical:
        return {}
    from icdcli.lexical.lexical_model import LexicalModel

    if model.lexical is None:
        model.lexical = LexicalModel.of(
            corpus,
            config.model.lexical,
            model.reading,
            config.model.lexicon,
            on_progress=on_progress,
        )
    if "validation" not in corpus.splits:
        return {}
    texts, documents = corpus.texts("validation"), corpus.card["splits"]["validation"]["documents"]
    return part_scores(model.lexical, texts, documents, on_progress)


def _with_precomputed(
    config: TrainConfig,
    model: NeuralModel,
    corpus: Corpus,
    splits: dict[str, EncodedDocuments],
    process_group: ProcessGroup,
    on_progress: Progress | None,
    fresh: bool,
    step: int,
) -> dict[str, EncodedDocuments]:
    """Add the precomputed inputs to the splits; the main process computes missing ones."""
    untrained = fresh or step < config.head_steps
    gigabytes = config.state_cache_gb if config.head_steps or not model.trained_backbone else 0
    if process_group.is_main:
        with_precomputed(model, corpus, splits, gigabytes, on_progress, untrained)
    process_group.wait()
    known = with_precomputed(model, corpus, splits, gigabytes, new=untrained)
    prior, similarities = model.network.prior, known["train"].similarities
    if not fresh or prior is None or similarities is None:
        return known
    prior.start_from_similarities(similarities.cosine_NM)
    return with_precomputed(model, corpus, splits, gigabytes, new=untrained)


def summarize(
    corpus: Corpus, training: Training | None = None, resumed: ResumedFrom | None = None
) -> TrainingSummary:
    """Return the size of a run; without a training, of a TF-IDF model."""
    if training is None:
        documents = {split: corpus.card["splits"][split]["documents"] for split in corpus.splits}
        return TrainingSummary(
            corpus=corpus.name,
            train_documents=documents.get("train", 0),
            validation_documents=documents.get("validation", 0),
            codes=len(corpus.labels),
            codes_in_training=sum(count > 0 for count in corpus.labels.train_counts),
            device="cpu",
        )
    network, windows = training.model.network, training.train.windows
    return TrainingSummary(
        corpus=corpus.name,
        train_documents=len(training.train),
        validation_documents=len(training.validation.rows),
        codes=len(corpus.labels),
        codes_in_training=sum(count > 0 for count in corpus.labels.train_counts),
        device=str(training.process_group.device),
        tokens_per_document=float(training.train.lengths.mean()),
        max_len=training.train.max_len,
        cut_documents=training.train.cut_documents,
        windows_per_document=None if windows is None else len(windows) / len(training.train),
        trained_weights=sum(weight.numel() for weight in network.trainable().values()),
        weights=sum(weight.numel() for weight in network.parameters()),
        steps=training.config.last_step,
        steps_per_epoch=training.steps_per_epoch,
        resumed=resumed,
        loss_scaling=training.scaler is not None,
        fused=tuple(network.fused),
        passes=str(MemoryPlan(training.recomputation, training.micro_batch_tokens)),
    )
