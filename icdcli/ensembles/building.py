"""Load the members of a new ensemble, and the corpus that they were trained on."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from icdcli.config.loading import load_config
from icdcli.data.corpus.migrated import corpus_for_run
from icdcli.data.corpus.reader import Corpus
from icdcli.data.corpus.views import corpus_of_run
from icdcli.data.token_cache import use_workers
from icdcli.distributed.devices import find_device
from icdcli.ensembles.members import Candidate, device_of
from icdcli.errors import DataError
from icdcli.io.progress import Progress
from icdcli.model.ensemble.ensemble_model import EnsembleModel
from icdcli.model.ensemble.loading import Loading, load_members
from icdcli.model.ensemble.member import Member, neutral_logits
from icdcli.model.ensemble.references import MemberReference
from icdcli.model.files.checkpoint_labels import edition_problem
from icdcli.model.fusion import Fusion
from icdcli.model.section import ENSEMBLE, ModelConfig
from icdcli.model.threshold import Threshold

Warn = Callable[[str], None]

TUNED_ON = "validation"
"""The split that ensembles are fitted on."""


def ensemble_corpus(lead: Candidate, on_warning: Warn, on_progress: Progress | None) -> Corpus:
    """Open the corpus of the member that has the most codes.

    Raises:
        DataError: If the data aren't those that it was trained on.
    """
    use_workers(lead.config.data.workers)
    corpus = corpus_of_run(lead.config.data, on_warning, on_progress)
    corpus = corpus_for_run(corpus, lead.run.root, lead.labels, on_warning)
    if problem := edition_problem(lead.checkpoint, lead.labels, corpus):
        raise DataError(problem)
    if lead.corpus not in ("", corpus.name) or corpus.labels.codes != lead.labels.codes:
        raise DataError(
            f"{lead.run.root}: was trained on the corpus {lead.corpus}, but the data now gives "
            f"{corpus.name}. Restore the tables and the data options of the run, or train again."
        )
    return corpus


def load_candidates(
    candidates: Sequence[Candidate], corpus: Corpus, device: str | None, on_warning: Warn
) -> EnsembleModel:
    """Load the members as an ensemble of equal weights, without calibration."""
    wanted = device_of(candidates)
    if device is not None:
        wanted = load_config(None, [f"device={device}"]).run.device
    loading = Loading(torch.device(find_device(wanted)), on_warning)
    references = [MemberReference.of(one.name, one.checkpoint) for one in candidates]
    models = load_members(references, loading)
    labels = candidates[0].labels
    documents = corpus.card["splits"]["train"]["documents"]
    neutral_L = neutral_logits(labels, documents)
    cut = [one.config.model for one in candidates if not one.config.model.is_baseline]
    longest = min((config.max_len for config in cut), default=ModelConfig().max_len)
    return EnsembleModel(
        [
            Member(one.name, model, labels, neutral_L)
            for one, model in zip(candidates, models, strict=True)
        ],
        labels,
        ModelConfig(model=ENSEMBLE, max_len=longest, bit=32, lora_activate=False),
        Threshold(),
        Fusion({one.name: 1 / len(candidates) for one in candidates}, 0.0, "nothing"),
        documents,
        models[0].text_cleaning,
        references,
        loading.kept,
    )


def can_fit(candidates: Sequence[Candidate], corpus: Corpus) -> bool:
    """Return whether no member was trained on the validation split."""
    return TUNED_ON in corpus.splits and len({one.saw for one in candidates}) == 1


def mean_threshold(model: EnsembleModel) -> Threshold:
    """Return the threshold whose log-odds are the mean of those of the members."""
    values = np.array([member.model.threshold.value for member in model.members])
    values = np.clip(values, 1e-6, 1 - 1e-6)
    return Threshold(float(1 / (1 + np.exp(-np.log(values / (1 - values)).mean()))))
