"""The files of a checkpoint for another label space, of any kind of model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from icdcli.config.schema import Config
from icdcli.data.corpus.reader import Labels
from icdcli.data.relabeling import Relabeling
from icdcli.distributed.devices import find_device
from icdcli.errors import ResumeError
from icdcli.icd.code_system import CodeSystem
from icdcli.lexical.descriptions import descriptions_of
from icdcli.migration.label_plan import LabelPlan
from icdcli.migration.network import label_weight_names, relabel_network
from icdcli.migration.optimizer import relabel_state
from icdcli.model.files.checkpoint_files import is_tfidf
from icdcli.model.neural_model import NeuralModel
from icdcli.model.tfidf_model import TfidfModel
from icdcli.model.threshold import Threshold
from icdcli.training.checkpointing import STATE
from icdcli.training.setting_up.optimizer import make_optimizer


@dataclass(frozen=True)
class Change:
    """A checkpoint, and its labels after another edition.

    Attributes:
        checkpoint: The folder of the checkpoint.
        config: The configuration of its run.
        labels: The label space before.
        plan: What becomes of the labels.
        older: The coding system before; None: unknown.
        newer: The coding system after.
    """

    checkpoint: Path
    config: Config
    labels: Labels
    plan: LabelPlan
    older: CodeSystem | None
    newer: CodeSystem

    @property
    def language(self) -> str | None:
        """Return the language of the synonyms that the model knows; None: it knows none."""
        return self.config.data.language if self.config.model.lexicon else None

    def relabeling(self) -> Relabeling:
        """Return what the parts of the model follow."""
        descriptions = descriptions_of(self.plan.labels, self.newer, self.language)
        return self.plan.relabeling(self.labels, descriptions)


def migrated_checkpoint(
    change: Change, on_warning: Callable[[str], None]
) -> Callable[[Path], None]:
    """Return a function that writes the files of the migrated checkpoint into a folder.

    Raises:
        ConfigError: If the base model can't be loaded, or the device isn't there.
        ResumeError: If the checkpoint is incomplete or was changed.
    """
    if is_tfidf(change.checkpoint):
        return _migrated_tfidf(change)
    return _migrated_network(change, on_warning)


def _migrated_tfidf(change: Change) -> Callable[[Path], None]:
    model, relabeling = TfidfModel.load(change.checkpoint), change.relabeling()
    labels, choice, own = change.plan.labels, model.principal, model.principal_words
    return replace(
        model,
        principal=None if choice is None else choice.relabeled(relabeling, labels),
        principal_words=None if own is None else own.relabeled(relabeling),
        words=model.words.relabeled(relabeling),
        labels=change.plan.labels,
        threshold=_relabeled_threshold(model.threshold, relabeling),
    ).save


def _migrated_network(change: Change, on_warning: Callable[[str], None]) -> Callable[[Path], None]:
    device = torch.device(find_device(change.config.run.device))
    model = NeuralModel.load(change.checkpoint, device, trainable=True, on_warning=on_warning)
    if model.network.unseen:
        _leave_unseen_out(model, change)
    relabeling = change.relabeling()
    # Before the head is replaced: its weights tell which moments are whose.
    named = {id(weight): name for name, weight in model.network.named_parameters()}
    groups = make_optimizer(model.network, change.config.train).param_groups
    names = [named[id(weight)] for group in groups for weight in group["params"]]
    by_label = {f"head.{name}" for name in label_weight_names(model.network.head)}
    if model.network.principal is not None:
        by_label |= {f"principal.{name}" for name in label_weight_names(model.network.principal)}
    state = _read_state(change.checkpoint / STATE)
    relabel_model(model, change, relabeling)
    after = relabel_state(state, names, by_label, relabeling)

    def write(folder: Path) -> None:
        model.save(folder)
        torch.save(after, folder / STATE)

    return write


def _leave_unseen_out(model: NeuralModel, change: Change) -> None:
    """Leave out the candidates that training never saw, in place: `change.labels` are the others.

    With another edition, they would be other codes, and their weights were fitted to these ones.
    """
    known, before = len(change.labels), len(model.labels)
    same = Relabeling(before, np.arange(known), np.ones(known, int), np.ones(known, bool), ())
    if model.lexical is not None:
        from icdcli.lexical.histories import history_labels

        texts: list[tuple[str, ...]] = [()] * known  # kept labels keep those that they have
        shape = None if change.older is None else change.older.shape
        histories = history_labels(change.labels, shape, change.language)
        model.lexical = model.lexical.relabeled(replace(same, descriptions=texts), histories)
    model.threshold = _relabeled_threshold(model.threshold, same)
    model.fusion = None if model.fusion is None else replace(model.fusion, unseen=None)
    if model.principal is not None:
        model.principal = model.principal.relabeled(same, change.labels)
    model.labels, model.network.unseen = change.labels, 0


def relabel_model(model: NeuralModel, change: Change, relabeling: Relabeling) -> None:
    """Give a model another label space, in place.

    Args:
        model: The model of the checkpoint.
        change: The labels before and after.
        relabeling: What each label after takes over.
    """
    sources = descriptions_of(change.labels, change.older, change.language)
    relabel_network(model, relabeling, sources)
    if model.lexical is not None:
        # scipy takes a second to import, and most models have no lexical part
        from icdcli.lexical.histories import history_labels

        histories = history_labels(change.plan.labels, change.newer.shape, change.language)
        model.lexical = model.lexical.relabeled(relabeling, histories)
    model.labels = change.plan.labels
    if model.principal is not None:
        model.principal = model.principal.relabeled(relabeling, model.labels)
    model.threshold = _relabeled_threshold(model.threshold, relabeling)
    if model.fusion is not None:  # the trees of a second stage know the codes before
        model.fusion = replace(model.fusion, second_stage=None)


def _read_state(path: Path) -> dict[str, object]:
    try:
        state: dict[str, object] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise ResumeError(f"{path}: can't be read: {error}. Choose another --weights") from error
    return state


def _relabeled_threshold(threshold: Threshold, relabeling: Relabeling) -> Threshold:
    """Return the threshold for another label space; labels without a source have a usual one."""
    if threshold.per_code is None:
        return threshold
    per_code = np.array(threshold.per_code)
    return replace(
        threshold, per_code=tuple(relabeling.rows(per_code, np.median(per_code)).tolist())
    )
