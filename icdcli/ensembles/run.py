"""Make one run of several trained runs: ``icdcode ensemble`` without the printing."""

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from icdcli.config.run_section import require_name
from icdcli.data.corpus.reader import Corpus
from icdcli.ensembles.building import (
    TUNED_ON,
    Warn,
    can_fit,
    ensemble_corpus,
    load_candidates,
    mean_threshold,
)
from icdcli.ensembles.cost import EnsembleCost, measure_cost, sample_texts
from icdcli.ensembles.fitting import (
    HeldOutScores,
    MemberWeights,
    error_correlations,
    fit_ensemble,
    held_out_metrics,
)
from icdcli.ensembles.members import Candidate, find_candidates, warn_of_principal
from icdcli.ensembles.out_of_fold_scores import out_of_fold_scores
from icdcli.ensembles.run_folder import write_ensemble
from icdcli.io.progress import Progress
from icdcli.model.ensemble.ensemble_model import EnsembleModel, ensemble_losses
from icdcli.model.threshold import Threshold
from icdcli.run_dir import RunDir, require_project
from icdcli.training.validation import only_validation

ALIKE = 0.95
"""The correlation of errors from which on two members count as nearly the same."""


@dataclass(frozen=True)
class MadeEnsemble:
    """An ensemble that was made.

    Attributes:
        run: The new run folder.
        members: The runs, the one with the most codes first.
        shares: The share of each member in the weights.
        threshold: The threshold, in words.
        weights: How the weights were chosen: ``equal`` or ``fitted``.
        tuned_on: What calibration and threshold were fitted on: the validation split, or scores of
            cross-fitting; None: nothing was fitted.
        held_out: For each member alone and for the ensemble (None), the metrics on halves of the
            documents that weights and threshold weren't fitted on; empty: there are too few.
        correlations: Pairs of members to the correlation of their errors.
        lacking: Members to the number of codes that they don't have.
        cost: The time.
    """

    run: Path
    members: Mapping[str, Path]
    shares: Mapping[str, float]
    threshold: str
    weights: MemberWeights
    tuned_on: str | None
    held_out: Mapping[str | None, Mapping[str, float]] = field(default_factory=dict)
    correlations: Mapping[tuple[str, str], float] = field(default_factory=dict)
    lacking: Mapping[str, int] = field(default_factory=dict)
    cost: EnsembleCost | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "run": self.run,
            "members": [
                {
                    "name": name,
                    "run": run,
                    "weight": self.shares[name],
                    "codes_lacking": self.lacking.get(name, 0),
                    "held_out": self.held_out.get(name),
                }
                for name, run in self.members.items()
            ],
            "threshold": self.threshold,
            "weights": self.weights,
            "tuned_on": self.tuned_on,
            "held_out": self.held_out.get(None),
            "error_correlations": [
                {"members": pair, "correlation": value} for pair, value in self.correlations.items()
            ],
            "cost": None if self.cost is None else vars(self.cost),
        }


def ensemble_runs(
    runs: Sequence[RunDir | Path | str],
    name: str,
    *,
    project: Path | None = None,
    weights: MemberWeights = "fitted",
    load: str = "metric",
    device: str | None = None,
    on_warning: Warn = warnings.warn,
    on_progress: Progress | None = None,
    into: RunDir | None = None,
) -> MadeEnsemble:
    """Make a run whose model is the weighted mean of other runs.

    Calibrations, weights and threshold are fitted on the validation split. Nothing is trained, and
    the members stay where they are.

    Args:
        runs: The runs, at least two.
        name: The name of the new run folder; a number is added if it is taken.
        project: The folder for it; None: that of the first run.
        weights: Whether the members' weights are fitted or equal.
        load: The checkpoint of each run: ``metric``, ``loss`` or ``last``.
        device: The device to use instead of the runs' own, e.g. ``cpu`` or ``0``.
        on_warning: Receives warnings.
        on_progress: Receives the progress of scoring.
        into: The run folder, if it exists already (``seeds`` of the configuration).

    Raises:
        ConfigError: If the runs can't be members of one ensemble, the name can't be one, or a base
            model isn't available.
        DataError: If the data can't be prepared, or the new folder can't be written.
        ResumeError: If a run has no such checkpoint, it is incomplete or was changed, or it is
            being trained.

    Example:
        >>> icdcli.ensemble_runs(["outputs/demo/tiny", "outputs/demo/tfidf"], "both")
    """
    began = time.monotonic()
    require_name(name)
    candidates = find_candidates(runs, load, on_warning)
    lead = candidates[0]
    if into is None:  # else, it was said before the members were trained
        warn_of_principal((one.config for one in candidates), on_warning)
    first = runs[0].root if isinstance(runs[0], RunDir) else Path(runs[0])
    project = first.absolute().parent if project is None else project
    require_project(project)
    corpus = ensemble_corpus(lead, on_warning, on_progress)
    model = load_candidates(candidates, corpus, device, on_warning)
    held_out = _held_out_scores(candidates, model, corpus, on_progress)
    sample = sample_texts(corpus, TUNED_ON if TUNED_ON in corpus.splits else "train")
    if held_out is None:
        on_warning(
            "members were trained on the validation split, and there are no scores of models that "
            "weren't. Nothing can be fitted: the weights are equal, the scores aren't calibrated, "
            "and the threshold is the mean of the members' thresholds."
        )
        model.threshold = mean_threshold(model)
        run = write_ensemble(model, candidates, corpus, None, project, name, into)
        made = _made(run, candidates, model, "equal")
        return replace(made, cost=measure_cost(model, sample))
    threshold = Threshold.configured(lead.config.log.positive_threshold)
    fitted = fit_ensemble(held_out, weights, threshold)
    model.fusion, model.threshold = fitted.fusion, fitted.threshold
    model.members = [
        replace(member, calibration=fitted.calibrations[member.name]) for member in model.members
    ]
    calibrated = fitted.calibrated(held_out)
    loss = ensemble_losses(calibrated, fitted.fusion, held_out.documents.targets)
    fused = fitted.scored(held_out)
    evaluated = only_validation(
        model, fused, float(loss.mean()), lead.config, began, held_out.source
    )
    cost = measure_cost(model, sample)
    run = write_ensemble(model, candidates, corpus, evaluated, project, name, into)
    return replace(
        _made(run, candidates, model, weights),
        tuned_on=held_out.source,
        held_out=_measured(held_out, weights),
        correlations=error_correlations(calibrated, held_out.targets_NL),
        cost=cost,
    )


def _held_out_scores(
    candidates: Sequence[Candidate],
    model: EnsembleModel,
    corpus: Corpus,
    on_progress: Progress | None,
) -> HeldOutScores | None:
    """Return scores of documents that no member was fitted to; None: there are none."""
    if not can_fit(candidates, corpus):
        return out_of_fold_scores(candidates, model)
    scored = model.score_split(corpus, TUNED_ON, on_progress)
    return HeldOutScores(TUNED_ON, scored.documents, scored.parts, model.known_labels)


def _made(
    run: RunDir, candidates: Sequence[Candidate], model: EnsembleModel, weights: MemberWeights
) -> MadeEnsemble:
    return MadeEnsemble(
        run.root,
        {one.name: one.run.root for one in candidates},
        model.shares,
        str(model.threshold),
        weights,
        None,
        lacking={member.name: member.lacks for member in model.members if member.lacks},
    )


def _measured(
    held_out: HeldOutScores, weights: MemberWeights
) -> dict[str | None, Mapping[str, float]]:
    """Measure each member alone and the ensemble (None), fitted on other documents."""
    found: dict[str | None, Mapping[str, float]] = {}
    for name in (None, *held_out.logits):
        measured = held_out_metrics(held_out if name is None else held_out.only(name), weights)
        if measured is not None:
            found[name] = measured
    return found
