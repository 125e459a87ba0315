"""The out-of-fold scores of a run, for the documents and codes of an audit.

Shapes: N documents, L labels.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128_digest

from icdcli.audit.documents import AUDITED_SPLITS, AuditDocument
from icdcli.cross_fitting.fold_runs import Watching
from icdcli.cross_fitting.out_of_fold import OutOfFold
from icdcli.cross_fitting.run import cross_fit, folds_of_run
from icdcli.data.corpus.reader import Corpus
from icdcli.errors import DataError

_LEAST = 1e-4
"""The score of codes that the model of a fold doesn't have, and the least of any code."""


def cross_fit_notes(run: Path, corpus: Corpus, watching: Watching) -> OutOfFold:
    """Return the out-of-fold scores of a run, after training the models that don't exist yet.

    Args:
        run: The folder of the run.
        corpus: The corpus to be audited.
        watching: Shows the trainings.

    Raises:
        ConfigError: If the run can't be cross-fitted.
        DataError: If the run has other notes; then nothing is trained.
        ResumeError: If a fold was trained on other data, or another process trains the folds.
        StoppedTraining: If a signal stopped a training.
    """
    require_same_notes(corpus, folds_of_run(run, 0).corpus)
    return cross_fit(run, watching=watching)


def require_same_notes(corpus: Corpus, of_run: Corpus) -> None:
    """Raise an error unless a run is cross-fitted on all notes that are audited.

    Another edition of the data has the same ids with other texts: the scores of its models would
    silently be those of other notes. Texts are compared by their hashes. Codes may differ, as they
    do after an earlier audit.

    Args:
        corpus: The corpus to be audited.
        of_run: The view of the run's corpus whose training documents are those of all folds.

    Raises:
        DataError: If the run has other notes.
    """
    splits = [split for split in AUDITED_SPLITS if split in corpus.splits]
    ids = [id for split in splits for id in corpus.documents(split).ids]
    _require_among(ids, of_run.documents("train").ids, corpus)
    if corpus.folder.resolve() == of_run.folder.resolve():
        return
    known = _digests(of_run, ["train"])
    own = _digests(corpus, splits)
    if changed := [id for id in ids if own[id] != known[id]]:
        raise DataError(
            f"{corpus.name}: {len(changed):,} of its {len(ids):,} notes have other texts than the "
            f"run's notes of the same ids, such as {changed[0]}, because the data or options such "
            f"as text_cleaning differ. Audit the data of the run ({of_run.folder}), or pass a run "
            "on this corpus."
        )


def _digests(corpus: Corpus, splits: Sequence[str]) -> dict[str, bytes]:
    """Return the hash of each document's text."""
    return {
        id: xxh3_128_digest(text.encode())
        for split in splits
        for id, text in zip(corpus.documents(split).ids, corpus.texts(split), strict=True)
    }


def _require_among(ids: Sequence[str], of_run: Sequence[str], corpus: Corpus) -> None:
    known = set(of_run)
    unknown = [id for id in ids if id not in known]
    if unknown:
        raise DataError(
            f"{corpus.name}: {len(unknown):,} of its {len(ids):,} notes aren't among those "
            f"that the run is cross-fitted on, such as {unknown[0]}. Pass a run on this corpus."
        )


def run_logits(
    documents: Sequence[AuditDocument], corpus: Corpus, found: OutOfFold
) -> NDArray[np.float32]:
    """Return the log-odds of each code by the models of a run's folds, (N, L).

    Args:
        documents: The documents.
        corpus: The corpus that they are of, with the label space.
        found: The out-of-fold scores.

    Raises:
        DataError: If they belong to other documents or codes.
    """
    _require_among([document.id for document in documents], found.ids, corpus)
    place_of = {id: place for place, id in enumerate(found.ids)}
    index = corpus.labels.index
    known = [label for label, code in enumerate(found.labels.codes) if code in index]
    gold = {label for document in documents for label in document.labels}
    if lost := gold - {index[found.labels.codes[label]] for label in known}:
        raise DataError(
            f"{corpus.name}: {len(lost):,} of its gold codes aren't in the label space of the run, "
            f"such as {corpus.labels.codes[min(lost)]}. Pass a run on this corpus."
        )
    rows = np.array([place_of[document.id] for document in documents])
    scores_NL = np.full((len(documents), len(index)), _LEAST, np.float32)
    columns = [index[found.labels.codes[label]] for label in known]
    scores_NL[:, columns] = found.fused_NL[np.ix_(rows, np.array(known))].clip(_LEAST, 1 - 1e-6)
    logits_NL: NDArray[np.float32] = np.log(scores_NL) - np.log1p(-scores_NL)
    return logits_NL
