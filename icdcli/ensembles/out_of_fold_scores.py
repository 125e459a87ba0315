"""Scores of documents that members hadn't seen, for members trained on the validation split.

A refit (``icdcode refit``) is trained on all documents. Its folds are models of the same
configuration, each without some of the documents: their out-of-fold scores stand for it.

Shapes: N documents of all folds, L labels of the ensemble.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icdcli.cross_fitting.out_of_fold import OutOfFold
from icdcli.cross_fitting.run import read_out_of_fold
from icdcli.data.corpus.reader import Documents
from icdcli.ensembles.fitting import HeldOutScores
from icdcli.ensembles.members import Candidate
from icdcli.errors import IcdcodeError
from icdcli.model.ensemble.ensemble_model import EnsembleModel
from icdcli.training.setting_up.final_fit import FINAL_FIT, FinalFit

_LEAST, _MOST = 1e-9, 1 - 1e-7  # float32 has no scores between the last and 1


def out_of_fold_scores(
    candidates: Sequence[Candidate], model: EnsembleModel
) -> HeldOutScores | None:
    """Return the out-of-fold scores of members that are refits of cross-fitted runs.

    Args:
        candidates: The members.
        model: The ensemble, not calibrated.

    Returns:
        The scores; None: a member isn't a refit, or its folds aren't there any more.
    """
    found = [_of_member(one) for one in candidates]
    known = [one for one in found if one is not None]
    if len(known) < len(found) or len({tuple(one.ids) for one in known}) > 1:
        return None
    logits, candidates_NL = {}, np.zeros((len(known[0].ids), len(model.labels)), dtype=bool)
    for member, one in zip(model.members, known, strict=True):
        if one.labels.codes != member.model.labels.codes:
            return None
        scores_NM = np.clip(one.fused_NL.astype(np.float64), _LEAST, _MOST)
        own_NM: NDArray[np.float32] = np.log(scores_NM / (1 - scores_NM)).astype(np.float32)
        logits[member.name] = member.placed(own_NM)
        places = [model.labels.index[code] for code in one.labels.codes]
        candidates_NL[:, places] |= one.candidates_NL
    documents = _documents(known[0], model)
    return HeldOutScores(known[0].source, documents, logits, model.known_labels, candidates_NL)


def _of_member(one: Candidate) -> OutOfFold | None:
    if not (one.run.root / FINAL_FIT).is_file():
        return None
    try:
        fit = FinalFit.read(one.run.root)
        folds = re.match(r"(\d+)-fold cross-fitting", fit.source)
        if folds is None:
            return None
        return read_out_of_fold(Path(fit.run), int(folds[1]), one.config.data.train_on)
    except IcdcodeError:
        return None  # the run was deleted or changed: there are no such scores


def _documents(one: OutOfFold, model: EnsembleModel) -> Documents:
    """Return the documents with the labels of the ensemble."""
    index = np.array([model.labels.index[code] for code in one.labels.codes], np.int32)
    targets = [np.sort(index[own]) for own in one.documents.targets]
    return Documents(one.ids, one.subject_ids, one.documents.rows, targets)
